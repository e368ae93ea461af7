"""Say what a PC asks of whatever its wired interrupts come through: I/O APICs or the 8259 pair."""

from typing import Protocol

from pseudokern.hw.line import IntxLine
from pseudokern.irq.desc import Irq, IrqDesc


class WiredLines(Protocol):
    """The lines of ISA and PCI devices, with their interrupts."""

    def set_up_legacy(self) -> None:
        """Make interrupts 0 to 15, at boot."""

    def register(self, gsi: int) -> IrqDesc:
        """The interrupt of a PCI line. EINVAL: there is no such line."""
        ...

    def unregister(self, gsi: int) -> None:
        """No PCI device that is enabled has the line any more."""

    def map(self, irq: Irq, gsi: int, *, level: bool, node: int) -> IrqDesc:
        """The interrupt of a line under a chosen number. EINVAL: there is no such line."""
        ...

    def intx_line(self, gsi: int) -> IntxLine:
        """The wire of a PCI line, which its devices share."""
        ...

    def pulse(self, irq: Irq) -> None:
        """One edge of an ISA interrupt."""
