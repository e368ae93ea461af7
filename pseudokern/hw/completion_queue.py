"""Post completions, and say so by an interrupt: for each of them, or for several together.

Follows the NVM Express base specification: completion queues, and interrupt coalescing. The
interrupt comes when as many completions wait as the threshold says, or when the first of them has
waited for the time.

Not modelled: phase bits and doorbells. The host takes all that is there, so a queue is never full.
"""

from collections.abc import Callable
from typing import Any, Protocol

from pseudokern.sim.alarm import Alarm
from pseudokern.sim.timeline import Timeline

Trigger = Callable[[int], None]


class Coalescing(Protocol):
    """How long completions of a controller wait for others: hw/nvme_features.py."""

    @property
    def threshold(self) -> int: ...

    @property
    def time_ns(self) -> int: ...

    def coalesces(self, vector: int) -> bool:
        """Whether those of a vector do."""
        ...


class CompletionQueue:
    """One queue of completions; trigger sends its interrupt. Without one it is polled.

    vector              which of the controller's that is
    posted, interrupts  how many there were
    """

    def __init__(
        self,
        timeline: Timeline,
        trigger: Trigger | None,
        coalescing: Coalescing | None = None,
        vector: int = 0,
    ) -> None:
        self._timeline = timeline
        self._trigger = trigger
        self._coalescing = coalescing
        self._vector = vector
        self._entries: list[Any] = []
        self._unsignalled = 0
        self._alarm: Alarm | None = None
        self.posted = 0
        self.interrupts = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def is_polled(self) -> bool:
        return self._trigger is None

    def post(self, entry: object) -> None:
        """A command is done."""
        self._entries.append(entry)
        self.posted += 1
        if self._trigger is None:
            return
        self._unsignalled += 1
        coalescing = self._coalescing
        waits = coalescing is not None and coalescing.coalesces(self._vector)
        if coalescing is None or not waits or self._unsignalled >= coalescing.threshold:
            self._signal()
        elif self._unsignalled == 1:
            if self._alarm is None:
                self._alarm = Alarm(self._timeline, self._signal)
            self._alarm.set(self._timeline.now_ns + coalescing.time_ns)

    def changed(self) -> None:
        """What waits has waited enough: the rules are others now."""
        if self._unsignalled:
            self._signal()

    def take(self) -> list[Any]:
        """What the host finds when it looks; it need not be told of that any more."""
        entries, self._entries = self._entries, []
        self._unsignalled = 0
        if self._alarm is not None:
            self._alarm.cancel()
        return entries

    def _signal(self) -> None:
        self._unsignalled = 0
        if self._alarm is not None:
            self._alarm.cancel()
        if self._trigger is not None:
            self.interrupts += 1
            self._trigger(self._timeline.now_ns)
