"""Be a SATA controller: one MSI for all its ports, or its INTx line.

Follows drivers/ata/ahci.c.

A load goes to one solid-state disk, at the first port: one queue, and 32 commands at a time.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pseudokern.drivers.device import IrqReturn
from pseudokern.drivers.intx import IntxSource
from pseudokern.drivers.keys import Duration, Integer, Key, Rate
from pseudokern.drivers.loaded_drive import LoadedDrive
from pseudokern.drivers.pci_keys import PCI_KEYS
from pseudokern.drivers.traffic import Target
from pseudokern.irq.desc import IrqDesc
from pseudokern.kernel.softirq import Softirq
from pseudokern.x86.msi_chip import message_of

if TYPE_CHECKING:
    from pseudokern.drivers.block_drive import QueuePlan

NCQ_DEPTH = 32
BLOCK_BIT = 1 << Softirq.BLOCK


class Ahci(LoadedDrive):
    """An AHCI controller. rate: completions a second, of all ports together."""

    KEYS: ClassVar = {
        **PCI_KEYS,
        "ports": Key(Integer(1, 32), default=6, doc="SATA ports"),
        "rate": Key(Rate(), default=0, doc="completions a second"),
        "read_time": Key(Duration(), default="120 us", doc="mean time of a read, under [[load]]"),
        "write_time": Key(Duration(), default="60 us", doc="of a write, which goes to a cache"),
        "channels": Key(Integer(1, 32), default=8, doc="commands that the disk serves at a time"),
    }
    IDENTITY: ClassVar = (0x8086, 0x2922, 0x010601)
    DRIVER: ClassVar = "ahci"
    NR_REQUESTS: ClassVar = NCQ_DEPTH

    _interrupting: IrqDesc | IntxSource | None = None

    def probe(self) -> None:
        line, name = self.enable(), f"ahci[{self.function.bdf}]"
        if self.pc.pci.has_messages:
            desc = self.pc.pci.alloc_msi(self.function, 1)[0]
            self._handler = self.exchangeable(self.complete)
            self.request_irq(desc.irq, self._handler, name=name)
            event: Target = message_of(desc).trigger_now
            self._interrupting = desc
        else:
            self._interrupting = self.fall_back_to_intx(line, name, self.complete)
            event = self._interrupting.trigger
        self.traffic(self.options["rate"], [event])

    def complete(self) -> IrqReturn:
        self.kernel.this.softirq_pending |= BLOCK_BIT
        return IrqReturn.HANDLED

    def release(self) -> None:
        super().release()
        self._interrupting = None

    def plan_queues(self) -> "Sequence[QueuePlan]":
        from pseudokern.drivers.block_drive import intx_plan, message_plan

        possible = self.kernel.possible
        match self._interrupting:
            case IntxSource() as source:
                return [intx_plan(possible, source)]
            case None:
                return []
            case desc:
                return [message_plan(possible, desc, self._handler)]
