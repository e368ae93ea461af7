"""Call many things once each, with one source on the timeline for all of them.

An Alarm has a source of its own for ever, of which there are 65,536. What comes and goes without
end, like commands from outside, goes here.
"""

from collections.abc import Callable
from heapq import heappop, heappush

from pseudokern.sim.alarm import Alarm
from pseudokern.sim.timeline import Timeline


class Agenda:
    """Callbacks and their times; equal times in the order in which they were set."""

    __slots__ = ("_alarm", "_count", "_entries", "_timeline")

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._alarm = Alarm(timeline, self._ring)
        self._entries: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, at_ns: int, callback: Callable[[], None]) -> None:
        """Call callback once at at_ns, or 1 ns from now if that is past."""
        self._count += 1
        heappush(self._entries, (max(at_ns, self._timeline.now_ns + 1), self._count, callback))
        self._alarm.set(self._entries[0][0])

    def _ring(self) -> None:
        _, _, callback = heappop(self._entries)
        if self._entries:
            # Before the callback, which may raise; what is due now as well comes 1 ns later.
            self._alarm.set(self._entries[0][0])
        callback()
