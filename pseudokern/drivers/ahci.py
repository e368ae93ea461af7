"""Be a SATA controller: one MSI for all its ports, or its INTx line.

Follows drivers/ata/ahci.c.
"""

from typing import ClassVar

from pseudokern.drivers.device import IrqReturn
from pseudokern.drivers.intx import IntxDevice
from pseudokern.drivers.keys import PCI_KEYS, Integer, Key, Rate
from pseudokern.drivers.traffic import Target
from pseudokern.kernel.softirq import Softirq
from pseudokern.x86.msi_chip import message_of

BLOCK_BIT = 1 << Softirq.BLOCK


class Ahci(IntxDevice):
    """An AHCI controller. rate: completions a second, of all ports together."""

    KEYS: ClassVar = {
        **PCI_KEYS,
        "ports": Key(Integer(1, 32), default=6, doc="SATA ports"),
        "rate": Key(Rate(), default=0, doc="completions a second"),
    }
    IDENTITY: ClassVar = (0x8086, 0x2922, 0x010601)
    DRIVER: ClassVar = "ahci"

    def probe(self) -> None:
        line, name = self.enable(), f"ahci[{self.function.bdf}]"
        if self.pc.pci.has_messages:
            desc = self.pc.pci.alloc_msi(self.function, 1)[0]
            self.request_irq(desc.irq, self.complete, name=name)
            event: Target = message_of(desc).trigger_now
        else:
            event = self.fall_back_to_intx(line, name, self.complete).trigger
        self.traffic(self.options["rate"], [event])

    def complete(self) -> IrqReturn:
        self.kernel.this.softirq_pending |= BLOCK_BIT
        return IrqReturn.HANDLED
