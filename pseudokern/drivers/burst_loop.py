"""Look into receive queues in turn, as often as time is enough for, and work for what is found.

The loop of DPDK's applications: rte_eth_rx_burst() on each queue. It is worked out at once for a
piece of time that has passed, from when frames came.
"""

from pseudokern.drivers.rx_queue import RxQueue
from pseudokern.kernel.feed import Feed
from pseudokern.sim.histogram import Histogram

MOST_STRIDE = 16  # of bursts whose packets' latencies are measured: they cost nothing else


class Polled:
    """A queue that a core polls, and when its frames come.

    bursts   how often a look found something; measure_at: of which latencies are counted next
    """

    __slots__ = ("bursts", "feed", "measure_at", "queue")

    def __init__(self, queue: RxQueue, feed: Feed) -> None:
        self.queue = queue
        self.feed = feed
        self.bursts = 0
        self.measure_at = feed.latency.gap(self.stride)

    @property
    def stride(self) -> int:
        """One burst in so many is measured, and counts for as many."""
        return min(self.feed.latency.stride, MOST_STRIDE)


class BurstLoop:
    """The loop of one core.

    queues   what it looks into, in this order
    busy_ns  time for packets; in the rest of it nothing was found
    latency  from the wire until the burst is there with which a packet comes
    """

    def __init__(self, latency: Histogram) -> None:
        self.queues: list[Polled] = []
        self.busy_ns = 0
        self.latency = latency
        self._place = 0
        self.set_costs(1, 0, 0, 1)

    def set_costs(self, poll_ns: int, recv_ns: int, work_ns: int, burst: int) -> None:
        """Times of a look, and of each packet that it finds, of which it takes so many at most."""
        self._poll_ns = max(1, poll_ns)
        self._recv_ns = recv_ns
        self._work_ns = work_ns
        self._burst = burst

    @property
    def bursts(self) -> int:
        """How often a look into one of the present queues found something."""
        return sum(polled.bursts for polled in self.queues)

    def run(self, clock_ns: int, until_ns: int) -> int:
        """Look from clock_ns on; when it looks next, which is not before until_ns."""
        if len(self.queues) == 1:
            return self.run_alone(clock_ns, until_ns)
        return self.run_many(clock_ns, until_ns)

    def run_many(self, clock_ns: int, until_ns: int) -> int:
        """run() for any number of queues."""
        queues, place, empty = self.queues, self._place, 0
        if not queues:
            return max(clock_ns, until_ns)
        place %= len(queues)  # there may have been more of them
        while clock_ns < until_ns:
            if empty == len(queues):
                clock_ns, place = self._skip(clock_ns, until_ns, place)
                empty = 0
                continue
            polled = queues[place]
            place = place + 1 if place + 1 < len(queues) else 0
            packets = polled.feed.arrived(clock_ns) - polled.feed.head
            if packets:
                empty = 0
                clock_ns = self._take(polled, packets, clock_ns)
            else:
                empty += 1
                clock_ns += self._poll_ns
        self._place = place
        return clock_ns

    def run_alone(self, clock_ns: int, until_ns: int) -> int:
        """run() for one queue, in a third of the time. Hot path of poll-mode programs."""
        polled, poll_ns = self.queues[0], self._poll_ns
        queue, feed = polled.queue, polled.feed
        first_ns = poll_ns + self._recv_ns  # a burst of one packet
        one_ns = first_ns + self._work_ns
        alone, times, head, ahead = 0, feed.times, feed.head, len(feed.times) - 2
        while clock_ns < until_ns:
            if head >= ahead:  # the one that is there and the one after it have to be known
                feed.head = feed.seen = head
                next_ns = feed.nth_ns(head, until_ns)
                feed.nth_ns(feed.head + 2, until_ns)
                head, ahead = feed.head, len(times) - 2
            else:
                next_ns = times[head]
            if next_ns > clock_ns:
                if next_ns > until_ns:
                    next_ns = until_ns
                clock_ns -= (clock_ns - next_ns) // poll_ns * poll_ns
                if clock_ns >= until_ns:
                    break
            if (
                head < ahead
                and times[head + 1] > clock_ns
                and polled.bursts + 1 < polled.measure_at
            ):
                polled.bursts += 1
                head += 1
                alone += 1
                clock_ns += one_ns
                continue
            feed.head = feed.seen = head
            clock_ns = self._take(polled, feed.arrived(clock_ns) - feed.head, clock_ns)
            head, ahead = feed.head, len(times) - 2
        feed.head = feed.seen = head
        queue.packets += alone
        self.busy_ns += alone * one_ns
        return clock_ns

    def _take(self, polled: Polled, packets: int, clock_ns: int) -> int:
        """A look finds so many packets; when they are done."""
        feed, head = polled.feed, polled.feed.head
        if packets > self._burst:
            if packets > polled.queue.size:
                feed.drop(clock_ns)
            packets = self._burst
        got_ns = clock_ns + self._poll_ns + packets * self._recv_ns
        polled.bursts += 1
        if polled.bursts >= polled.measure_at:
            latency, stride = feed.latency, polled.stride
            polled.measure_at += latency.gap(stride)
            for arrived_ns in feed.times[head : head + packets]:
                latency.application.count(got_ns - arrived_ns, stride)
                self.latency.count(got_ns - arrived_ns, stride)
        feed.head = feed.seen = head + packets
        polled.queue.packets += packets
        end_ns = got_ns + packets * self._work_ns
        self.busy_ns += end_ns - clock_ns
        return end_ns

    def _skip(self, clock_ns: int, until_ns: int, place: int) -> tuple[int, int]:
        """All queues are empty: the time and the place of the first look that finds something.

        If that is not before until_ns, of the first look that is not.
        """
        count = len(self.queues)
        looks = -(-(until_ns - clock_ns) // self._poll_ns)
        for offset in range(count):
            feed = self.queues[(place + offset) % count].feed
            next_ns = feed.nth_ns(feed.head, until_ns)
            if next_ns < until_ns:
                rounds = -(-(next_ns - clock_ns - offset * self._poll_ns) // self._poll_ns // count)
                looks = min(looks, max(0, rounds) * count + offset)
        return clock_ns + looks * self._poll_ns, (place + looks) % count
