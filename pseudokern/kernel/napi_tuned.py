"""Complete NAPI as it is tuned: keep a queue's interrupt off for a while, and poll by a timer.

Follows napi_complete_done() and napi_watchdog() of net/core/dev.c. A machine on which nobody has
tuned anything does without all this, and so does x86/gate.py: this NET_RX has to be asked.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from pseudokern.kernel.hrtimer import HrTimer, HrTimers
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.napi import NAPI_WEIGHT, NET_RX_BIT, Napi, NetRx
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.rps import Backlog, CallFunction, Steering
from pseudokern.kernel.softirq import Softirq


class Passed(NamedTuple):
    """What an XDP program has let through of one poll.

    packets  how many go on
    counted  how many the stack has seen, and softnet_stat counts
    end_ns   when the poll ends
    wire_ns  when those that go on have arrived; empty: nobody knows
    hashes   of their flows
    """

    packets: int
    counted: int
    end_ns: int
    wire_ns: Sequence[int]
    hashes: Sequence[int]


class Xdp(Protocol):
    """The program of one queue."""

    def run(self, this: PerCpu, packets: int, now_ns: int) -> Passed:
        """Decide about the packets of a poll that has begun then."""


# Gets the CPU that has polled, how many packets, when the poll ends, and what is known of each.
Receive = Callable[[PerCpu, int, int, Passed | None], None]


class Loop(Protocol):
    """A program's busy loop: busy_poll.py."""

    def let_in(self) -> None:
        """The queue is nobody's."""


class Deferral:
    """How long the interrupt of one queue stays off after its ring was empty.

    timeout_ns  gro_flush_timeout: from one poll by the timer to the next
    polls       napi_defer_hard_irqs: after so many of them that found nothing it is on again
    left        how many more there may be now
    """

    __slots__ = ("left", "polls", "timeout_ns", "timer")

    def __init__(self, timer: HrTimer, timeout_ns: int, polls: int) -> None:
        self.timer = timer
        self.timeout_ns = timeout_ns
        self.polls = polls
        self.left = 0


class TunedNetRx(NetRx):
    """NET_RX that knows which queues are tuned.

    steering   where packets are handed on to
    receivers  the sockets of programs behind a queue: who gets its packets when a poll ends
    xdp        what decides about the packets of a queue before
    loops      the busy loops of programs at a queue, of which the first may own it
    """

    __slots__ = ("_deferrals", "_kernel", "_timers", "loops", "receivers", "steering", "xdp")

    def __init__(self, kernel: Kernel, timers: HrTimers, steering: Steering) -> None:
        super().__init__(kernel.cost.softirq_item_ns, kernel.tick_period_ns)
        before = kernel.net_rx
        self.budget, self.budget_usecs = before.budget, before.budget_usecs
        self.busy_read_us, self.busy_poll_us = before.busy_read_us, before.busy_poll_us
        self.loops: dict[Napi, list[Loop]] = {}
        self.steering = steering
        self.receivers: dict[Napi, Receive] = {}
        self.xdp: dict[Napi, Xdp] = {}
        self._kernel = kernel
        self._timers = timers
        self._deferrals: dict[Napi, Deferral] = {}

    def has_to_be_asked(self, napi: Napi) -> bool:
        deferral = self._deferrals.get(napi)
        return (
            self.ends_after_one_poll()
            or napi in self.xdp
            or napi in self.receivers
            or napi in self.loops
            or self.steering.steers(napi)
            or (deferral is not None and (deferral.timeout_ns > 0 or deferral.polls > 0))
        )

    def defer(self, napi: Napi, timeout_ns: int, polls: int) -> None:
        """Treat a queue so from now on."""
        deferral = self._deferrals.get(napi)
        if deferral is None:
            timer = HrTimer(self._watchdog(napi), is_soft=False)
            deferral = self._deferrals[napi] = Deferral(timer, timeout_ns, polls)
        deferral.timeout_ns, deferral.polls = timeout_ns, polls

    def polled(self, this: PerCpu, napi: Napi, work: int, now_ns: int) -> int:
        end_ns = now_ns + napi.extra_ns
        if work:
            end_ns = self.take(this, napi, work, end_ns)
        if work >= NAPI_WEIGHT or napi.is_unfinished:
            this.poll_list.append(napi)
        elif isinstance(napi, Backlog) and napi.waiting:
            napi.scheduled = False
            napi.schedule(this)
        else:
            self.complete(napi, work, end_ns)
        return end_ns

    def complete(self, napi: Napi, work: int, end_ns: int, *, renew: bool = False) -> None:
        """A poll has emptied a queue: its interrupt is on again, unless a timer polls before.

        napi_complete_done(). renew: as if it had found something
        """
        deferral = self._deferrals.get(napi)
        if deferral is not None:
            if work or renew:
                deferral.left = deferral.polls
            if deferral.left > 0:
                deferral.left -= 1
                if deferral.timeout_ns:
                    napi.scheduled = True  # to the card it is: the interrupt stays off
                    self._timers.start(deferral.timer, end_ns + deferral.timeout_ns)
                    return
        napi.scheduled = False
        self.let_in(napi)

    def let_in(self, napi: Napi) -> None:
        """Nobody polls a queue any more: the busy loop that has waited longest may."""
        for loop in self.loops.get(napi, ())[:1]:
            loop.let_in()

    def stop_waiting(self, napi: Napi) -> bool:
        """Disarm the timer that keeps a queue's interrupt off. False: it was not armed."""
        deferral = self._deferrals.get(napi)
        return deferral is not None and self._timers.cancel(deferral.timer)

    def take(self, this: PerCpu, napi: Napi, work: int, now_ns: int) -> int:
        """Packets were polled on this CPU from now_ns on: past XDP, to other CPUs, and to who
        reads them; when the poll ends."""
        napi.packets += work
        xdp, passed = self.xdp.get(napi), None
        end_ns, counted = now_ns + work * self._item_ns, work
        if xdp is not None:
            passed = xdp.run(this, work, now_ns)
            work, counted, end_ns = passed.packets, passed.counted, passed.end_ns
        this.rx_packets += counted
        if work:
            self.steering.steer(this, napi, work, passed and passed.hashes)
            receive = self.receivers.get(napi)
            if receive is not None:
                receive(this, work, end_ns, passed)
        return end_ns

    def _watchdog(self, napi: Napi) -> Callable[[], None]:
        def poll() -> None:
            this = self._kernel.this
            this.poll_list.append(napi)
            this.softirq_pending |= NET_RX_BIT

        return poll


def tuned_net_rx(kernel: Kernel, timers: HrTimers, call_function: CallFunction) -> TunedNetRx:
    """The NET_RX of this kernel, which can be tuned from now on."""
    if not isinstance(kernel.net_rx, TunedNetRx):
        kernel.net_rx = TunedNetRx(kernel, timers, Steering(kernel, call_function))
        kernel.softirqs.open_softirq(Softirq.NET_RX, kernel.net_rx.action)
    assert isinstance(kernel.net_rx, TunedNetRx)
    return kernel.net_rx
