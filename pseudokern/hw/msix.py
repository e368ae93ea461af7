"""Send interrupts as messages, from a table with mask bits and pending bits: MSI-X.

Follows PCI Local Bus 3.0, 6.8.2. An event at a masked entry sets its pending bit and sends
nothing; unmasking sends it. Events at an entry that is already pending are one event with it.
"""

from pseudokern.hw.bus import InterruptBus
from pseudokern.hw.trigger import Source, Trigger

MAX_ENTRIES = 2048


class MsixEntry:
    """One row of the table, and its bit in the pending bit array.

    trigger(now_ns) is what an event of the device does. It is chosen anew when the mask or the
    message changes, so the hot path has no question to ask (x86/gate.py puts its own there).
    """

    __slots__ = ("_bus", "_gate", "_source", "_table", "address", "collapsed", "data", "index",
                 "masked", "pending", "trigger")  # fmt: skip

    def __init__(self, table: "MsixTable", index: int, bus: InterruptBus) -> None:
        self.index = index
        self.address = 0
        self.data = 0
        self.masked = True
        self.pending = False
        self.collapsed = 0
        self._table = table
        self._bus = bus
        self._gate: Trigger | None = None
        self._source: Source | None = None
        self.trigger: Trigger = self._pend

    @property
    def is_open(self) -> bool:
        """Whether an event sends the message."""
        return self._table.enabled and not self._table.function_masked and not self.masked

    def set_message(self, address: int, data: int) -> None:
        self.address, self.data = address, data

    def set_masked(self, masked: bool) -> None:
        self.masked = masked
        self.update()

    def connect(self, source: Source) -> None:
        """Let source.trigger always be the same as trigger."""
        self._source = source
        source.trigger = self.trigger

    def set_gate(self, gate: Trigger | None) -> None:
        """Let gate do what sending the message would do, as long as the entry is open."""
        self._gate = gate
        self.update()

    def update(self) -> None:
        """Choose what an event does from now on, and send what is pending if that is sending."""
        self.trigger = (self._gate or self._send) if self.is_open else self._pend
        if self._source is not None:
            self._source.trigger = self.trigger
        if self.pending and self.is_open:
            self.pending = False
            self._bus.write(self.address, self.data)

    def trigger_now(self, now_ns: int) -> None:
        """An event of the device, whatever an event does at the time."""
        self.trigger(now_ns)

    def _send(self, _now_ns: int) -> None:
        self._bus.write(self.address, self.data)

    def _pend(self, _now_ns: int) -> None:
        if self.pending:
            self.collapsed += 1
        self.pending = True


class MsixTable:
    """The MSI-X capability of one function: 1 to 2048 entries."""

    def __init__(self, bus: InterruptBus, size: int) -> None:
        if not 1 <= size <= MAX_ENTRIES:
            raise ValueError(f"an MSI-X table has 1 to {MAX_ENTRIES} entries, not {size}")
        self.enabled = False
        self.function_masked = False
        self.entries = [MsixEntry(self, index, bus) for index in range(size)]

    def set_enabled(self, enabled: bool) -> None:
        self.enabled = enabled
        self._update()

    def set_function_masked(self, masked: bool) -> None:
        self.function_masked = masked
        self._update()

    def _update(self) -> None:
        for entry in self.entries:
            entry.update()
