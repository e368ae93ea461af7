"""Notice CPUs that are stuck: in the kernel (soft lockup), or with interrupts off (hard lockup).

Follows kernel/watchdog.c and kernel/watchdog_perf.c. Linux has a timer on each CPU, five times in
two thresholds, that looks whether the CPU's highest thread has run since; and a performance
counter that makes an NMI every threshold of cycles that were not idle, which looks whether the
timer still comes.

Here one look at a time serves all CPUs, and costs an idle or healthy one a comparison: a CPU is
suspect if it is busy at that instant, or has interrupts off, or has a thread that does not sleep.

Not modelled: the timer's own interrupts (one in 4 s and CPU), and the buddy detector of CPUs
without such a counter.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from pseudokern.kernel.context import SOFTIRQ_MASK
from pseudokern.kernel.cpumask import CpuId, CpuMask, cpus_of
from pseudokern.kernel.panic import panic
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.printk import Level
from pseudokern.kernel.stack import symbol
from pseudokern.kernel.warn import print_info, print_modules, print_trace, release_at_least, task_of
from pseudokern.sim.timeline import FOREVER_NS

if TYPE_CHECKING:
    from pseudokern.kernel.kernel import Kernel

NS_PER_S = 1_000_000_000
MOST_THRESH_S = 60
SAMPLES = 5  # in two thresholds, which is what a soft lockup takes
SECOND_SHIFT = 30  # get_timestamp(): a nanosecond count to about seconds
BLOCKED_NS = 100_000_000  # who is busy for longer than this takes no timer interrupt
# Of a period, what a CPU may spend on interrupts before its threads count as starved, in percent.
STARVED_PERCENT = 99


class WatchedCpu(Protocol):
    """What can be seen of a CPU."""

    busy_until_ns: int
    interrupt_flag: bool

    def nmi(self) -> None:
        """Interrupt it whatever IF says."""


class Suspect:
    """A CPU that may be stuck.

    touched_ns     when its threads ran last, as far as is known; reported_ns: the last report
    irq_ns         what interrupts had cost it at the last look
    blocked_until_ns  when its timer can come again; 0 if it can
    """

    def __init__(self, touched_ns: int, irq_ns: int) -> None:
        self.touched_ns = touched_ns
        self.reported_ns = touched_ns
        self.irq_ns = irq_ns
        self.blocked_until_ns = 0


class Watchdog:
    """Both detectors.

    soft, hard     whether they run; has_counter: whether the hard one can
    thresh_s       watchdog_thresh; cpumask: which CPUs are watched
    softlockup_panic, hardlockup_panic  sysctls
    fold_counts    brings the times of all CPUs up to date
    """

    def __init__(
        self,
        kernel: "Kernel",
        cpus: Sequence[WatchedCpu],
        fold_counts: Callable[[], None],
        *,
        has_counter: bool,
        soft: bool,
        hard: bool,
        thresh_s: int,
        cpumask: CpuMask,
        began_ns: int,
    ) -> None:
        self.has_counter = has_counter
        self.soft = soft
        self.hard = hard and has_counter
        self.thresh_s = thresh_s
        self.cpumask = cpumask
        self.softlockup_panic = 0
        self.hardlockup_panic = 0
        self._kernel = kernel
        self._cpus = cpus
        self._fold_counts = fold_counts
        self._sampled_ns = began_ns
        self._suspects: dict[CpuId, Suspect] = {}
        self._timers = [0] * len(cpus)
        self._timers_seen = [-1] * len(cpus)
        self._looked_ns = self._sampled_ns
        self._cycles_ns = [0] * len(cpus)
        self._spent_ns = [0] * len(cpus)
        self._has_overflowed = [False] * len(cpus)
        self._warned: set[CpuId] = set()

    @property
    def period_ns(self) -> int:
        """From one look to the next."""
        return self.thresh_s * 2 * NS_PER_S // SAMPLES

    def restart(self) -> int:
        """Forget what was seen; when to look first, FOREVER_NS if never."""
        self._suspects.clear()
        self._sampled_ns = self._looked_ns = self._kernel.timeline.now_ns
        self._cycles_ns = [0] * len(self._cpus)
        if not self.thresh_s or not (self.soft or self.hard):
            return FOREVER_NS
        return self._sampled_ns + self.period_ns

    def look(self) -> int:
        """Look at all CPUs; when to look again, FOREVER_NS if never."""
        now_ns = self._kernel.timeline.now_ns
        if not self.thresh_s or not (self.soft or self.hard):
            return FOREVER_NS
        if self.hard:
            self._fold_counts()
        is_sample = now_ns >= self._sampled_ns + self.period_ns
        next_ns = (now_ns if is_sample else self._sampled_ns) + self.period_ns
        elapsed_ns, self._looked_ns = now_ns - self._looked_ns, now_ns
        for cpu in cpus_of(self.cpumask & self._kernel.online):
            if is_sample:
                self._sample(cpu, now_ns)
            if self.hard:
                suspect = self._suspects.get(cpu)
                is_stuck = suspect is not None and suspect.touched_ns < now_ns
                left_ns = self._count_cycles(cpu, elapsed_ns, is_stuck=is_stuck)
                next_ns = min(next_ns, now_ns + left_ns)
        if is_sample:
            self._sampled_ns = now_ns
        return next_ns

    def perf_event(self, this: PerCpu) -> int:
        """What an NMI comes to if the counter has run over. 1: it was ours."""
        cpu = this.cpu
        if not self._has_overflowed[cpu]:
            return 0
        self._has_overflowed[cpu] = False
        this.counts.performance += 1
        if self._timers[cpu] != self._timers_seen[cpu]:
            self._timers_seen[cpu] = self._timers[cpu]
            self._warned.discard(cpu)
        elif cpu not in self._warned:
            self._warned.add(cpu)
            self._report_hard(cpu)
        return 1

    # -- soft ----------------------------------------------------------------------------------

    def _sample(self, cpu: CpuId, now_ns: int) -> None:
        """The timer of a CPU: would it come, and have threads run since the last time?"""
        kernel, watched, this = self._kernel, self._cpus[cpu], self._kernel.cpus[cpu]
        busy_ns = watched.busy_until_ns - now_ns
        # By a thread that does not sleep, or by a softirq without end.
        softirq_ns = 0 if this.preempt_count & SOFTIRQ_MASK else this.softirq_end_ns - now_ns
        is_taken = cpu in kernel.hogs or softirq_ns > BLOCKED_NS
        suspect = self._suspects.get(cpu)
        if busy_ns <= 0 and watched.interrupt_flag and not is_taken:
            self._timers[cpu] += 1
            if suspect is not None:
                del self._suspects[cpu]
                if suspect.blocked_until_ns:
                    # The timer came before any thread did.
                    self._check(cpu, suspect, min(suspect.blocked_until_ns, now_ns))
            return
        is_blocked = busy_ns > BLOCKED_NS or not watched.interrupt_flag
        if suspect is None:
            since_ns = self._sampled_ns if is_taken or is_blocked else now_ns
            suspect = self._suspects[cpu] = Suspect(since_ns, self._irq_ns(this))
        elif cpu in kernel.hogs and kernel.hogs[cpu].since_ns > self._sampled_ns:
            # Another thread has begun since, and before it the one that waited for its turn.
            suspect.touched_ns = suspect.reported_ns = kernel.hogs[cpu].since_ns
        if is_blocked:
            suspect.blocked_until_ns = max(watched.busy_until_ns, now_ns + 1)
            return
        self._timers[cpu] += 1
        was_blocked, suspect.blocked_until_ns = suspect.blocked_until_ns, 0
        if not was_blocked and not is_taken and self._threads_ran(this, suspect):
            suspect.touched_ns = suspect.reported_ns = now_ns
        else:
            self._check(cpu, suspect, now_ns)

    def _threads_ran(self, this: PerCpu, suspect: Suspect) -> bool:
        """Whether interrupts left something of the last period."""
        irq_ns = self._irq_ns(this)
        spent_ns, suspect.irq_ns = irq_ns - suspect.irq_ns, irq_ns
        return spent_ns * 100 < self.period_ns * STARVED_PERCENT

    def _irq_ns(self, this: PerCpu) -> int:
        """What interrupts have cost a CPU so far."""
        self._fold_counts()
        return this.hardirq_ns + this.softirq_ns

    def _check(self, cpu: CpuId, suspect: Suspect, now_ns: int) -> None:
        """is_softlockup()."""
        if not self.soft:
            return
        now_s = now_ns >> SECOND_SHIFT
        if now_s - (suspect.reported_ns >> SECOND_SHIFT) <= 2 * self.thresh_s:
            return
        suspect.reported_ns = now_ns
        self._report_soft(cpu, now_s - (suspect.touched_ns >> SECOND_SHIFT))

    def _report_soft(self, cpu: CpuId, stuck_s: int) -> None:
        kernel = self._kernel
        outer, kernel.this = kernel.this, kernel.cpus[cpu]
        try:
            pid, comm = task_of(kernel)
            text = f"watchdog: BUG: soft lockup - CPU#{cpu} stuck for {stuck_s}s! [{comm}:{pid}]"
            kernel.log.printk(Level.EMERG, text)
            self._print_place(cpu)
            kernel.taint.add("L")
            if self.softlockup_panic:
                panic(kernel, "softlockup: hung tasks")
        finally:
            kernel.this = outer

    # -- hard ----------------------------------------------------------------------------------

    def _count_cycles(self, cpu: CpuId, elapsed_ns: int, *, is_stuck: bool) -> int:
        """Let the counter of a CPU run, and over if it is time; when it may do so again."""
        this = self._kernel.cpus[cpu]
        spent_ns = this.hardirq_ns + this.softirq_ns + this.user_ns + this.system_ns
        before_ns, self._spent_ns[cpu] = self._spent_ns[cpu], spent_ns
        self._cycles_ns[cpu] += elapsed_ns if is_stuck else min(spent_ns - before_ns, elapsed_ns)
        thresh_ns = self.thresh_s * NS_PER_S
        if self._cycles_ns[cpu] >= thresh_ns:
            self._cycles_ns[cpu] -= thresh_ns
            self._has_overflowed[cpu] = True
            self._cpus[cpu].nmi()
        # Only who is busy all the time is sure to run over before the next sample.
        return thresh_ns - self._cycles_ns[cpu] if is_stuck else FOREVER_NS

    def _report_hard(self, cpu: CpuId) -> None:
        kernel = self._kernel
        if release_at_least(kernel, 6, 12):
            text = f"watchdog: CPU{cpu}: Watchdog detected hard LOCKUP on cpu {cpu}"
        else:
            text = f"NMI watchdog: Watchdog detected hard LOCKUP on cpu {cpu}"
        kernel.log.printk(Level.EMERG, text)
        self._print_place(cpu)
        if self.hardlockup_panic:
            panic(kernel, "Hard LOCKUP")

    def _print_place(self, cpu: CpuId) -> None:
        """print_modules(), show_regs(): where the CPU is stuck."""
        kernel = self._kernel
        hog = kernel.hogs.get(cpu)
        trace = kernel.stuck_at.get(cpu)
        if hog is not None:
            names = [hog.function, "kthread", "ret_from_fork", "ret_from_fork_asm"]
            callees = ["", *names]
            trace = [symbol(name, callee) for name, callee in zip(names, callees, strict=False)]
        where, *callers = trace or [symbol("asm_common_interrupt", "")]
        print_modules(kernel)
        print_info(kernel)
        kernel.log.printk(Level.WARNING, f"RIP: 0010:{where}")
        print_trace(kernel, callers)
