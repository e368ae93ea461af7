"""Keep real-time tasks from having a CPU for ever.

Up to 6.11 they are throttled (kernel/sched/rt.c): who has had sched_rt_runtime_us of the last
sched_rt_period_us has to wait for the next period, even if nobody else wants the CPU. From 6.12 on
each CPU has a fair server (kernel/sched/deadline.c, dl_server), a deadline task in whose time fair
tasks run: 50 ms of every second in which they did not get those otherwise, as late as that can be.
Once it had to, it goes on at the beginning of each second.

Both look at the tick, and when tasks switch. Not modelled: the interrupts of their timers.
"""

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from pseudokern.kernel.kernel import FAIR_SERVER_NS, Kernel
from pseudokern.kernel.printk import Level
from pseudokern.sim.alarm import Alarm

if TYPE_CHECKING:
    from pseudokern.kernel.runqueue import RunQueue

NS_PER_US = 1_000


class RtLimit(Protocol):
    """What both can do."""

    @property
    def fair_first(self) -> bool:
        """Whether fair tasks come before real-time ones now."""

    def look(self) -> None:
        """Its CPU ticks, or another task begins to run there."""

    def restart(self) -> None:
        """Its parameters have changed."""


class RtThrottle:
    """The limit of one CPU up to 6.11; rt_time of struct rt_rq."""

    fair_first = False

    def __init__(self, queue: "RunQueue", period: "RtPeriod") -> None:
        self.used_ns = 0
        self.queue = queue
        self._period = period
        self._seen_ns = 0

    def look(self) -> None:
        queue = self.queue
        self.used_ns += queue.rt_ns - self._seen_ns
        self._seen_ns = queue.rt_ns
        if queue.has_rt:
            self._period.start()
        limit_ns = self._period.runtime_ns
        if limit_ns is not None and self.used_ns > limit_ns and not queue.rt.throttled:
            queue.rt.throttled = True
            self._period.tell()
            queue.reschedule()

    def restart(self) -> None:
        self.look()

    def refill(self) -> None:
        """A period is over."""
        self.look()
        limit_ns = self._period.runtime_ns
        self.used_ns = 0 if limit_ns is None else max(0, self.used_ns - limit_ns)
        if self.queue.rt.throttled and (limit_ns is None or self.used_ns < limit_ns):
            self.queue.rt.throttled = False
            self.queue.reschedule()


class RtPeriod:
    """The timer of all throttles, while there is anything for it to do; struct rt_bandwidth."""

    def __init__(self, kernel: Kernel) -> None:
        self.throttles: Sequence[RtThrottle] = ()
        self._kernel = kernel
        self._alarm = Alarm(kernel.timeline, self._ring)
        self._has_told = False

    @property
    def runtime_ns(self) -> int | None:
        """How much of a period real-time tasks may have; None: all of it."""
        runtime_us = self._kernel.rt_runtime_us
        if runtime_us <= 0 or runtime_us >= self._kernel.rt_period_us:
            return None
        return runtime_us * NS_PER_US

    def start(self) -> None:
        """A real-time task is runnable; start_rt_bandwidth()."""
        if not self._alarm.is_set:
            period_ns = self._kernel.rt_period_us * NS_PER_US
            self._alarm.set(self._kernel.timeline.now_ns + period_ns)

    def tell(self) -> None:
        if not self._has_told:
            self._has_told = True
            self._kernel.log.printk(Level.WARNING, "sched: RT throttling activated")

    def _ring(self) -> None:
        for throttle in self.throttles:
            throttle.refill()
        if any(throttle.used_ns or throttle.queue.has_rt for throttle in self.throttles):
            self.start()


class _Server(Enum):
    OFF = "no fair task is runnable"
    DEFERRED = "it waits, as late as it can"
    RUNNING = "fair tasks come first"
    THROTTLED = "it has run, and waits for the next period"


class FairServer:
    """The limit of one CPU from 6.12 on; fair_server of struct rq."""

    def __init__(self, queue: "RunQueue", kernel: Kernel) -> None:
        self._queue = queue
        self._kernel = kernel
        self._timeline = kernel.timeline
        self._alarm = Alarm(kernel.timeline, self._ring)
        self._state = _Server.OFF
        self._left_ns = 0
        self._deadline_ns = 0
        self._seen_ns = 0

    @property
    def fair_first(self) -> bool:
        return self._state is _Server.RUNNING

    @property
    def _parameters_ns(self) -> tuple[int, int]:
        """Runtime, and period."""
        return self._kernel.fair_servers.get(self._queue.this.cpu, FAIR_SERVER_NS)

    def restart(self) -> None:
        """With other parameters; dl_server_apply_params()."""
        self._state = _Server.OFF
        self._queue.reschedule()

    def look(self) -> None:
        queue = self._queue
        ran_ns, self._seen_ns = queue.fair_ns - self._seen_ns, queue.fair_ns
        if not queue.has_fair or not self._parameters_ns[0]:
            self._state = _Server.OFF
            self._alarm.cancel()
            return
        self._left_ns -= ran_ns
        if self._state is _Server.OFF or (ran_ns and self._state is _Server.THROTTLED):
            self._defer()
        elif self._left_ns <= 0:
            if self._state is _Server.DEFERRED:
                self._defer()
            elif self._state is _Server.RUNNING:
                self._state = _Server.THROTTLED
                queue.reschedule()
        self._arm()

    def _defer(self) -> None:
        """A new period; the CPU is left to fair tasks at its end, if they have to wait so long."""
        self._state = _Server.DEFERRED
        self._left_ns, period_ns = self._parameters_ns
        self._deadline_ns = self._timeline.now_ns + period_ns

    def _arm(self) -> None:
        """The timer, which nobody needs as long as there are only fair tasks."""
        if not self._queue.has_rt:
            self._alarm.cancel()
        elif self._state is _Server.DEFERRED:
            self._alarm.set(self._deadline_ns - self._left_ns)
        elif self._state is _Server.THROTTLED:
            self._alarm.set(self._deadline_ns)

    def _ring(self) -> None:
        self._queue.update()
        self.look()
        now_ns = self._timeline.now_ns
        if self._state is _Server.THROTTLED and self._deadline_ns <= now_ns:
            self._left_ns, period_ns = self._parameters_ns
            self._deadline_ns += period_ns
        elif self._state is not _Server.DEFERRED or self._deadline_ns - self._left_ns > now_ns:
            return
        self._state = _Server.RUNNING
        self._queue.reschedule()
