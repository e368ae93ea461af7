"""Keep the CPUs busy as ordinary programs do, with the interrupts that this brings.

Each CPU runs a program for a while and sleeps for a while. Some of the programs are woken by
another CPU, which interrupts (RES). What interrupts and kernel threads take of the CPU while a
program runs makes it end so much later. Sometimes a program unmaps memory that others have seen
(TLB, CAL), or calls a function elsewhere (CAL). While a program runs the CPU ticks (LOC).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pseudokern.drivers.traffic import PoissonTraffic
from pseudokern.kernel.cpumask import CpuId, CpuMask, cpus_of, first_cpu
from pseudokern.kernel.cputime import unclaimed
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.timer import Timer
from pseudokern.sim.alarm import Alarm
from pseudokern.x86.pc import Pc

if TYPE_CHECKING:
    from pseudokern.kernel.sched_task import SchedTask

WORTH_AN_EVENT_NS = 20_000  # if less than that is left of a burst, the next one is so much longer


class Programs:
    """The load of a machine: user and wakeups are shares, tlb_hz and call_hz rates of all CPUs."""

    def __init__(
        self,
        pc: Pc,
        *,
        user: float,
        burst_ns: int,
        wakeups: float,
        tlb_hz: float,
        call_hz: float,
    ) -> None:
        self._pc = pc
        self._kernel = pc.kernel
        self._user = user
        self._burst_ns = burst_ns
        self._wakeups = wakeups
        self._chance = pc.kernel.chance("programs")
        self._left_ns = [0] * pc.kernel.nr_cpu_ids  # CPU time that a program wants still
        self._alarms = [Alarm(pc.kernel.timeline, self._switcher(t)) for t in pc.kernel.cpus]
        self._housekeeping = [Timer(self._keeping_house(this)) for this in pc.kernel.cpus]
        self._tasks = _background(pc, self._fell_asleep) if pc.kernel.sched is not None else []
        for cpu in cpus_of(pc.kernel.online):
            self._begin(cpu)
        pc.kernel.on_cpu_change(self._cpu_changed)
        timeline = pc.kernel.timeline
        PoissonTraffic(timeline, pc.kernel.chance("programs/tlb")).set(tlb_hz, [self._unmap])
        PoissonTraffic(timeline, pc.kernel.chance("programs/call")).set(call_hz, [self._call])

    def pause(self) -> CpuMask:
        """Have nobody run, so that a scheduler can begin: share(). Says where somebody did."""
        running = 0
        for this in self._kernel.cpus:
            if not this.is_idle:
                self._goes_on(this)
                self._alarms[this.cpu].cancel()
                this.user_since_ns = -1
                running |= 1 << this.cpu
        return running

    def share(self, running: CpuMask) -> None:
        """Go on as tasks among others, now that there are applications; running: from pause()."""
        self._tasks = _background(self._pc, self._fell_asleep)
        for cpu in cpus_of(running):
            self._tasks[cpu].compute(user_ns=self._left_ns[cpu])
            self._let_run(self._kernel.cpus[cpu])

    def _switcher(self, this: PerCpu) -> Callable[[], None]:
        def switch() -> None:
            if this.away_until_ns > self._kernel.timeline.now_ns:
                self._kernel.want(this)
                self._alarms[this.cpu].set(this.away_until_ns)
                return
            if self._tasks:
                self._wake_task(this)
                return
            if this.is_idle:
                self._wake(this)
            elif not self._goes_on(this):
                self._sleep(this)

        return switch

    def _wake_task(self, this: PerCpu) -> None:
        """The same where applications want the CPU, too."""
        if self._chance.random.random() < self._wakeups:
            self._pc.smp.send_reschedule(this.cpu)
        self._tasks[this.cpu].compute(user_ns=self._chance.exponential_ns(self._burst_ns))
        self._let_run(this)

    def _let_run(self, this: PerCpu) -> None:
        kernel = self._kernel
        assert kernel.sched is not None
        outer, kernel.this = kernel.this, this
        kernel.sched.wake(self._tasks[this.cpu])
        kernel.this = outer

    def _fell_asleep(self, cpu: CpuId) -> None:
        if self._kernel.is_online(cpu):
            self._alarms[cpu].set(self._sleep_end_ns())

    def _wake(self, this: PerCpu) -> None:
        this.context_switches += 1
        this.user_since_ns = self._kernel.timeline.now_ns
        this.idle_ns, free_ns = unclaimed(self._kernel, this)
        if self._chance.random.random() < self._wakeups:
            self._pc.smp.send_reschedule(this.cpu)
        self._pc.apic_timers.ticks.leave_idle(this)
        left_ns = self._left_ns[this.cpu] + self._chance.exponential_ns(self._burst_ns)
        self._left_ns[this.cpu] = left_ns
        self._alarms[this.cpu].set(free_ns + left_ns)

    def _goes_on(self, this: PerCpu) -> bool:
        """Whether the program needs the CPU for longer: what others took comes on top."""
        idle_ns, free_ns = unclaimed(self._kernel, this)
        left_ns = self._left_ns[this.cpu]
        if (ran_ns := idle_ns - this.idle_ns) > 0:
            this.user_ns += ran_ns
            self._left_ns[this.cpu] = left_ns = left_ns - ran_ns
        if left_ns < WORTH_AN_EVENT_NS:
            return False
        self._alarms[this.cpu].set(free_ns + left_ns)
        return True

    def _sleep(self, this: PerCpu) -> None:
        this.context_switches += 1
        this.user_since_ns = -1
        self._alarms[this.cpu].set(self._sleep_end_ns())

    def _sleep_end_ns(self) -> int:
        mean_ns = self._burst_ns * (1 - self._user) / self._user
        return self._kernel.timeline.now_ns + self._chance.exponential_ns(max(mean_ns, 1))

    def _begin(self, cpu: CpuId) -> None:
        """A CPU is there: programs will run on it, and the kernel's own timer.

        Neither does on an isolated CPU: nobody moves a program there, and vmstat_shepherd() and
        its kind pass it over, as they do a CPU that shall not tick.
        """
        if self._kernel.isolated >> cpu & 1:
            return
        if self._user > 0 and (not self._tasks or self._tasks[cpu].state == "S"):
            self._alarms[cpu].set(self._sleep_end_ns())
        if self._kernel.nohz_full >> cpu & 1:
            return
        # About once a second, but not at the same time on all CPUs.
        first = self._kernel.jiffies + 1 + self._chance.random.randrange(self._kernel.hz)
        self._pc.timers.mod_timer(self._housekeeping[cpu], first, cpu)

    def _cpu_changed(self, cpu: CpuId) -> None:
        if self._kernel.is_online(cpu):
            self._begin(cpu)
            return
        if not self._tasks and not self._kernel.cpus[cpu].is_idle:
            self._goes_on(self._kernel.cpus[cpu])
            self._sleep(self._kernel.cpus[cpu])
        self._alarms[cpu].cancel()
        self._pc.timers.del_timer(self._housekeeping[cpu])

    def _keeping_house(self, this: PerCpu) -> Callable[[], None]:
        def keep_house() -> None:
            timer = self._housekeeping[this.cpu]
            self._pc.timers.mod_timer(timer, self._kernel.jiffies + self._kernel.hz, this.cpu)

        return keep_house

    def _others(self) -> CpuMask:
        """All CPUs but the one, drawn, that does something to them."""
        online = self._kernel.online
        cpu = self._chance.random.choice(list(cpus_of(online)))
        return online & ~(1 << cpu)

    def _unmap(self, _now_ns: int) -> None:
        others = self._others()
        self._pc.smp.flush_tlb(self._busy(others))

    def _call(self, _now_ns: int) -> None:
        others = self._others()
        if others:
            target = self._chance.random.choice(list(cpus_of(others)))
            self._pc.smp.call_function(1 << target, lambda _this: None)

    def _busy(self, mask: CpuMask) -> CpuMask:
        """Idle CPUs forget their translations lazily: only running ones are interrupted."""
        busy = sum(1 << cpu for cpu in cpus_of(mask) if not self._kernel.cpus[cpu].is_idle)
        return busy or mask & -mask


def _background(pc: Pc, fell_asleep: Callable[[CpuId], None]) -> "list[SchedTask]":
    """The programs as tasks: one for each CPU, which runs nowhere else while that is online."""
    # only machines with applications have a scheduler
    from pseudokern.kernel.sched_task import SchedTask

    class Background(SchedTask):
        """What runs on one CPU. It is no process that somebody could see."""

        def step(self) -> None:
            self.state = "S"
            fell_asleep(first_cpu(self.cpus_allowed))

    return [Background(0, "program", 1 << this.cpu, 0) for this in pc.kernel.cpus]
