"""Call something once at a time that can still change: what a hardware one-shot timer does.

A later time goes on the timeline only when the earlier one has come: a softirq that one interrupt
after the other puts off costs one event, not one for each of them.
"""

from collections.abc import Callable

from pseudokern.sim.timeline import FOREVER_NS, SOURCE_BITS, Timeline


class Alarm:
    """One callback, at most one due time. Setting it again replaces the time."""

    __slots__ = ("_callback", "_rings_ns", "_source", "_timeline", "due_ns")

    def __init__(self, timeline: Timeline, callback: Callable[[], None]) -> None:
        self.due_ns = FOREVER_NS
        self._rings_ns = FOREVER_NS  # the earliest time that is on the timeline
        self._timeline = timeline
        self._callback = callback
        self._source = timeline.add_source(self._ring)

    @property
    def is_set(self) -> bool:
        return self.due_ns != FOREVER_NS

    def set(self, at_ns: int) -> None:
        """Ring at at_ns (1 ns from now if that is past) instead of any earlier setting."""
        if at_ns < self._rings_ns:
            at_ns = self._rings_ns = self._timeline.schedule_soon(self._source, at_ns)
        self.due_ns = at_ns

    def cancel(self) -> None:
        self.due_ns = FOREVER_NS

    def hand_over(self, callback: Callable[[], None]) -> None:
        """Call callback from now on: an alarm's source on the timeline is there for ever, so what
        comes and goes takes over the alarms of others."""
        self.cancel()
        self._callback = callback

    def _ring(self, now_ns: int) -> int:
        if now_ns != self._rings_ns:
            return 0  # it was set to an earlier time afterwards, and rang then
        self._rings_ns = due_ns = self.due_ns
        if now_ns == due_ns:
            self._rings_ns = self.due_ns = FOREVER_NS
            self._callback()
            return 0
        return due_ns << SOURCE_BITS | self._source if due_ns != FOREVER_NS else 0
