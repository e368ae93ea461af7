"""Poll network queues under a budget, in the NET_RX softirq.

Follows net_rx_action() and napi_poll() in net/core/dev.c.
"""

from typing import TYPE_CHECKING, Final

from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.softirq import Softirq
from pseudokern.sim.timeline import FOREVER_NS

if TYPE_CHECKING:
    from pseudokern.kernel.feed import Feed

NAPI_WEIGHT: Final = 64
NETDEV_BUDGET = 300
NETDEV_BUDGET_JIFFIES = 2
NS_PER_US = 1000
NET_RX_BIT = 1 << Softirq.NET_RX


class Napi:
    """One queue's poll context. A driver's queue is one: so there is less to fetch from memory.

    packets  how many all polls took; fast paths have theirs to add (Pc.fold_counts)
    extra_ns  CPU time that the last poll took besides that of its packets
    is_unfinished  the last poll left something that is no packet, as if it had used up its weight
        A queue that has these two has slots of its own for them, behind those of the hot path.
    """

    __slots__ = ("packets", "scheduled")

    extra_ns = 0
    is_unfinished = False

    def __init__(self) -> None:
        self.packets = 0
        self.scheduled = False

    def poll(self, weight: int) -> int:
        """Take packets, at most weight, and return how many there were."""
        raise NotImplementedError

    @property
    def next_sent_ns(self) -> int:
        """When a poll finds the next frame that has left; FOREVER_NS: it does not look for them."""
        return FOREVER_NS

    def schedule(self, this: PerCpu) -> None:
        """Have this CPU poll the queue when its interrupt ends."""
        if not self.scheduled:
            self.scheduled = True
            this.poll_list.append(self)
            this.softirq_pending |= NET_RX_BIT


class CountedNapi(Napi):
    """A queue that is a count. unpolled: packets that came since the last poll, or were left by it.

    A poll of one packet takes it away and does nothing else: x86/gate.py relies on that, unless
    is_count says otherwise.
    """

    __slots__ = ("unpolled",)

    def __init__(self) -> None:
        super().__init__()
        self.unpolled = 0

    @property
    def feed(self) -> "Feed | None":
        """The frames themselves, if they are known beforehand; then poll() is its own."""
        return None

    @property
    def is_count(self) -> bool:
        """Whether there is nothing in it but the count."""
        return type(self).poll is CountedNapi.poll

    @property
    def has_more(self) -> bool:
        """Whether polls do more than take packets; whoever changes that has IrqDesc.changed()."""
        return False

    def poll(self, weight: int) -> int:
        taken = self.unpolled
        if taken > weight:
            return self.poll_some(weight)
        self.unpolled = 0
        return taken

    def poll_some(self, weight: int) -> int:
        """poll(), when there are more packets than it may take."""
        taken = min(self.unpolled, weight)
        self.unpolled -= taken
        return taken


class NetRx:
    """The NET_RX action: each queue once, in turn, until the budget or the time is used up.

    item_ns is the time that one packet takes, poll_ns when the poll begins that is being made; 0 if
    none is. budget and budget_usecs are the sysctls netdev_budget
    and netdev_budget_usecs; busy_read_us and busy_poll_us those of busy_poll.py.
    """

    __slots__ = ("_item_ns", "_tick_ns", "budget", "budget_usecs", "busy_poll_us", "busy_read_us",
                 "poll_ns")  # fmt: skip

    def __init__(self, item_ns: int, tick_ns: int) -> None:
        self._item_ns = item_ns
        self._tick_ns = tick_ns
        self.poll_ns = 0
        self.budget = NETDEV_BUDGET
        self.budget_usecs = NETDEV_BUDGET_JIFFIES * tick_ns // NS_PER_US
        self.busy_read_us = self.busy_poll_us = 0

    def has_to_be_asked(self, _napi: Napi) -> bool:
        """Whether polls of a queue have to come by here: there is no short way then."""
        return self.ends_after_one_poll()

    def ends_after_one_poll(self) -> bool:
        """Is one queue, polled once, all that the budget and the time are enough for?"""
        poll_ns = NAPI_WEIGHT * self._item_ns
        return self.budget <= NAPI_WEIGHT or poll_ns >= min(
            self._tick_ns, self.budget_usecs * NS_PER_US
        )

    def action(self, this: PerCpu, now_ns: int) -> int:
        budget = self.budget
        poll_list = this.poll_list
        # The jiffies are looked at only when it has polled for a whole one: 60 ns less.
        began_ns, soon_ns = now_ns, now_ns + self._tick_ns
        for _ in range(len(poll_list)):
            napi = poll_list.pop(0)
            self.poll_ns = now_ns
            work = napi.poll(NAPI_WEIGHT)
            now_ns = self.polled(this, napi, work, now_ns)
            budget -= NAPI_WEIGHT if napi.is_unfinished else work
            if budget <= 0 or (now_ns > soon_ns and self._is_too_long(began_ns, now_ns)):
                this.time_squeeze += 1
                break
        self.poll_ns = 0
        if poll_list:
            this.softirq_pending |= NET_RX_BIT
        return now_ns

    def _is_too_long(self, began_ns: int, now_ns: int) -> bool:
        jiffies = now_ns // self._tick_ns - began_ns // self._tick_ns
        return jiffies >= -(-self.budget_usecs * NS_PER_US // self._tick_ns)

    def polled(self, this: PerCpu, napi: Napi, work: int, now_ns: int) -> int:
        """Let go of a queue that is empty, keep another for the next pass; when the poll ended."""
        napi.packets += work
        this.rx_packets += work
        if work < NAPI_WEIGHT and not napi.is_unfinished:
            napi.scheduled = False
        else:
            this.poll_list.append(napi)
        return now_ns + work * self._item_ns + napi.extra_ns
