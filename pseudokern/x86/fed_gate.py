"""Take the short way for a queue that knows its frames by their times (kernel/feed.py).

The same as NapiGate, but however many frames a poll takes, nobody is called: it is a place in the
list of times.
"""

from bisect import bisect_right

from pseudokern.hw.cpu import Cpu
from pseudokern.hw.vector import Vector
from pseudokern.irq.action import IrqAction
from pseudokern.irq.desc import IrqDesc
from pseudokern.kernel.feed import Feed
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.napi import NAPI_WEIGHT, CountedNapi
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.softirq import Softirq
from pseudokern.x86.gate import MOST_POLLS, EdgeGate, NapiGate, napi_of


class FedGate(NapiGate):
    """The short way of a queue with a feed; fed_polls and packets are since the last fold.

    All that drivers/fed_queue.py needs in order not to call fire() is there for it to see.
    """

    __slots__ = ("_entry_ns", "cost_ns", "cpu", "fed_polls", "feed", "packets", "stop_at", "this",
                 "work_ns")  # fmt: skip

    def __init__(self, kernel: Kernel, desc: IrqDesc, action: IrqAction) -> None:
        super().__init__(kernel, desc, action)
        self.feed = _feed_of(action)
        self.cpu: Cpu
        self.this: PerCpu
        self.cost_ns = self._cost_ns
        begin_ns, item_ns = self._cost_ns + kernel.cost.softirq_ns, kernel.cost.softirq_item_ns
        # By the number of packets: interrupt and poll.
        self.work_ns = [begin_ns + packets * item_ns for packets in range(NAPI_WEIGHT)]
        self._entry_ns = kernel.cost.delivery_ns + kernel.cost.entry_ns
        self.fed_polls = 0
        self.packets = 0
        self.stop_at = self.feed.latency.gap()

    def is_for(self, action: IrqAction) -> bool:
        return super().is_for(action) and self.feed is _feed_of(action)

    def install(self, cpu: Cpu, vector: Vector) -> None:
        super().install(cpu, vector)
        self.cpu, self.this = cpu, self._this

    def fire(self, now_ns: int) -> None:
        """One interrupt, and its poll if nothing else is going on on this CPU."""
        cpu, this, feed = self.cpu, self.this, self.feed
        if (
            now_ns < cpu.ready_ns
            or now_ns < this.softirq_end_ns
            or this.softirq_pending
            or feed.scheduled
        ):
            super().fire(now_ns)
            return
        times, head = feed.times, feed.head
        end = bisect_right(times, now_ns, head)
        if end == len(times):
            end = feed.arrived(now_ns)
            head = feed.head  # drawing more makes room at the front
        packets = end - head
        if packets >= NAPI_WEIGHT:
            EdgeGate.fire(self, now_ns)  # through NET_RX, which knows when the poll begins
            return
        feed.head = end
        cpu.ready_ns = cpu.busy_until_ns = now_ns + self.cost_ns
        this.softirq_end_ns = now_ns + self.work_ns[packets]
        self.packets += packets
        self.fed_polls = polls = self.fed_polls + 1
        if polls == self.stop_at:
            self.stop(now_ns, times[head:end])

    def stop(self, now_ns: int, arrived_ns: list[int]) -> None:
        """This poll is measured; say which one is the next."""
        latency = self.feed.latency
        latency.measure(latency.handler, arrived_ns, now_ns + self._entry_ns)
        latency.measure(latency.napi, arrived_ns, now_ns + self.work_ns[0])
        self.stop_at += latency.gap()
        if self.stop_at > MOST_POLLS:
            self.fold()

    def fold(self) -> None:
        super().fold()
        if polls := self.fed_polls:
            this, packets = self._this, self.packets
            self.fed_polls = self.packets = 0
            self.stop_at -= polls
            self._desc.count_many(this.cpu, polls)
            this.hardirq_ns += polls * self._cost_ns
            poll_ns = self.work_ns[0] - self._cost_ns
            this.softirq_ns += polls * poll_ns + packets * (self.work_ns[1] - self.work_ns[0])
            this.softirq_counts[Softirq.NET_RX] += polls
            self._napi.packets += packets
            this.rx_packets += packets


def _feed_of(action: IrqAction) -> Feed:
    napi = napi_of(action)
    assert isinstance(napi, CountedNapi)
    assert napi.feed is not None
    return napi.feed
