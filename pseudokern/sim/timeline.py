"""Own the time, and what is due.

An event is one int, (t_ns << 16) | source: comparing ints is the cheapest order there is, and
ties fall to the source's number, so the order never depends on anything outside. A source is a
callable; its gate is called with the time and returns the key of its own next event, or 0.

A source whose events come thick (drivers/traffic.py) may handle a run of them in one call, all
those before horizon_ns, the next event of anybody else. Whoever schedules one moves the horizon.
The source is still the top of the heap then, so that event is one of the two below it.

An alarm that is set during a run and comes next is kept beside the heap: do_soon() handles it and
the run goes on. An interrupt that has to wait for a CPU, and the softirq after it, are such
events: at 30 % load one interrupt takes a tenth less time with that.
"""

from collections.abc import Callable
from heapq import heappop, heappush, heapreplace
from typing import Final, NewType

SourceId = NewType("SourceId", int)
Gate = Callable[[int], int]

SOURCE_BITS: Final = 16
SOURCE_MASK: Final = (1 << SOURCE_BITS) - 1
FOREVER_NS: Final = 1 << 62


class Timeline:
    """Integer nanoseconds since boot, and a heap of what happens when.

    heap    the keys of the events to come; there are always three, at FOREVER_NS if need be
    events  how many were handled so far; of those in runs only about
    """

    __slots__ = ("_after_soon_ns", "_gates", "_limit_key", "_soon_key", "events", "heap",
                 "horizon_ns", "now_ns")  # fmt: skip

    def __init__(self) -> None:
        self.now_ns = 0
        self.horizon_ns = 0
        self.events = 0
        self._limit_key = 0
        self._soon_key = 0
        self._after_soon_ns = 0  # the horizon without what is soon
        self._gates: list[Gate] = []
        self.heap = [FOREVER_NS << SOURCE_BITS] * 3

    def add_source(self, gate: Gate) -> SourceId:
        """Register gate; it is called with the time of each event that it asked for.

        OverflowError  there are 65,536 sources already
        """
        if len(self._gates) > SOURCE_MASK:
            raise OverflowError("the timeline has room for 65,536 sources")
        self._gates.append(gate)
        return SourceId(len(self._gates) - 1)

    def schedule(self, source: SourceId, at_ns: int) -> int:
        """Ask for source to be called at at_ns, or 1 ns from now if that is not the future."""
        if at_ns <= self.now_ns:
            at_ns = self.now_ns + 1
        heappush(self.heap, (at_ns << SOURCE_BITS) | source)
        if at_ns <= self.horizon_ns:
            self._drop_soon()
            self.horizon_ns = at_ns
        elif at_ns < self._after_soon_ns:
            self._after_soon_ns = at_ns
        return at_ns

    def schedule_soon(self, source: SourceId, at_ns: int) -> int:
        """schedule(), for a source that makes no runs."""
        if at_ns <= self.now_ns:
            at_ns = self.now_ns + 1
        if at_ns >= self.horizon_ns:
            return self.schedule(source, at_ns)
        self._drop_soon()
        self._soon_key = (at_ns << SOURCE_BITS) | source
        self._after_soon_ns, self.horizon_ns = self.horizon_ns, at_ns
        return at_ns

    def next_ns(self) -> int:
        """When the next event is due; FOREVER_NS if nothing is."""
        return self.heap[0] >> SOURCE_BITS

    def open_run(self, until_ns: int = FOREVER_NS) -> None:
        """Let the source whose gate is being called handle its events up to horizon_ns."""
        horizon_ns = min(self.heap[1], self.heap[2], self._limit_key) >> SOURCE_BITS
        self.horizon_ns = horizon_ns if horizon_ns < until_ns else until_ns

    def do_soon(self, due_ns: int) -> bool:
        """Whether the run may go on to due_ns, once what was kept beside the heap is done."""
        while self._soon_key and (now_ns := self.horizon_ns) < due_ns:
            source = SourceId(self._soon_key & SOURCE_MASK)
            self._soon_key = 0
            self.events += 1
            self.now_ns, self.horizon_ns = now_ns, self._after_soon_ns
            if next_key := self._gates[source](now_ns):
                self.schedule_soon(source, next_key >> SOURCE_BITS)
        return due_ns < self.horizon_ns

    def close_run(self, handled: int) -> None:
        """End what open_run() began, after `handled` events."""
        self._drop_soon()
        self.horizon_ns = self._after_soon_ns = 0
        self.events += handled

    def run(self, until_ns: int, most: int) -> bool:
        """Handle what is due up to and including until_ns, but only about `most` events.

        True if the time is now until_ns, False if there is more to do. An event whose gate
        raises is dropped before the exception leaves, so the timeline stays usable.
        """
        heap, gates, replace = self.heap, self._gates, heapreplace
        limit = self._limit_key = (until_ns + 1) << SOURCE_BITS
        stop_at = self.events + most
        try:
            while (key := heap[0]) < limit:
                if (events := self.events) >= stop_at:
                    return False
                self.events = events + 1
                self.now_ns = now_ns = key >> SOURCE_BITS
                # schedule() only looks forward, so key is still on top when the gate returns.
                if next_key := gates[key & SOURCE_MASK](now_ns):
                    replace(heap, next_key)
                else:
                    heappop(heap)
        except BaseException:
            self.close_run(0)
            heappop(heap)
            raise
        self.now_ns = max(self.now_ns, until_ns)
        return True

    def stop(self) -> None:
        """Forget all events: time goes on for whoever makes it, but nothing happens any more."""
        self._soon_key = 0
        # run() drops one more, that of the event which brought this about.
        self.heap[:] = [FOREVER_NS << SOURCE_BITS] * 4

    def _drop_soon(self) -> None:
        """Something else comes first, or the run is over: what was kept goes on the heap."""
        if self._soon_key:
            heappush(self.heap, self._soon_key)
            self._soon_key = 0
