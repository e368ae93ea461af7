"""Send an interrupt as a write of a word to an address: one message of a PCI function.

Follows PCI Local Bus 3.0, 6.8. An event at a masked message sets its pending bit and sends
nothing; unmasking sends it. Events at a message that is already pending are one event with it.
How many messages there are, and where address and data stand, is in msi.py and msix.py.
"""

from abc import ABC, abstractmethod

from pseudokern.hw.bus import InterruptBus
from pseudokern.hw.trigger import Source, Trigger
from pseudokern.hw.vector import RequesterId


class Message:
    """One message: its address and data, its mask bit, its pending bit.

    trigger(now_ns) is what an event of the device does. It is chosen anew when the mask or the
    message changes, so the hot path has no question to ask (x86/gate.py puts its own there).

    collapsed  events that found the pending bit set
    lost       events that were to be lost (lose_next()), and were
    """

    __slots__ = ("_capability", "_gate", "_source", "_to_lose", "address", "collapsed", "data",
                 "index", "lost", "masked", "pending", "trigger")  # fmt: skip

    def __init__(self, capability: "MessageCapability", index: int) -> None:
        self.index = index
        self.address = 0
        self.data = 0
        self.masked = capability.maskable
        self.pending = False
        self.collapsed = 0
        self.lost = 0
        self._to_lose = 0
        self._capability = capability
        self._gate: Trigger | None = None
        self._source: Source | None = None
        self.trigger: Trigger = self._pend

    @property
    def requester(self) -> RequesterId:
        """The function that sends it."""
        return self._capability.requester

    @property
    def is_open(self) -> bool:
        """Whether an event sends the message."""
        return self._capability.is_open and not self.masked

    @property
    def losing(self) -> int:
        """How many of the next events will be lost."""
        return self._to_lose

    def set_message(self, address: int, data: int) -> None:
        """Write address and data."""
        self._capability.set_message(self, address, data)

    def set_masked(self, masked: bool) -> None:
        """Write the mask bit; a function without mask bits ignores it."""
        if self._capability.maskable:
            self.masked = masked
            self.update()

    def lose_next(self, times: int) -> None:
        """Let as many events that would send the message be lost on their way."""
        self._to_lose = times
        self.update()

    def connect(self, source: Source) -> None:
        """Let source.trigger always be the same as trigger."""
        self._source = source
        source.trigger = self.trigger

    def set_gate(self, gate: Trigger | None) -> None:
        """Let gate do what sending the message would do, as long as the message is open."""
        self._gate = gate
        self.update()

    def update(self) -> None:
        """Choose what an event does from now on, and send what is pending if that is sending."""
        is_open = not self.masked and self._capability.is_open
        trigger: Trigger = self._pend
        if is_open:
            trigger = self._lose if self._to_lose else self._gate or self._send
        if trigger != self.trigger:
            self.trigger = trigger
            if self._source is not None:
                self._source.trigger = trigger
        if self.pending and is_open:
            self.pending = False
            self._send(0)

    def trigger_now(self, now_ns: int) -> None:
        """An event of the device, whatever an event does at the time."""
        self.trigger(now_ns)

    def _send(self, _now_ns: int) -> None:
        self._capability.bus.write(self.address, self.data, self.requester)

    def _pend(self, _now_ns: int) -> None:
        if self.pending:
            self.collapsed += 1
        self.pending = True

    def _lose(self, _now_ns: int) -> None:
        self.lost += 1
        self._to_lose -= 1
        if not self._to_lose:
            self.update()


class MessageCapability(ABC):
    """What MSI and MSI-X have in common: messages that are switched on together.

    maskable  whether each message has a mask bit, which is set at first
    """

    def __init__(
        self, bus: InterruptBus, count: int, *, requester: RequesterId, maskable: bool
    ) -> None:
        self.bus = bus
        self.requester = requester
        self.maskable = maskable
        self.enabled = False
        self.entries = [Message(self, index) for index in range(count)]

    @property
    def is_open(self) -> bool:
        """Whether messages that are not masked are sent."""
        return self.enabled

    @abstractmethod
    def set_message(self, message: Message, address: int, data: int) -> None:
        """Write address and data where this one's stand."""

    def set_enabled(self, enabled: bool) -> None:
        """Write the enable bit of the capability."""
        self.enabled = enabled
        self.update()

    def update(self) -> None:
        """What concerns all messages has changed."""
        for message in self.entries:
            message.update()
