"""Be a USB controller: MSI-X for each CPU, of which Linux uses the first.

Follows drivers/usb/host/xhci-pci.c.
"""

from typing import ClassVar

from pseudokern.drivers.device import IrqReturn, PciDevice
from pseudokern.drivers.keys import PCI_KEYS, Integer, Key, Rate
from pseudokern.x86.msi_chip import message_of

MAX_INTERRUPTERS = 16


class Xhci(PciDevice):
    """An xHCI controller. rate: events a second."""

    KEYS: ClassVar = {
        **PCI_KEYS,
        "rate": Key(Rate(), default=0, doc="events a second"),
        "used": Key(Integer(1, MAX_INTERRUPTERS), default=1, doc="vectors it requests; all in 6.1"),
    }
    IDENTITY: ClassVar = (0x8086, 0xA12F, 0x0C0330)
    DRIVER: ClassVar = "xhci_hcd"

    def probe(self) -> None:
        self.enable()
        count = min(self.kernel.online.bit_count() + 1, MAX_INTERRUPTERS)
        descs = self.pc.pci.alloc_msix(self.function, count)
        for desc in descs[: self.options["used"]]:
            self.request_irq(desc.irq, lambda: IrqReturn.HANDLED, name="xhci_hcd")
        self.traffic(self.options["rate"], [message_of(descs[0]).trigger_now])
