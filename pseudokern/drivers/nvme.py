"""Be an NVMe drive: an admin queue, and I/O queues whose interrupts the kernel spreads and keeps.

Follows drivers/nvme/host/pci.c: one vector for the admin queue, then managed ones, one for each
queue. A completion raises BLOCK.

Without messages there is one I/O queue, and both share the INTx line.
"""

from typing import ClassVar

from pseudokern.drivers.device import IrqReturn
from pseudokern.drivers.intx import IntxDevice
from pseudokern.drivers.keys import PCI_KEYS, Integer, Key, OneOrEach, Rate
from pseudokern.drivers.traffic import Target
from pseudokern.irq.desc import IrqDesc
from pseudokern.kernel.softirq import Softirq
from pseudokern.x86.msi_chip import message_of
from pseudokern.x86.pci import Spread

MAX_QUEUES = 1024
BLOCK_BIT = 1 << Softirq.BLOCK


class Nvme(IntxDevice):
    """A drive. rate: completions a second on each I/O queue that has its CPU."""

    KEYS: ClassVar = {
        **PCI_KEYS,
        "queues": Key(
            Integer(1, MAX_QUEUES), derive=lambda limits, _: min(limits.cpus, MAX_QUEUES),
            doc="I/O queues; one for each CPU if left out",
        ),
        "rate": Key(OneOrEach(Rate()), per="queues", default=0, doc="completions per queue"),
    }  # fmt: skip
    IDENTITY: ClassVar = (0x144D, 0xA808, 0x010802)
    DRIVER: ClassVar = "nvme"

    def probe(self) -> None:
        line = self.enable()
        queues = self._request_messages() if self.pc.pci.has_messages else self._share(line)
        by_rate: dict[float, list[Target]] = {}
        for number, rate_hz in enumerate(self.options["rate"]):
            by_rate.setdefault(rate_hz, []).append(queues[number % len(queues)])
        for rate_hz, targets in by_rate.items():
            self.traffic(rate_hz, targets)

    def _request_messages(self) -> list[Target]:
        """What a completion does, for each I/O queue."""
        count = 1 + self.options["queues"]
        descs = self.pc.pci.alloc_msix(self.function, count, Spread(pre=1))
        for number, desc in enumerate(descs):
            self.request_irq(desc.irq, self.complete, name=f"{self.name}q{number}")
        return [message_of(desc).trigger_now for desc in descs[1:]]

    def _share(self, line: IrqDesc | None) -> list[Target]:
        """The same on the INTx line."""
        self.fall_back_to_intx(line, f"{self.name}q0", self.complete)
        return [self.fall_back_to_intx(line, f"{self.name}q1", self.complete).trigger]

    def complete(self) -> IrqReturn:
        self.kernel.this.softirq_pending |= BLOCK_BIT
        return IrqReturn.HANDLED
