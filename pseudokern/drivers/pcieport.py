"""Be a PCI Express root port: its services share one message.

Follows drivers/pci/pcie/portdrv.c, and the requests of pme.c, aer.c and hotplug/pciehp_hpc.c in the
order in which the services are registered. Errors and hotplug are dealt with in threads.
"""

from typing import ClassVar

from pseudokern.drivers.device import Irqf, IrqReturn
from pseudokern.drivers.intx import IntxDevice
from pseudokern.drivers.keys import Choice, Key, ListOf
from pseudokern.drivers.pci_keys import PCI_KEYS
from pseudokern.irq.desc import IrqDesc

SERVICES = {"pme": "PCIe PME", "aer": "aerdrv", "hp": "pciehp"}
THREADED = ("aer", "hp")


class PciePort(IntxDevice):
    """A port at which nothing happens: every handler says that it was not its device."""

    KEYS: ClassVar = {
        **PCI_KEYS,
        "messages": Key(Choice("msix", "msi"), default="msix"),
        "services": Key(ListOf(Choice(*SERVICES)), default=("pme", "aer"), doc="who shares it"),
    }
    IDENTITY: ClassVar = (0x1B36, 0x000C, 0x060400)
    DRIVER: ClassVar = "pcieport"

    def probe(self) -> None:
        line = self.enable()
        services = [service for service in SERVICES if service in self.options["services"]]
        if services and (desc := self._interrupt(line)) is not None:
            for service in services:
                self._request(desc, service)

    def _interrupt(self, line: IrqDesc | None) -> IrqDesc | None:
        pci = self.pc.pci
        if not pci.has_messages:
            return line
        alloc = pci.alloc_msix if self.options["messages"] == "msix" else pci.alloc_msi
        return alloc(self.function, 1)[0]

    def _request(self, desc: IrqDesc, service: str) -> None:
        name = SERVICES[service]
        if service in THREADED:
            self.request_threaded_irq(
                desc.irq, _not_mine, _nothing_to_do, flags=Irqf.SHARED, name=name
            )
        else:
            self.request_irq(desc.irq, _not_mine, flags=Irqf.SHARED, name=name)


def _not_mine() -> IrqReturn:
    return IrqReturn.NONE


async def _nothing_to_do() -> IrqReturn:
    return IrqReturn.HANDLED
