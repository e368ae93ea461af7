"""Share one INTx wire among devices: it is asserted while any of them asserts it.

Follows PCI Local Bus 3.0, 2.2.6: INTx# is open drain and active low.
"""

from pseudokern.hw.ioapic import IoApic


class IntxLine:
    """The wire from the devices on one line to one pin."""

    __slots__ = ("_asserting", "_ioapic", "_pin")

    def __init__(self, ioapic: IoApic, pin: int) -> None:
        self._ioapic = ioapic
        self._pin = pin
        self._asserting: set[object] = set()
        ioapic.set_pin(pin, high=True)

    def assert_by(self, device: object) -> None:
        """Pull the wire low."""
        self._asserting.add(device)
        self._ioapic.set_pin(self._pin, high=False)

    def release_by(self, device: object) -> None:
        """Let go; the wire is high again when the last one has."""
        self._asserting.discard(device)
        if not self._asserting:
            self._ioapic.set_pin(self._pin, high=True)

    def is_asserted_by(self, device: object) -> bool:
        return device in self._asserting
