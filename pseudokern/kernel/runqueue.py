"""Let the tasks of one CPU run in turns, and charge each the time that it has had.

Follows kernel/sched/fair.c for tasks of nice 0, with RUN_TO_PARITY: who runs goes on until it has
had a slice, which the tick notices; then whoever has had the least comes next. A task that has
slept gets no credit for it.

A task gets the time in which its CPU is on and that nobody else is charged with: interrupts,
softirqs and kernel threads take theirs out of it, and it is done so much later.
"""

from typing import TYPE_CHECKING

from pseudokern.kernel.cputime import unclaimed
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.sched_task import SchedTask
from pseudokern.sim.alarm import Alarm

if TYPE_CHECKING:
    from pseudokern.kernel.sched import Scheduler


class RunQueue:
    """The tasks of one CPU; struct rq.

    waiting   runnable tasks that do not run
    blocked   tasks that sleep for I/O, and did it here; iowait_ns: idle time while there were any
    """

    def __init__(self, sched: "Scheduler", this: PerCpu) -> None:
        self.this = this
        self.current: SchedTask | None = None
        self.waiting: list[SchedTask] = []
        self.blocked = 0
        self.iowait_ns = 0
        self._sched = sched
        self._kernel = sched.kernel
        self._alarm = Alarm(sched.kernel.timeline, self._ring)
        self._idle_ns, self._free_ns = unclaimed(self._kernel, this)
        self._least_vruntime_ns = 0
        self._picked_vruntime_ns = 0
        self._needs_resched = False

    @property
    def running(self) -> int:
        """nr_running."""
        return len(self.waiting) + (self.current is not None)

    def update(self) -> None:
        """Charge the time since the last update; update_curr()."""
        this = self.this
        if not self._kernel.is_online(this.cpu):
            return
        unclaimed_ns, self._free_ns = unclaimed(self._kernel, this)
        ran_ns = unclaimed_ns - self._idle_ns
        if ran_ns <= 0:
            return  # somebody is charged with more than has passed; that is made up for first
        task = self.current
        if task is None:
            self._idle_ns = unclaimed_ns
            if self.blocked:
                self.iowait_ns += ran_ns
            return
        ran_ns = min(ran_ns, task.left_ns)
        system_ns = min(ran_ns, task.system_left_ns)
        user_ns = ran_ns - system_ns
        task.system_left_ns -= system_ns
        task.user_left_ns -= user_ns
        task.stime_ns += system_ns
        task.utime_ns += user_ns
        task.vruntime_ns += ran_ns
        this.system_ns += system_ns
        this.user_ns += user_ns

    def enqueue(self, task: SchedTask, at_ns: int) -> None:
        """A task is runnable here, from at_ns on if the CPU is idle."""
        self.update()
        known = [other.vruntime_ns for other in (self.current, *self.waiting) if other is not None]
        self._least_vruntime_ns = max(self._least_vruntime_ns, min(known, default=0))
        task.vruntime_ns = max(task.vruntime_ns, self._least_vruntime_ns)
        task.cpu = self.this.cpu
        self.waiting.append(task)
        if self.current is None:
            self._alarm.set(at_ns)
        elif self.running == 2:
            self._sched.keep_ticking(self.this)  # a CPU of nohz_full= stood still until now

    def tick(self) -> None:
        """Whoever has had its slice lets another one run; update_deadline()."""
        self.update()
        task = self.current
        if task is None or not self.waiting:
            return
        if task.vruntime_ns - self._picked_vruntime_ns >= self._sched.slice_ns:
            self._needs_resched = True
            self._alarm.set(self._kernel.timeline.now_ns)

    def cut_short(self, task: SchedTask) -> None:
        """A task of this CPU has its next step now, whatever it wanted to compute before."""
        self.update()
        task.system_left_ns = task.user_left_ns = 0
        if self.current is task:
            self._alarm.set(self._free_ns)

    def take_all(self) -> list[SchedTask]:
        """The CPU goes down: what was runnable here."""
        tasks = [*([] if self.current is None else [self.current]), *self.waiting]
        self.waiting.clear()
        if self.current is not None:
            self.current.preempted()
            self._begin(None)
        self._alarm.cancel()
        return tasks

    def _ring(self) -> None:
        kernel = self._kernel
        outer, kernel.this = kernel.this, self.this
        try:
            self._schedule()
        finally:
            kernel.this = outer

    def _schedule(self) -> None:
        """The task that runs is done with a step, or the tick wants another one."""
        self.update()
        while True:
            task = self.current
            if task is None or (self._needs_resched and self.waiting):
                task = self._switch()
                if task is None:
                    self._alarm.cancel()
                    return
            self._needs_resched = False
            while not task.left_ns and task.state == "R":
                task.step()
            if task.state == "R":
                self._alarm.set(self._free_ns + task.left_ns)
                return
            task.voluntary_switches += 1
            if task.state == "D":
                self.blocked += 1
            self._least_vruntime_ns = max(self._least_vruntime_ns, task.vruntime_ns)
            if not self.waiting:
                self._sched.pull(self)
            if not self.waiting:
                self._begin(None)
            else:
                self.current = None

    def _switch(self) -> SchedTask | None:
        """Run whoever has had the least; __schedule()."""
        before = self.current
        if not self.waiting:
            return None
        task = min(self.waiting, key=lambda waiting: waiting.vruntime_ns)
        self.waiting.remove(task)
        cost_ns = self._kernel.cost.thread_ns
        if before is not None:
            before.involuntary_switches += 1
            before.preempted()
            self.waiting.append(before)
            cost_ns //= 2
        self._begin(task)
        self._picked_vruntime_ns = task.vruntime_ns
        task.compute(system_ns=cost_ns)
        return task

    def _begin(self, task: SchedTask | None) -> None:
        """context_switch(). None: the idle task."""
        this = self.this
        was_idle = this.is_idle
        self.current = this.current = task
        this.context_switches += 1
        this.idle_ns = self._idle_ns
        if task is None:
            this.user_since_ns = -1
        elif was_idle:
            this.user_since_ns = self._kernel.timeline.now_ns
            self._sched.keep_ticking(this)
