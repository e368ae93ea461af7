"""Share one INTx wire among devices: it is asserted while any of them asserts it.

Follows PCI Local Bus 3.0, 2.2.6: INTx# is open drain and active low.
"""

from typing import Protocol


class Pins(Protocol):
    """Where wires end: an I/O APIC, or the router in front of the 8259 pair."""

    def set_pin(self, pin: int, high: bool) -> None:
        """Drive the wire at pin."""


class IntxLine:
    """The wire from the devices on one line to one pin."""

    __slots__ = ("_asserting", "_pin", "_pins")

    def __init__(self, pins: Pins, pin: int) -> None:
        self._pins = pins
        self._pin = pin
        self._asserting: set[object] = set()
        pins.set_pin(pin, high=True)

    def assert_by(self, device: object) -> None:
        """Pull the wire low."""
        self._asserting.add(device)
        self._pins.set_pin(self._pin, high=False)

    def release_by(self, device: object) -> None:
        """Let go; the wire is high again when the last one has."""
        self._asserting.discard(device)
        if not self._asserting:
            self._pins.set_pin(self._pin, high=True)

    def is_asserted_by(self, device: object) -> bool:
        return device in self._asserting
