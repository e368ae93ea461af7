"""Poll network queues under a budget, in the NET_RX softirq.

Follows net_rx_action() and napi_poll() in net/core/dev.c.
"""

from collections.abc import Callable

from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.softirq import Softirq

NAPI_WEIGHT = 64
NETDEV_BUDGET = 300
NETDEV_BUDGET_JIFFIES = 2  # netdev_budget_usecs, which is 2 * USEC_PER_SEC / HZ
NET_RX_BIT = 1 << Softirq.NET_RX


class Napi:
    """One queue's poll context. poll(weight) returns how many packets it took, at most weight."""

    __slots__ = ("poll", "scheduled")

    def __init__(self, poll: Callable[[int], int]) -> None:
        self.poll = poll
        self.scheduled = False

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
        limit_ns = (now_ns // self._tick_ns + NETDEV_BUDGET_JIFFIES) * self._tick_ns
        for _ in range(len(poll_list)):
            napi = poll_list.pop(0)
            work = napi.poll(NAPI_WEIGHT)
            now_ns += work * self._item_ns
            if work < NAPI_WEIGHT:
                napi.scheduled = False
            else:
                poll_list.append(napi)
            budget -= work
            if budget <= 0 or now_ns >= limit_ns:
                this.time_squeeze += 1
                break
        if poll_list:
            this.softirq_pending |= NET_RX_BIT
        return now_ns
