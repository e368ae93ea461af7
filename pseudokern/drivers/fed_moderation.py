"""Work out when a queue with a feed interrupts, from when its frames will come.

Nothing happens when a frame comes: the only event is the next interrupt, when that is known from
the times of the frames (kernel/feed.py) and from how long to wait.
"""

from bisect import bisect_right
from typing import Final

from pseudokern.drivers.intx import IntxSource
from pseudokern.drivers.moderation import Moderation
from pseudokern.drivers.rx_queue import RxQueue
from pseudokern.hw.message import Message
from pseudokern.kernel.feed import Feed
from pseudokern.kernel.napi import NAPI_WEIGHT
from pseudokern.sim.timeline import FOREVER_NS, SOURCE_BITS, Timeline
from pseudokern.x86.fed_gate import FedGate
from pseudokern.x86.fed_polls import FedPolls

MOST_AHEAD: Final = 512  # frames to know before they come, only to see whether they are soon enough


class FedModeration(Moderation):
    """A Moderation that works out when it will interrupt, from when frames will come.

    Set to wait for nothing it interrupts when the next frame comes. What it keeps is how things
    were when the last frame came that was `seen`; for those since then it follows from their times.
    """

    __slots__ = ("_due_ns", "_ends_ns", "_fed", "_feed", "_rings_ns", "_source")

    _feed: Feed
    _fed: FedPolls | None  # of the gate that the queue's interrupt has

    def __init__(self, timeline: Timeline, queue: RxQueue) -> None:
        super().__init__(timeline, queue)
        self._source = timeline.add_source(self._ring)
        self._ends_ns = FOREVER_NS  # of the wait that has begun
        self._due_ns = FOREVER_NS  # the next interrupt, if nobody polls before
        self._rings_ns = FOREVER_NS  # the earliest time that is on the timeline; 0: it rings now

    def trigger_changed(self) -> None:
        gate = getattr(self.trigger, "__self__", None)
        self._fed = gate.fed if isinstance(gate, FedGate) else None

    def connect(self, message: Message | IntxSource) -> None:
        """Moderate the queue from now on."""
        feed = self.queue.feed
        assert feed is not None
        self._feed, feed.listener = feed, self
        super().connect(message)
        self.look()

    def stop(self) -> None:
        """The wait is over without an interrupt."""
        self._frames = 0
        self._ends_ns = self._due_ns = FOREVER_NS
        if self.queue.feed is not None:
            self.queue.feed.see()

    def look(self) -> None:
        """Other frames will come than was known, or the wait is another."""
        self._expect(FOREVER_NS if self._feed.scheduled else self._foreseen_ns())

    def event(self, now_ns: int) -> None:
        """A frame came that nobody knew of."""
        if not self._rings_ns:
            return  # it looks when that is over
        if self._foreseen_ns() > now_ns:
            self.look()
            return
        self.interrupt(now_ns)

    def interrupt(self, now_ns: int) -> None:
        rings_ns, self._rings_ns = self._rings_ns, 0
        try:
            self._interrupt(now_ns)
        finally:
            self._rings_ns = rings_ns
            self._feed.see()
            self.look()

    def polling_began(self, now_ns: int, *, is_announced: bool = True) -> None:
        feed = self._feed
        end = feed.arrived(now_ns)
        self.note(end)
        self._due_ns = FOREVER_NS
        if end > feed.head and is_announced and feed.latency.is_next():
            cost, announced_ns = feed.kernel.cost, feed.times[feed.head : end]
            entered_ns = now_ns + cost.delivery_ns + cost.entry_ns
            feed.latency.measure(feed.latency.handler, announced_ns, entered_ns)

    def polling_ended(self, now_ns: int) -> None:
        if self._ends_ns <= now_ns:
            self._ends_ns, self._frames = FOREVER_NS, 0
        if self._feed.batches is None:
            self._feed.see()
        else:
            self._feed.seen = self._feed.head  # the others reach memory from now on
        self.look()

    def note(self, end: int) -> None:
        feed = self._feed
        came = end - feed.seen
        if came > 0 and self._rings_ns and not feed.scheduled:
            missing, ends_ns = self._most_frames - self._frames, self._time_is_up_ns()
            if 0 < missing <= came:
                ends_ns = min(ends_ns, max(feed.times[feed.seen + missing - 1], self._open_ns))
            self._frames += came
            self._ends_ns = ends_ns
        feed.seen = end

    def _interrupt(self, now_ns: int) -> None:
        self._ends_ns = self._due_ns = FOREVER_NS
        super()._interrupt(now_ns)

    def _foreseen_ns(self) -> int:
        """When it interrupts: the time is up, or there are enough frames."""
        ends_ns, missing = self._time_is_up_ns(), self._most_frames - self._frames
        if missing > 0 and ends_ns > self._open_ns:
            enough_ns = self._feed.nth_ns(self._feed.seen + missing - 1, ends_ns)
            ends_ns = min(ends_ns, max(enough_ns, self._open_ns))
        return ends_ns

    def _time_is_up_ns(self) -> int:
        """When the wait ends that has begun, or that the next frame begins."""
        if self._ends_ns != FOREVER_NS:
            return self._ends_ns
        begins_ns = self._feed.nth_ns(self._feed.seen)
        if begins_ns != FOREVER_NS and self._frames + 1 != self._most_frames:
            begins_ns += self._delay_ns
        return max(begins_ns, self._open_ns)

    def _expect(self, due_ns: int) -> None:
        self._due_ns = due_ns
        if due_ns < self._rings_ns:
            self._rings_ns = self._due_ns = self._timeline.schedule_soon(self._source, due_ns)

    def _ring(self, now_ns: int) -> int:
        """Hot path of a queue with a load: one interrupt, its poll, and when the next one is.

        What FedPolls.take() does is here once more, for when nothing else goes on and the frames
        are drawn that there are: one call for an interrupt, 1440 -> 1260 ns with its event.
        """
        if now_ns != self._due_ns:
            return self._ring_later(now_ns)
        fed, feed = self._fed, self._feed
        times, head, most = feed.times, feed.head, self._most_frames
        end = bisect_right(times, now_ns, head)
        if (ahead := len(times) - end) <= most + 1 <= MOST_AHEAD and feed.draw(end):
            head = feed.head
            end = bisect_right(times, now_ns, head)
            ahead = len(times) - end
        packets = end - head
        if (
            fed is None
            or now_ns < (cpu := fed.cpu).ready_ns
            or now_ns < (this := fed.this).softirq_end_ns
            or this.softirq_pending
            or not 0 < packets < NAPI_WEIGHT
            or ahead <= most
            or (self.adaptive is not None and not self.adaptive.only_counts())
        ):
            return self._interrupt_and_look(now_ns)
        feed.head = feed.seen = end
        cpu.ready_ns = cpu.busy_until_ns = now_ns + fed.cost_ns
        this.softirq_end_ns = now_ns + fed.work_ns[packets]
        fed.packets += packets
        fed.polls = polls = fed.polls + 1
        if polls == fed.stop_at:
            fed.stop(now_ns, times[head:end])
        if self._frames:
            self._ends_ns, self._frames = FOREVER_NS, 0
        due_ns = now_ns + gap_ns if (gap_ns := self._gap_ns) else now_ns
        self._open_ns = due_ns
        begins_ns = times[end]
        if most != 1:
            if delay_ns := self._delay_ns:
                begins_ns += delay_ns
            if most and (enough_ns := times[end + most - 1]) < begins_ns:
                begins_ns = enough_ns
        if begins_ns > due_ns:
            due_ns = begins_ns
        self._rings_ns = self._due_ns = due_ns
        return due_ns << SOURCE_BITS | self._source

    def _ring_later(self, now_ns: int) -> int:
        """What is due is not now."""
        if now_ns != self._rings_ns:
            return 0  # it was to be earlier, afterwards
        return self._key(self._due_ns)

    def _interrupt_and_look(self, now_ns: int) -> int:
        """An interrupt, however it may go, unless somebody has polled the frames before."""
        feed = self._feed
        self._rings_ns, self._frames = 0, 0
        self._due_ns = self._ends_ns = FOREVER_NS
        try:
            if feed.arrived(now_ns) > feed.head:
                self._interrupt(now_ns)
        except BaseException:
            self._rings_ns = FOREVER_NS
            feed.see()
            self.look()
            raise
        if feed.scheduled:
            return self._key(FOREVER_NS)
        feed.see()
        return self._key(self._foreseen_ns())

    def _key(self, due_ns: int) -> int:
        """Ring again then."""
        if due_ns <= self._timeline.now_ns:
            due_ns = self._timeline.now_ns + 1
        self._rings_ns = self._due_ns = due_ns
        return due_ns << SOURCE_BITS | self._source if due_ns != FOREVER_NS else 0
