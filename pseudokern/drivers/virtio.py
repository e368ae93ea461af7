"""Be a virtio device on PCI: disk, SCSI adapter, console, balloon and the like.

Follows vp_find_vqs_msix() of drivers/virtio/virtio_pci_common.c: a vector for changes of the
configuration, and one for each queue that has a callback; where QEMU gives fewer vectors than that,
as to a console, the queues share one. Disks and SCSI adapters have their request queues managed.
Without MSI-X one handler on the INTx line does it all, as it does for a balloon, to which QEMU
gives no messages.
"""

from collections.abc import Callable
from typing import ClassVar, NamedTuple

from pseudokern.drivers.device import IrqReturn
from pseudokern.drivers.intx import IntxDevice
from pseudokern.drivers.keys import Choice, Integer, Key, Rate
from pseudokern.drivers.pci_keys import PCI_KEYS
from pseudokern.drivers.traffic import Target
from pseudokern.kernel.blk_mq import BLOCK_BIT, ends_in_block
from pseudokern.x86.msi_chip import message_of
from pseudokern.x86.pci import Spread

MAX_QUEUES = 1024
STORAGE = 0x01  # the first byte of the class code


class _Kind(NamedTuple):
    """What the device is: its PCI device and class, and what its vectors are called.

    managed       queues that the kernel spreads over the CPUs; they come last
    has_messages  False: there is only the INTx line
    """

    device: int
    pci_class: int
    queues: Callable[[int], list[str]]
    managed: Callable[[int], int] = lambda _count: 0
    has_messages: bool = True


KINDS = {
    "blk": _Kind(0x1001, 0x010000, lambda n: [f"req.{i}" for i in range(n)], lambda n: n),
    "scsi": _Kind(0x1004, 0x010000, lambda n: ["control", "event", *["request"] * n], lambda n: n),
    "console": _Kind(0x1003, 0x078000, lambda _n: ["virtqueues"]),
    "balloon": _Kind(0x1002, 0x00FF00, lambda _n: [], has_messages=False),
    "gpu": _Kind(0x1050, 0x038000, lambda _n: ["control", "cursor"]),
    "input": _Kind(0x1052, 0x098000, lambda _n: ["virtqueues"]),
    "vsock": _Kind(0x1053, 0x078000, lambda _n: ["virtqueues"]),
}


class Virtio(IntxDevice):
    """One of KINDS. rate: buffers used a second, on each queue that is named last."""

    KEYS: ClassVar = {
        **PCI_KEYS,
        "kind": Key(Choice(*KINDS), default="blk", doc="what it is"),
        "queues": Key(
            Integer(1, MAX_QUEUES), derive=lambda limits, _: min(limits.cpus, MAX_QUEUES),
            doc="request queues of a disk or SCSI adapter; one for each CPU if left out",
        ),
        "rate": Key(Rate(), default=0, doc="completions per queue"),
    }  # fmt: skip
    DRIVER: ClassVar = "virtio-pci"

    @property
    def kind(self) -> _Kind:
        return KINDS[self.options["kind"]]

    @property
    def identity(self) -> tuple[int, int, int]:
        return 0x1AF4, self.kind.device, self.kind.pci_class

    def probe(self) -> None:
        line = self.enable()
        has_messages = self.pc.pci.has_messages and self.kind.has_messages
        queues = self.options["queues"] if has_messages else 1
        is_storage = self.function.pci_class >> 16 == STORAGE
        self._raises_block = is_storage and ends_in_block(queues, self.kernel.possible)
        if has_messages:
            events = self._request_messages()
        else:
            events = [self.fall_back_to_intx(line, self.name, self._used).trigger]
        self.traffic(self.options["rate"], events)

    def _request_messages(self) -> list[Target]:
        """What a used buffer does, for each of the managed queues, or for the last one."""
        wanted = ["config", *self.kind.queues(self.options["queues"])]
        managed = self.kind.managed(self.options["queues"])
        spread = Spread(pre=len(wanted) - managed) if managed else None
        descs = self.pc.pci.alloc_msix(self.function, len(wanted), spread)
        for desc, name in zip(descs, wanted, strict=True):
            self.request_irq(desc.irq, self._used, name=f"{self.name}-{name}")
        return [message_of(desc).trigger_now for desc in descs[-max(managed, 1) :]]

    def _used(self) -> IrqReturn:
        if self._raises_block:
            self.kernel.this.softirq_pending |= BLOCK_BIT
        return IrqReturn.HANDLED
