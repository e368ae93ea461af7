"""Handle interrupts of a queue with a feed, when nothing else goes on on their CPU.

However many packets a poll takes, it is a place in the list of their times: see FedGate.
"""

from bisect import bisect_right

from pseudokern.hw.cpu import Cpu
from pseudokern.irq.desc import IrqDesc
from pseudokern.kernel.cost import CostModel
from pseudokern.kernel.feed import Feed
from pseudokern.kernel.napi import NAPI_WEIGHT, CountedNapi
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.softirq import Softirq
from pseudokern.x86.counted_polls import MOST_POLLS


class FedPolls:
    """The interrupts of one queue on one CPU; polls and packets are since the last fold.

    cost_ns   of the interrupt
    work_ns   by the number of packets: interrupt and poll
    stop_at   the number of the next poll that is measured

    All that drivers/fed_moderation.py needs in order not to call take() is there for it to see.
    """

    __slots__ = ("_desc", "_entry_ns", "_napi", "cost_ns", "cpu", "feed", "packets", "polls",
                 "stop_at", "this", "work_ns")  # fmt: skip

    def __init__(
        self, cost: CostModel, desc: IrqDesc, napi: CountedNapi, feed: Feed, cost_ns: int
    ) -> None:
        self.feed = feed
        self.cpu: Cpu
        self.this: PerCpu
        self.cost_ns = cost_ns
        begin_ns, item_ns = cost_ns + cost.softirq_ns, cost.softirq_item_ns
        self.work_ns = [begin_ns + packets * item_ns for packets in range(NAPI_WEIGHT)]
        self.polls = 0
        self.packets = 0
        self.stop_at = feed.latency.gap()
        self._entry_ns = cost.delivery_ns + cost.entry_ns
        self._desc = desc
        self._napi = napi

    def install(self, cpu: Cpu, this: PerCpu) -> None:
        """Come to this CPU from now on."""
        self.cpu, self.this = cpu, this

    def take(self, now_ns: int) -> int:
        """One interrupt and its poll: how many packets that took.

        Nothing has been done if that is -1, because something else goes on on the CPU, or
        NAPI_WEIGHT or more, because the poll goes on in NET_RX then.
        """
        cpu, this, feed = self.cpu, self.this, self.feed
        if (
            now_ns < cpu.ready_ns
            or now_ns < this.softirq_end_ns
            or this.softirq_pending
            or feed.scheduled
        ):
            return -1
        times, head = feed.times, feed.head
        end = bisect_right(times, now_ns, head)
        if end == len(times):
            end = feed.arrived(now_ns)
            head = feed.head  # drawing more makes room at the front
        packets = end - head
        if packets >= NAPI_WEIGHT:
            return packets
        feed.head = end
        cpu.ready_ns = cpu.busy_until_ns = now_ns + self.cost_ns
        this.softirq_end_ns = now_ns + self.work_ns[packets]
        self.packets += packets
        self.polls = polls = self.polls + 1
        if polls == self.stop_at:
            self.stop(now_ns, times[head:end])
        return packets

    def stop(self, now_ns: int, arrived_ns: list[int]) -> None:
        """This poll is measured; say which one is the next."""
        latency = self.feed.latency
        latency.measure(latency.handler, arrived_ns, now_ns + self._entry_ns)
        latency.measure(latency.napi, arrived_ns, now_ns + self.work_ns[0])
        self.stop_at += latency.gap()
        if self.stop_at > MOST_POLLS:
            self.fold()

    def fold(self) -> None:
        """Add what was counted to where others look."""
        if polls := self.polls:
            this, packets = self.this, self.packets
            self.polls = self.packets = 0
            self.stop_at -= polls
            self._desc.count_many(this.cpu, polls)
            this.hardirq_ns += polls * self.cost_ns
            poll_ns = self.work_ns[0] - self.cost_ns
            this.softirq_ns += polls * poll_ns + packets * (self.work_ns[1] - self.work_ns[0])
            this.softirq_counts[Softirq.NET_RX] += polls
            self._napi.packets += packets
            this.rx_packets += packets
