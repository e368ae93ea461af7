"""Tick while a CPU works, and let it sleep while it does not.

Follows kernel/time/tick-sched.c with CONFIG_NO_HZ_FULL: a busy CPU is interrupted HZ times a
second, an idle one when its next timer is due and not before. A CPU of nohz_full= is left alone
while it is busy, too, as long as only one program is runnable there; then the boot CPU, which keeps
the time for all, always ticks. What the tick raises follows
scheduler_tick() (SCHED, when a balance is due), run_local_timers() (TIMER, when one expired) and
rcu_sched_clock_irq() (RCU, when the CPU has a quiescent state to report).
"""

from collections.abc import Callable

from pseudokern.kernel.cpumask import CpuId
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.softirq import Softirq
from pseudokern.kernel.timer import NEVER, TimerWheel

TIMEKEEPER = CpuId(0)
BUSY_FACTOR = 16  # a busy CPU balances so many times less often

ProgramEvent = Callable[[CpuId, int], None]


class Ticks:
    """The tick of every CPU. program(cpu, at_ns) arms the CPU's clock event device."""

    def __init__(self, kernel: Kernel, timers: TimerWheel, program: ProgramEvent) -> None:
        self._kernel = kernel
        self._timers = timers
        self.program = program
        self._next_balance = [0] * kernel.nr_cpu_ids
        self._switches_seen = [0] * kernel.nr_cpu_ids
        timers.on_earlier = self._reprogram
        kernel.softirqs.open_softirq(Softirq.TIMER, self._run_timers)

    def interrupt(self, this: PerCpu) -> None:
        """The clock event device of this CPU interrupted it."""
        jiffies = self._kernel.jiffies
        if (sched := self._kernel.sched) is not None:
            sched.tick(this)
        timers_due = self._timers.next_expiry(this.cpu) <= jiffies
        if timers_due:
            this.softirq_pending |= 1 << Softirq.TIMER
        if this.context_switches != self._switches_seen[this.cpu]:
            self._switches_seen[this.cpu] = this.context_switches
            this.softirq_pending |= 1 << Softirq.RCU
        if jiffies >= self._next_balance[this.cpu]:
            this.softirq_pending |= 1 << Softirq.SCHED
            interval_ns = self._kernel.online.bit_count() * 1_000_000
            interval = max(1, interval_ns // self._kernel.tick_period_ns)
            self._next_balance[this.cpu] = jiffies + interval * (1 if this.is_idle else BUSY_FACTOR)
        # An idle CPU's next tick is known when the softirq has called what is due.
        if not timers_due or self._keeps_ticking(this.cpu):
            self._set_next(this.cpu)

    def leave_idle(self, this: PerCpu) -> None:
        """A program begins to run: the tick goes on."""
        if not self._keeps_ticking(this.cpu):
            return
        self.program(this.cpu, self._next_tick_ns())

    def keep_time(self) -> None:
        """Begin to tick on the boot CPU and never stop, for the CPUs that do not."""
        self._set_next(TIMEKEEPER)

    def _keeps_ticking(self, cpu: CpuId) -> bool:
        if nohz_full := self._kernel.nohz_full:
            if cpu == TIMEKEEPER:
                return True
            if nohz_full >> cpu & 1:
                sched = self._kernel.sched
                return sched is not None and sched.queues[cpu].needs_tick
        return not self._kernel.cpus[cpu].is_idle

    def _reprogram(self, cpu: CpuId) -> None:
        if not self._keeps_ticking(cpu):
            self._set_next(cpu)

    def _set_next(self, cpu: CpuId) -> None:
        if self._keeps_ticking(cpu):
            self.program(cpu, self._next_tick_ns())
            return
        expires = self._timers.next_expiry(cpu)
        if expires != NEVER:
            at_ns = max(expires * self._kernel.tick_period_ns, self._next_tick_ns())
            self.program(cpu, at_ns)

    def _next_tick_ns(self) -> int:
        return (self._kernel.jiffies + 1) * self._kernel.tick_period_ns

    def _run_timers(self, this: PerCpu, now_ns: int) -> int:
        called = self._timers.run(this, self._kernel.jiffies)
        self._reprogram(this.cpu)
        return now_ns + called * self._kernel.cost.softirq_item_ns
