"""Be an old USB controller: UHCI, OHCI or EHCI, on a shared INTx line.

Follows drivers/usb/core/hcd.c: usb_add_hcd() names the handler after the driver and the bus.
"""

from typing import ClassVar, NamedTuple

from pseudokern.drivers.device import PciDevice
from pseudokern.drivers.intx import IntxDevice
from pseudokern.drivers.keys import Choice, Key, Rate
from pseudokern.drivers.pci_keys import PCI_KEYS


class _Kind(NamedTuple):
    """Driver in /sys/bus/pci/drivers, driver in the name of the handler, PCI device and class."""

    driver: str
    hcd: str
    device: int
    pci_class: int


KINDS = {
    "uhci": _Kind("uhci_hcd", "uhci_hcd", 0x2934, 0x0C0300),
    "ohci": _Kind("ohci-pci", "ohci_hcd", 0x003F, 0x0C0310),
    "ehci": _Kind("ehci-pci", "ehci_hcd", 0x293A, 0x0C0320),
}
BUSES = {"xhci_hcd": 2, **{kind.driver: 1 for kind in KINDS.values()}}


def next_bus(device: PciDevice) -> int:
    """Number of the bus of a controller that is being probed; USB 3 has two buses."""
    functions = device.pc.pci.functions.values()
    return 1 + sum(BUSES.get(f.driver, 0) for f in functions if f is not device.function)


class UsbHcd(IntxDevice):
    """One controller with one bus. rate: events a second."""

    KEYS: ClassVar = {
        **PCI_KEYS,
        "kind": Key(Choice(*KINDS), default="uhci", doc="what it is"),
        "rate": Key(Rate(), default=0, doc="events a second"),
    }

    @property
    def kind(self) -> _Kind:
        return KINDS[self.options["kind"]]

    @property
    def identity(self) -> tuple[int, int, int]:
        return 0x106B if self.options["kind"] == "ohci" else 0x8086, *self.kind[2:]

    @property
    def driver_name(self) -> str:
        return self.kind.driver

    def probe(self) -> None:
        line = self.enable()
        self.request_intx(line, f"{self.kind.hcd}:usb{next_bus(self)}")
        self.traffic(self.options["rate"], [self.assert_intx])
