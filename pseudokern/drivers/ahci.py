"""Be a SATA controller: one MSI for all its ports.

Follows drivers/ata/ahci.c.
"""

from typing import ClassVar

from pseudokern.drivers.device import IrqReturn, PciDevice
from pseudokern.drivers.keys import PCI_KEYS, Integer, Key, Rate
from pseudokern.kernel.softirq import Softirq
from pseudokern.x86.msi_chip import message_of

BLOCK_BIT = 1 << Softirq.BLOCK


class Ahci(PciDevice):
    """An AHCI controller. rate: completions a second, of all ports together."""

    KEYS: ClassVar = {
        **PCI_KEYS,
        "ports": Key(Integer(1, 32), default=6, doc="SATA ports"),
        "rate": Key(Rate(), default=0, doc="completions a second"),
    }
    IDENTITY: ClassVar = (0x8086, 0x2922, 0x010601)
    DRIVER: ClassVar = "ahci"

    def probe(self) -> None:
        self.enable()
        desc = self.pc.pci.alloc_msi(self.function, 1)[0]
        self.request_irq(desc.irq, self.complete, name=f"ahci[{self.function.bdf}]")
        self.traffic(self.options["rate"], [message_of(desc).trigger_now])

    def complete(self) -> IrqReturn:
        self.kernel.this.softirq_pending |= BLOCK_BIT
        return IrqReturn.HANDLED
