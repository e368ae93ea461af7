"""Call something once at a time that can still change: what a hardware one-shot timer does."""

from collections.abc import Callable

from pseudokern.sim.timeline import FOREVER_NS, Timeline


class Alarm:
    """One callback, at most one due time. Setting it again replaces the time."""

    __slots__ = ("_callback", "_queued", "_source", "_timeline", "due_ns")

    def __init__(self, timeline: Timeline, callback: Callable[[], None]) -> None:
        self.due_ns = FOREVER_NS
        self._queued: set[int] = set()
        self._timeline = timeline
        self._callback = callback
        self._source = timeline.add_source(self._ring)

    @property
    def is_set(self) -> bool:
        return self.due_ns != FOREVER_NS

    def set(self, at_ns: int) -> None:
        """Ring at at_ns (1 ns from now if that is past) instead of any earlier setting."""
        at_ns = max(at_ns, self._timeline.now_ns + 1)
        self.due_ns = at_ns
        if at_ns not in self._queued:
            self._queued.add(at_ns)
            self._timeline.schedule(self._source, at_ns)

    def cancel(self) -> None:
        self.due_ns = FOREVER_NS

    def _ring(self, now_ns: int) -> int:
        # Settings that were replaced stay on the heap and are skipped here.
        self._queued.discard(now_ns)
        if now_ns == self.due_ns:
            self.due_ns = FOREVER_NS
            self._callback()
        return 0
