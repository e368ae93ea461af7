"""Describe a PCI function: its address, its identity, the ways in which it can interrupt."""

from dataclasses import dataclass, field
from typing import NewType

from pseudokern.hw.line import IntxLine
from pseudokern.hw.msi import MAX_VECTORS, MsiCapability
from pseudokern.hw.msix import MAX_ENTRIES, MsixTable
from pseudokern.hw.vector import RequesterId

Bdf = NewType("Bdf", str)  # domain:bus:device.function, as lspci -D prints it


def requester_id(bdf: Bdf) -> RequesterId:
    """How a function signs what it writes; its domain is not in it."""
    _, bus, rest = bdf.split(":")
    device, function = rest.split(".")
    return RequesterId(int(bus, 16) << 8 | int(device, 16) << 3 | int(function))


@dataclass(slots=True, eq=False)
class PciFunction:
    """One function of a device.

    subsystem  vendor and device of the card; None: those of the chip

    msix_entries, msi_vectors  how many its capabilities have room for; 0: it has not got that one
    msi_maskable  its MSI capability has a mask bit for each vector
    pci_class  the 24-bit class code
    node       -1 is no node
    driver_override  the driver that it shall have, whatever it is; empty: any that knows it
    first_irq  the number that its first message is to have; 0: the lowest that is free
    """

    bdf: Bdf
    vendor: int
    device: int
    pci_class: int
    node: int = -1
    subsystem: tuple[int | None, int | None] = (None, None)
    revision: int = 0
    gsi: int = 0
    msix_entries: int = MAX_ENTRIES
    msi_vectors: int = MAX_VECTORS
    msi_maskable: bool = True
    intx: IntxLine | None = None
    msi: MsiCapability | None = None
    msix: MsixTable | None = None
    driver: str = ""
    driver_override: str = ""
    first_irq: int = 0
    irqs: dict[int, str] = field(default_factory=dict)  # irq -> "msi" or "msix"
    irq: int = 0  # what the irq file shows: the legacy line, or the first MSI
