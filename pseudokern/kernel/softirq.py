"""Run the work that interrupts put off, at the exit of the outermost one.

Follows kernel/softirq.c. A softirq takes simulated time with interrupts enabled: an interrupt
that comes meanwhile is handled at once, and what it raises runs when the present run is over.

Not modelled yet: ksoftirqd. A CPU that raises more after MAX_SOFTIRQ_RESTART passes begins
another run as soon as the last one's time is over.
"""

from collections.abc import Callable
from enum import IntEnum
from functools import cache
from typing import Protocol

from pseudokern.kernel.percpu import NR_SOFTIRQS, PerCpu
from pseudokern.sim.alarm import Alarm
from pseudokern.sim.timeline import Timeline

MAX_SOFTIRQ_RESTART = 10


class Softirq(IntEnum):
    """The vectors, in the order in which they run."""

    HI = 0
    TIMER = 1
    NET_TX = 2
    NET_RX = 3
    BLOCK = 4
    IRQ_POLL = 5
    TASKLET = 6
    SCHED = 7
    HRTIMER = 8
    RCU = 9


# An action gets the CPU and the time at which it begins, and returns when it is done (ns).
Action = Callable[[PerCpu, int], int]

_ONLY = {1 << number: number for number in range(NR_SOFTIRQS)}


@cache
def _numbers(pending: int) -> tuple[int, ...]:
    return tuple(number for number in range(NR_SOFTIRQS) if pending >> number & 1)


class Runs(Protocol):
    """Who knows which CPU it is that runs now: the kernel."""

    this: PerCpu


class Softirqs:
    """The ten actions, and their execution on each CPU."""

    def __init__(
        self, kernel: Runs, timeline: Timeline, cpus: list[PerCpu], softirq_ns: int
    ) -> None:
        self._kernel = kernel
        self._softirq_ns = softirq_ns
        self._actions: list[Action] = [self._nothing] * NR_SOFTIRQS
        self._alarms = [Alarm(timeline, self._resume(this, timeline)) for this in cpus]

    def open_softirq(self, number: Softirq, action: Action) -> None:
        self._actions[number] = action

    def irq_exit(self, this: PerCpu, now_ns: int, irq_ns: int) -> None:
        """Run what is pending on this CPU, from now_ns on; an interrupt of irq_ns ended then."""
        if now_ns - irq_ns < this.softirq_end_ns:
            self.put_off(this, irq_ns)
        else:
            self._begin(this, now_ns)

    def _begin(self, this: PerCpu, now_ns: int) -> None:
        number = _ONLY.get(this.softirq_pending)
        if number is None:
            self._run(this, now_ns)
            return
        this.softirq_pending = 0
        this.softirq_counts[number] += 1
        self.run_ended(this, now_ns, self._actions[number](this, now_ns + self._softirq_ns))

    def put_off(self, this: PerCpu, irq_ns: int) -> None:
        """Run what is pending later: an interrupt of irq_ns came in the middle of a run."""
        this.softirq_end_ns = end_ns = this.softirq_end_ns + irq_ns
        self._alarms[this.cpu].set(end_ns)

    def run_ended(self, this: PerCpu, began_ns: int, end_ns: int) -> None:
        """Note how long a run takes; what it raised itself, or left over, runs after it."""
        this.softirq_end_ns = end_ns
        this.softirq_ns += end_ns - began_ns
        if this.softirq_pending:
            self._alarms[this.cpu].set(end_ns)

    def lengthen(self, this: PerCpu, duration_ns: int) -> None:
        """The run that has just been takes so much longer than was known."""
        this.softirq_ns += duration_ns
        this.softirq_end_ns += duration_ns
        if this.softirq_pending:
            self._alarms[this.cpu].set(this.softirq_end_ns)

    def raise_from_process(self, this: PerCpu, bits: int) -> None:
        """Raise softirqs outside any interrupt; they run within a nanosecond."""
        this.softirq_pending |= bits
        self._alarms[this.cpu].set(this.softirq_end_ns)

    def _run(self, this: PerCpu, now_ns: int) -> None:
        end_ns = now_ns
        for _ in range(MAX_SOFTIRQ_RESTART):
            pending, this.softirq_pending = this.softirq_pending, 0
            if not pending:
                break
            for number in _numbers(pending):
                this.softirq_counts[number] += 1
                end_ns = self._actions[number](this, end_ns + self._softirq_ns)
        self.run_ended(this, now_ns, end_ns)

    def _resume(self, this: PerCpu, timeline: Timeline) -> Callable[[], None]:
        kernel = self._kernel

        def resume() -> None:
            if not this.softirq_pending:
                return
            outer, kernel.this = kernel.this, this
            try:
                self._begin(this, timeline.now_ns)
            finally:
                kernel.this = outer

        return resume

    @staticmethod
    def _nothing(_this: PerCpu, now_ns: int) -> int:
        return now_ns
