"""Run the work that interrupts put off, at the exit of the outermost one.

Follows kernel/softirq.c. A softirq takes simulated time with interrupts enabled: an interrupt
that comes meanwhile is handled at once, and what it raises runs when the present run is over.

After MAX_SOFTIRQ_RESTART passes, or MAX_SOFTIRQ_TIME_NS in jiffies, the rest is left to ksoftirqd.
A run of a single softirq goes pass by pass along the timeline, one of several at once.
"""

from collections.abc import Callable
from enum import IntEnum
from functools import cache
from typing import Protocol

from pseudokern.kernel.percpu import NR_SOFTIRQS, PerCpu
from pseudokern.sim.alarm import Alarm
from pseudokern.sim.timeline import Timeline

MAX_SOFTIRQ_RESTART = 10
MAX_SOFTIRQ_TIME_NS = 2_000_000


HELD_NS = 1 << 60


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
    tick_period_ns: int


class Softirqs:
    """The ten actions, and their execution on each CPU.

    thread_runs     CPUs on which ksoftirqd is at it: it looks itself for what comes meanwhile
    wake_ksoftirqd  has a thread run what is pending on a CPU; without it another run does
    """

    def __init__(
        self, kernel: Runs, timeline: Timeline, cpus: list[PerCpu], softirq_ns: int
    ) -> None:
        self._kernel = kernel
        self._softirq_ns = softirq_ns
        self._actions: list[Action] = [self._nothing] * NR_SOFTIRQS
        self._alarms = [Alarm(timeline, self._resume(this, timeline)) for this in cpus]
        self._held_end_ns: dict[int, int] = {}
        self.thread_runs: set[int] = set()
        self.wake_ksoftirqd: Callable[[PerCpu], None] | None = None

    def open_softirq(self, number: Softirq, action: Action) -> None:
        self._actions[number] = action

    def irq_exit(self, this: PerCpu, now_ns: int, irq_ns: int) -> None:
        """An interrupt of irq_ns ended at now_ns: run what is pending on this CPU.

        If it came in the middle of a run, that run goes on first, and ends so much later.
        """
        if now_ns - irq_ns < this.softirq_end_ns:
            self.put_off(this, irq_ns)
        elif this.softirq_pending:
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
        """An interrupt of irq_ns came in the middle of a run, after which runs what is pending."""
        this.softirq_end_ns = end_ns = this.softirq_end_ns + irq_ns
        if this.softirq_pending:
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

    def end_ns(self, this: PerCpu) -> int:
        """Until when softirqs occupy this CPU, also while bottom halves are disabled."""
        end_ns = this.softirq_end_ns
        return end_ns if end_ns < HELD_NS else self._held_end_ns[this.cpu]

    def hold(self, this: PerCpu) -> None:
        """Bottom halves are disabled: run nothing on this CPU until let_go()."""
        self._held_end_ns[this.cpu] = this.softirq_end_ns
        this.softirq_end_ns = HELD_NS  # as if a run went on; so interrupts need not ask

    def let_go(self, this: PerCpu) -> None:
        """Bottom halves are enabled: what waits runs within a nanosecond."""
        # Interrupts that came meanwhile have put the run off by what they took.
        this.softirq_end_ns = self._held_end_ns.pop(this.cpu)
        if this.softirq_pending:
            self.raise_from_process(this, 0)

    def raise_softirq(self, this: PerCpu, bits: int, *, in_interrupt: bool) -> None:
        """Raise softirqs; ksoftirqd runs them if no interrupt is about to end here."""
        this.softirq_pending |= bits
        if not in_interrupt:
            if self.wake_ksoftirqd is not None:
                self.wake_ksoftirqd(this)
            else:
                self.raise_from_process(this, 0)

    def raise_from_process(self, this: PerCpu, bits: int) -> None:
        """Raise softirqs outside any interrupt; they run within a nanosecond."""
        this.softirq_pending |= bits
        self._alarms[this.cpu].set(this.softirq_end_ns)

    def run_ksoftirqd(self, this: PerCpu, now_ns: int) -> None:
        """What the thread does in one go."""
        self._run(this, now_ns)
        self._alarms[this.cpu].cancel()  # the thread itself goes on

    def _run(self, this: PerCpu, now_ns: int) -> None:
        end_ns = now_ns
        is_enough = False
        for passes in range(MAX_SOFTIRQ_RESTART):
            pending = this.softirq_pending
            if not pending:
                break
            if passes and self._is_too_long(now_ns, end_ns):
                is_enough = True
                break
            this.softirq_pending = 0
            for number in _numbers(pending):
                this.softirq_counts[number] += 1
                end_ns = self._actions[number](this, end_ns + self._softirq_ns)
        else:
            is_enough = True
        self.run_ended(this, now_ns, end_ns)
        if is_enough and this.softirq_pending:
            self._leave_rest(this)

    def _is_too_long(self, began_ns: int, now_ns: int) -> bool:
        """time_before(jiffies, end), with the end in whole jiffies."""
        tick_ns = self._kernel.tick_period_ns
        return now_ns // tick_ns - began_ns // tick_ns >= -(-MAX_SOFTIRQ_TIME_NS // tick_ns)

    def _leave_rest(self, this: PerCpu) -> None:
        """No more passes here."""
        if self.wake_ksoftirqd is not None:
            self._alarms[this.cpu].cancel()
            self.wake_ksoftirqd(this)

    def _resume(self, this: PerCpu, timeline: Timeline) -> Callable[[], None]:
        """Runs what is pending, and counts the passes of a run that never finds an end."""
        kernel = self._kernel
        passes = began_ns = 0

        def resume() -> None:
            nonlocal passes, began_ns
            if not this.softirq_pending:
                return
            if this.cpu in self.thread_runs:
                self.thread_runs.discard(this.cpu)
                return
            outer, kernel.this = kernel.this, this
            try:
                self._begin(this, timeline.now_ns)
            finally:
                kernel.this = outer
            if not this.softirq_pending:
                passes = 0
                return
            if not passes:
                passes, began_ns = 1, timeline.now_ns  # the first one was an interrupt's exit
            passes += 1
            if passes >= MAX_SOFTIRQ_RESTART or self._is_too_long(began_ns, this.softirq_end_ns):
                passes = 0
                self._leave_rest(this)

        return resume

    @staticmethod
    def _nothing(_this: PerCpu, now_ns: int) -> int:
        return now_ns
