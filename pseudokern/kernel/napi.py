"""Poll network queues under a budget, in the NET_RX softirq.

Follows net_rx_action() and napi_poll() in net/core/dev.c.
"""

from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.softirq import Softirq

NAPI_WEIGHT = 64
NETDEV_BUDGET = 300
NETDEV_BUDGET_JIFFIES = 2  # netdev_budget_usecs, which is 2 * USEC_PER_SEC / HZ
NET_RX_BIT = 1 << Softirq.NET_RX


class Napi:
    """One queue's poll context. A driver's queue is one: so there is less to fetch from memory.

    packets  how many all polls took; fast paths have theirs to add (Pc.fold_counts)
    """

    __slots__ = ("packets", "scheduled")

    def __init__(self) -> None:
        self.packets = 0
        self.scheduled = False

    def poll(self, weight: int) -> int:
        """Take packets, at most weight, and return how many there were."""
        raise NotImplementedError

    def schedule(self, this: PerCpu) -> None:
        """Have this CPU poll the queue when its interrupt ends."""
        if not self.scheduled:
            self.scheduled = True
            this.poll_list.append(self)
            this.softirq_pending |= NET_RX_BIT


class NetRx:
    """The NET_RX action: each queue once, in turn, until the budget or the time is used up.

    item_ns is the time that one packet takes.
    """

    __slots__ = ("_item_ns", "_tick_ns")

    def __init__(self, item_ns: int, tick_ns: int) -> None:
        self._item_ns = item_ns
        self._tick_ns = tick_ns

    def action(self, this: PerCpu, now_ns: int) -> int:
        budget = NETDEV_BUDGET
        poll_list = this.poll_list
        # The jiffies are looked at only when it has polled for a whole one: 60 ns less.
        began_ns, soon_ns = now_ns, now_ns + self._tick_ns
        for _ in range(len(poll_list)):
            napi = poll_list.pop(0)
            work = napi.poll(NAPI_WEIGHT)
            now_ns = self.polled(this, napi, work, now_ns)
            budget -= work
            if budget <= 0 or (now_ns > soon_ns and self._is_too_long(began_ns, now_ns)):
                this.time_squeeze += 1
                break
        if poll_list:
            this.softirq_pending |= NET_RX_BIT
        return now_ns

    def _is_too_long(self, began_ns: int, now_ns: int) -> bool:
        jiffies = now_ns // self._tick_ns - began_ns // self._tick_ns
        return jiffies >= NETDEV_BUDGET_JIFFIES

    def polled(self, this: PerCpu, napi: Napi, work: int, now_ns: int) -> int:
        """Let go of a queue that is empty, keep another for the next pass; when the poll ended."""
        napi.packets += work
        if work < NAPI_WEIGHT:
            napi.scheduled = False
        else:
            this.poll_list.append(napi)
        return now_ns + work * self._item_ns
