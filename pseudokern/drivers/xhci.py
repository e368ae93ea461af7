"""Be a USB controller: MSI-X for each CPU, of which Linux uses the first, or its INTx line.

Follows drivers/usb/host/xhci-pci.c. On its line it is called after its bus: a controller has two
buses, the second for USB 3.
"""

from typing import ClassVar

from pseudokern.drivers.device import IrqReturn
from pseudokern.drivers.intx import IntxDevice
from pseudokern.drivers.keys import Integer, Key, Rate
from pseudokern.drivers.pci_keys import PCI_KEYS
from pseudokern.drivers.traffic import Target
from pseudokern.x86.msi_chip import message_of

MAX_INTERRUPTERS = 16


class Xhci(IntxDevice):
    """An xHCI controller. rate: events a second."""

    KEYS: ClassVar = {
        **PCI_KEYS,
        "rate": Key(Rate(), default=0, doc="events a second"),
        "used": Key(Integer(1, MAX_INTERRUPTERS), default=1, doc="vectors it requests; all in 6.1"),
    }
    IDENTITY: ClassVar = (0x8086, 0xA12F, 0x0C0330)
    DRIVER: ClassVar = "xhci_hcd"

    def probe(self) -> None:
        line = self.enable()
        if self.pc.pci.has_messages:
            event = self._request_messages()
        else:
            event = self.fall_back_to_intx(line, f"xhci-hcd:usb{self._bus_number}", _handle).trigger
        self.traffic(self.options["rate"], [event])

    def _request_messages(self) -> Target:
        count = min(self.kernel.online.bit_count() + 1, MAX_INTERRUPTERS)
        descs = self.pc.pci.alloc_msix(self.function, count)
        for desc in descs[: self.options["used"]]:
            self.request_irq(desc.irq, _handle, name="xhci_hcd")
        return message_of(descs[0]).trigger_now

    @property
    def _bus_number(self) -> int:
        # Here, because few machines are without messages, and every module costs time at boot.
        from pseudokern.drivers.usb_hcd import next_bus

        return next_bus(self)


def _handle() -> IrqReturn:
    return IrqReturn.HANDLED
