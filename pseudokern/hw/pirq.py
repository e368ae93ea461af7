"""Route PCI interrupt lines to the 8259 pair, as the south bridge does without an I/O APIC.

Follows the PIRQ registers of the ICH9 as SeaBIOS programs them, and PCI Local Bus 3.0, 2.2.6: PCI's
wires are active low, the 8259's inputs active high.
"""

from pseudokern.hw.i8259 import I8259Pair

FIRST_PIRQ_GSI = 16  # PIRQ A at an I/O APIC
ROUTES = (10, 10, 11, 11)  # of PIRQ A, B, C and D; then E to H in the same way


class PirqRouter:
    """The wires from the PCI slots to the 8259 pair; pins are lines of the 8259."""

    def __init__(self, pic: I8259Pair) -> None:
        self._pic = pic

    def route(self, gsi: int) -> int:
        """The 8259's line for what is line gsi of an I/O APIC."""
        return gsi if gsi < FIRST_PIRQ_GSI else ROUTES[gsi % len(ROUTES)]

    def set_pin(self, pin: int, high: bool) -> None:
        """Drive the wire that comes out at pin."""
        self._pic.set_line(pin, not high)
