"""Be a logical core of a poll-mode program: look into receive queues again and again.

The loop of DPDK's applications: rte_eth_rx_burst() on each of its queues in turn, and work for what
that gives. It never sleeps, and makes no system call.

There is no event for a look, nor for a packet. The loop is worked out afterwards, now and then or
when somebody asks, from the times at which frames came and the CPU time that the task has had.
What interrupts took since the last time is put at the end of that; the turns of other tasks are
where they were.
"""

from collections.abc import Mapping
from typing import Any

from pseudokern.drivers.rx_queue import RxQueue
from pseudokern.kernel.cpumask import CpuMask
from pseudokern.kernel.cputime import unclaimed
from pseudokern.kernel.feed import Feed
from pseudokern.kernel.sched import Scheduler
from pseudokern.kernel.sched_task import SchedTask
from pseudokern.sim.histogram import Histogram

BURSTS_AT_ONCE = 500
MOST_STRIDE = 16  # of bursts whose packets' latencies are measured: they cost nothing else
LEAST_STRIDE_NS, MOST_STRIDE_NS = 100_000, 10_000_000


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


class Lcore(SchedTask):
    """One core.

    queues   what it polls, in this order
    busy_ns  user time for packets; the rest of it found nothing
    """

    def __init__(
        self,
        sched: Scheduler,
        pid: int,
        comm: str,
        cpus_allowed: CpuMask,
        latency: Histogram,
    ) -> None:
        now_ns = sched.kernel.timeline.now_ns
        super().__init__(pid, comm, cpus_allowed, now_ns)
        self.queues: list[Polled] = []
        self.busy_ns = 0
        self._sched = sched
        self._latency = latency
        self._stride_ns = LEAST_STRIDE_NS
        self._from_ns = now_ns  # until then the loop is worked out
        self._used_ns = 0
        self._ahead_ns = 0  # CPU time from there until it looks next
        self._place = 0
        self._lost_cpu = False
        self.set_options({"poll": 1, "recv": 0, "work": 0, "burst": 1})

    @property
    def _bursts(self) -> int:
        return sum(polled.bursts for polled in self.queues)

    def set_options(self, options: Mapping[str, Any]) -> None:
        """Times of its steps in ns, and packets of a burst; by the keys of the program."""
        self._poll_ns: int = max(1, options["poll"])
        self._recv_ns: int = options["recv"]
        self._work_ns: int = options["work"]
        self._burst: int = options["burst"]

    def step(self) -> None:
        before = self._bursts
        self.catch_up()
        bursts = max(1, self._bursts - before)
        stride_ns = self._stride_ns * BURSTS_AT_ONCE // bursts
        self._stride_ns = max(LEAST_STRIDE_NS, min(stride_ns, MOST_STRIDE_NS))
        self.compute(user_ns=self._stride_ns)

    def preempted(self) -> None:
        self.catch_up()
        self._lost_cpu = True

    def catch_up(self) -> None:
        """Work out what the loop has done until now. From any context."""
        run_queue = self._sched.queues[self.cpu]
        run_queue.update()
        had_ns, self._used_ns = self.utime_ns - self._used_ns, self.utime_ns
        _, free_ns = unclaimed(self._sched.kernel, run_queue.this)
        if self._lost_cpu and had_ns:
            self._lost_cpu = False
            self._from_ns = max(self._from_ns, free_ns - had_ns)
        until_ns = self._from_ns + had_ns
        loop = self._loop_alone if len(self.queues) == 1 else self._loop
        self._ahead_ns = loop(self._from_ns + self._ahead_ns, until_ns) - until_ns
        self._from_ns = max(until_ns, free_ns)

    def _loop(self, clock_ns: int, until_ns: int) -> int:
        """Look from clock_ns on, as if nobody else wanted the CPU; when it looks next."""
        queues, place, empty = self.queues, self._place, 0
        if not queues:
            return max(clock_ns, until_ns)
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

    def _loop_alone(self, clock_ns: int, until_ns: int) -> int:
        """_loop() for one queue, in a third of the time. Hot path of poll-mode programs."""
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
                self._latency.count(got_ns - arrived_ns, stride)
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
