"""Be a receive queue whose frames come by themselves: those of a [[load]].

Such a queue is asked how many frames it has, rather than told of each; fed_moderation.py works
out when it interrupts. To everybody else it behaves as if receive() were called for every frame:
a property of tests/drivers/test_fed_queue.py.
"""

from typing import TYPE_CHECKING

from pseudokern.drivers.rx_queue import RxQueue
from pseudokern.kernel.feed import Feed

if TYPE_CHECKING:
    from pseudokern.kernel.kernel import Kernel


class FedQueue(RxQueue):
    """A queue becomes one where it stands, as polls, handlers and settings know it by then."""

    __slots__ = ()

    @property
    def feed(self) -> Feed:
        assert self.whole_ring.feed is not None
        return self.whole_ring.feed

    @property
    def unpolled(self) -> int:  # type: ignore[override]
        feed = self.feed
        return feed.arrived(feed.kernel.timeline.now_ns) - feed.head

    @property
    def pollable(self) -> int:
        """Frames that a poll would find now: not those that have yet to be written."""
        return self.feed.pollable(self.feed.kernel.timeline.now_ns)

    @property
    def scheduled(self) -> bool:
        return self.feed.scheduled

    @scheduled.setter
    def scheduled(self, scheduled: bool) -> None:
        feed = self.feed
        if feed.scheduled == scheduled:
            return
        now_ns = feed.kernel.timeline.now_ns
        if scheduled and feed.batches is not None:
            feed.batches.until_ns = now_ns
        if feed.listener is None:
            feed.scheduled = scheduled
        elif scheduled:
            feed.listener.polling_began(now_ns)
            feed.scheduled = True
        else:
            feed.scheduled = False
            feed.listener.polling_ended(now_ns)
            if (cleaner := self.whole_ring.cleaner) is not None:
                cleaner.interrupt.look()

    def receive(self, now_ns: int) -> None:
        """A frame arrives that is not of the load."""
        self.feed.insert(now_ns)
        if not self.scheduled:
            self._trigger(now_ns)

    def poll(self, weight: int) -> int:
        feed, cleaner = self.feed, self.whole_ring.cleaner
        if cleaner is not None:
            cleaner.clean(self)
        now_ns = feed.kernel.timeline.now_ns
        taken = feed.take(weight, now_ns)
        if taken and feed.latency.is_next():
            began_ns = max(now_ns, feed.kernel.net_rx.poll_ns)
            feed.latency.measure(feed.latency.napi, feed.taken_ns(taken), began_ns)
        return taken

    def discard(self) -> None:
        feed, ring = self.feed, self.whole_ring
        now_ns = feed.kernel.timeline.now_ns
        feed.drop(now_ns)
        feed.see()
        ring.discarded += feed.seen - feed.head
        feed.head = feed.seen


def feed_of(queue: RxQueue, kernel: "Kernel", name: str) -> Feed:
    """What feeds a queue, from now on if nothing did. name: of the queue."""
    ring = queue.whole_ring
    if ring.feed is None:
        ring.feed = Feed(kernel, name, ring, queue.unpolled, scheduled=queue.scheduled)
        queue.__class__ = FedQueue
    return ring.feed
