"""Route 24 pins to CPUs: the 82093AA I/O APIC.

Follows the 82093AA datasheet and the spec update that newer chips share (Remote IRR).

Edge: a transition delivers once; while masked it is lost (and counted). Level: an asserted pin
delivers and sets Remote IRR; it delivers again after the EOI if it is still asserted.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from pseudokern.hw.bus import InterruptBus, message_address
from pseudokern.hw.vector import ApicId, RequesterId, Vector

PINS = 24
LOST_ON_THE_WAY = "lost on the way, as was asked for"
VERSION = 0x20


@dataclass(slots=True)
class RedirectionEntry:
    """One pin's programming and state.

    active_low  an electrical 0 asserts the pin
    address     what the message of a remapped pin is written to; 0: the destination decides. Its
                vector is only what the EOI is compared with then
    """

    vector: Vector = Vector(0)
    destination: ApicId = ApicId(0)
    masked: bool = True
    level: bool = False
    active_low: bool = False
    remote_irr: bool = False
    address: int = 0


Later = Callable[[Callable[[], None]], None]  # does what it is given, at some time


class IoApic:
    """24 redirection entries, and the levels at the pins."""

    def __init__(self, bus: InterruptBus, gsi_base: int, requester: RequesterId) -> None:
        self.gsi_base = gsi_base
        self.requester = requester
        self.entries = [RedirectionEntry() for _ in range(PINS)]
        self.lost: Counter[str] = Counter()
        self._bus = bus
        self._to_lose: dict[int, int] = {}
        self._later: Later | None = None
        self._high = [False] * PINS
        # The pins whose Remote IRR is set, by vector: an EOI names only that.
        self._awaiting_eoi: dict[Vector, list[int]] = {}

    def is_asserted(self, pin: int) -> bool:
        return self._high[pin] != self.entries[pin].active_low

    def set_pin(self, pin: int, high: bool) -> None:
        """Drive the wire at pin."""
        before = self.is_asserted(pin)
        self._high[pin] = high
        if self.is_asserted(pin) and not before:
            self._asserted(pin)

    def pulse(self, pin: int) -> None:
        """Assert the pin and let go: what an edge-triggered device does.

        The wire is idle again before anything is delivered: a handler may make the next edge.
        """
        if self.is_asserted(pin):
            return
        level = not self.entries[pin].active_low
        if self.entries[pin].level:
            self.set_pin(pin, level)
            self.set_pin(pin, not level)
        else:
            self._asserted(pin)

    def glitch(self, pin: int) -> None:
        """Noise: a level that is gone again by the time of the EOI."""
        if not self.is_asserted(pin):
            self._asserted(pin)

    def program(self, pin: int, *, vector: Vector, destination: ApicId, address: int = 0) -> None:
        """Write where the pin's interrupts go. An EOI is compared with the vector written here."""
        entry = self.entries[pin]
        if entry.remote_irr and vector != entry.vector:
            self._awaiting_eoi[entry.vector].remove(pin)
            self._awaiting_eoi.setdefault(vector, []).append(pin)
        entry.vector, entry.destination, entry.address = vector, destination, address

    def configure(self, pin: int, *, level: bool, active_low: bool) -> None:
        """Write trigger and polarity. The idle wire follows, so that nothing is asserted by it."""
        entry = self.entries[pin]
        asserted = self.is_asserted(pin)
        entry.level, entry.active_low = level, active_low
        self._high[pin] = asserted != active_low
        if not level:
            self._forget(pin)

    def set_masked(self, pin: int, masked: bool) -> None:
        """Write the mask bit; unmasking a level pin that is asserted delivers."""
        entry = self.entries[pin]
        entry.masked = masked
        if not masked and entry.level and self.is_asserted(pin):
            self._asserted(pin)

    def clear_remote_irr(self, pin: int) -> None:
        """Switch a level pin to edge and back, which is how an I/O APIC is made to forget that it
        waits for an EOI."""
        entry = self.entries[pin]
        self.configure(pin, level=False, active_low=entry.active_low)
        self.configure(pin, level=True, active_low=entry.active_low)

    def eoi(self, vector: Vector) -> None:
        """A broadcast EOI: clear Remote IRR of its pins; what is still asserted delivers again."""
        if self._later is None:
            self._end(vector)
        else:
            self._later(lambda: self._end(vector))

    def delay_eois(self, later: Later | None) -> None:
        """Let EOIs arrive when later does what they do; None: at once again."""
        self._later = later

    def lose_next(self, pin: int, times: int) -> None:
        """Let so many of the next edges at a pin be lost on their way."""
        self._to_lose[pin] = times

    def losing(self, pin: int) -> int:
        """How many of the next edges will be lost."""
        return self._to_lose.get(pin, 0)

    def _end(self, vector: Vector) -> None:
        for pin in self._awaiting_eoi.pop(vector, ()):
            self.entries[pin].remote_irr = False
            if self.is_asserted(pin):
                self._asserted(pin)

    def _asserted(self, pin: int) -> None:
        entry = self.entries[pin]
        if entry.masked:
            if not entry.level:
                self.lost["edge at a masked I/O APIC pin"] += 1
            return
        if not entry.level:
            if self._to_lose.get(pin):
                self._to_lose[pin] -= 1
                self.lost[LOST_ON_THE_WAY] += 1
            else:
                self._send(entry)
        elif not entry.remote_irr:
            entry.remote_irr = True
            self._awaiting_eoi.setdefault(entry.vector, []).append(pin)
            self._send(entry)

    def _send(self, entry: RedirectionEntry) -> None:
        bus = self._bus
        if entry.address:
            bus.write(entry.address, 0, self.requester, level=entry.level)
        elif bus.remapping is None:  # the most common: nobody has to look at the message
            bus.deliver(entry.destination, entry.vector, level=entry.level)
        else:
            address = message_address(entry.destination)
            bus.write(address, entry.vector, self.requester, level=entry.level)

    def _forget(self, pin: int) -> None:
        self.entries[pin].remote_irr = False
        for pins in self._awaiting_eoi.values():
            if pin in pins:
                pins.remove(pin)
