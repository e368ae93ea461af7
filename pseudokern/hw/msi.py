"""Send interrupts as messages that differ in the low bits of their data: MSI.

Follows PCI Local Bus 3.0, 6.8.1: 1 to 32 vectors, a power of two, one address; masking for each
vector is optional, and a device that has it has pending bits as well.
"""

from pseudokern.hw.bus import InterruptBus
from pseudokern.hw.trigger import Source, Trigger

MAX_VECTORS = 32


class MsiVector:
    """One of the messages of a function; the same face as an entry of MSI-X."""

    __slots__ = ("_capability", "_gate", "_source", "collapsed", "index", "masked", "pending",
                 "trigger")  # fmt: skip

    def __init__(self, capability: "MsiCapability", index: int) -> None:
        self.index = index
        self.masked = capability.maskable
        self.pending = False
        self.collapsed = 0
        self._capability = capability
        self._gate: Trigger | None = None
        self._source: Source | None = None
        self.trigger: Trigger = self._pend

    @property
    def address(self) -> int:
        return self._capability.address

    @property
    def data(self) -> int:
        return self._capability.data + self.index

    @property
    def is_open(self) -> bool:
        return self._capability.enabled and not self.masked

    def set_message(self, address: int, data: int) -> None:
        """Write address and data of the function; only its first vector's are kept."""
        self._capability.address = address
        self._capability.data = data - self.index

    def set_masked(self, masked: bool) -> None:
        """Set the mask bit; a function without mask bits ignores it."""
        if self._capability.maskable:
            self.masked = masked
            self.update()

    def connect(self, source: Source) -> None:
        """Let source.trigger always be the same as trigger."""
        self._source = source
        source.trigger = self.trigger

    def set_gate(self, gate: Trigger | None) -> None:
        """Let gate do what sending the message would do, as long as the vector is open."""
        self._gate = gate
        self.update()

    def update(self) -> None:
        """Choose what an event does from now on, and send what is pending if that is sending."""
        self.trigger = (self._gate or self._send) if self.is_open else self._pend
        if self._source is not None:
            self._source.trigger = self.trigger
        if self.pending and self.is_open:
            self.pending = False
            self._send(0)

    def trigger_now(self, now_ns: int) -> None:
        """An event of the device, whatever an event does at the time."""
        self.trigger(now_ns)

    def _send(self, _now_ns: int) -> None:
        self._capability.bus.write(self.address, self.data)

    def _pend(self, _now_ns: int) -> None:
        if self.pending:
            self.collapsed += 1
        self.pending = True


class MsiCapability:
    """The MSI capability of one function."""

    def __init__(self, bus: InterruptBus, count: int, *, maskable: bool) -> None:
        if count not in (1, 2, 4, 8, 16, 32):
            raise ValueError(f"MSI has 1, 2, 4, 8, 16 or 32 vectors, not {count}")
        self.bus = bus
        self.maskable = maskable
        self.enabled = False
        self.address = 0
        self.data = 0
        self.entries = [MsiVector(self, index) for index in range(count)]

    def set_enabled(self, enabled: bool) -> None:
        self.enabled = enabled
        for vector in self.entries:
            vector.update()
