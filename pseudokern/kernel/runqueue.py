"""Let the tasks of one CPU run in turns, and charge each the time that it has had.

Follows kernel/sched/core.c. Real-time tasks (rt_queue.py) come before fair ones (fair_queue.py),
within limits (rt_limit.py). The tick notices that a turn is over.

A task gets the time in which its CPU is on and that nobody else is charged with: interrupts and
softirqs take theirs out of it, and it is done so much later.
"""

from typing import TYPE_CHECKING, NamedTuple

from pseudokern.kernel.cfs_queue import CfsQueue
from pseudokern.kernel.cputime import unclaimed
from pseudokern.kernel.fair_queue import FairQueue
from pseudokern.kernel.kthread import Policy
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.rt_queue import RtQueue
from pseudokern.kernel.sched_task import SchedTask
from pseudokern.sim.alarm import Alarm

if TYPE_CHECKING:
    from pseudokern.kernel.rt_limit import RtLimit
    from pseudokern.kernel.sched import Scheduler


class Pending(NamedTuple):
    """Time that has passed and that is not yet in the counts of a CPU and its task."""

    system_ns: int = 0
    user_ns: int = 0
    iowait_ns: int = 0


class RunQueue:
    """The tasks of one CPU; struct rq.

    fair, rt  runnable tasks that do not run; fair_ns, rt_ns: CPU time that each kind has had
    limit     what keeps real-time tasks from having it all; None: there are none
    blocked   tasks that sleep for I/O, and did it here; iowait_ns: idle time while there were any
    """

    def __init__(self, sched: "Scheduler", this: PerCpu) -> None:
        self.this = this
        self.current: SchedTask | None = None
        fair = CfsQueue if sched.kernel.behaviour.cfs else FairQueue
        self.fair: FairQueue = fair(sched.slice_ns)
        self.rt = RtQueue(sched.kernel)
        self.fair_ns = 0
        self.rt_ns = 0
        self.limit: RtLimit | None = None
        self.blocked = 0
        self.iowait_ns = 0
        self._sched = sched
        self._kernel = sched.kernel
        self._alarm = Alarm(sched.kernel.timeline, self._ring)
        self._idle_ns, self._free_ns = unclaimed(self._kernel, this)
        self._needs_resched = False
        self._turn_is_over = False

    @property
    def running(self) -> int:
        """nr_running."""
        return len(self.fair.waiting) + self.rt.count + (self.current is not None)

    @property
    def is_idle(self) -> bool:
        """Whether a task that wakes here runs at once: available_idle_cpu(), sched_idle_cpu()."""
        current = self.current
        if current is None:
            return not self.running
        if current.policy is not Policy.IDLE or self.rt.count:
            return False
        return all(task.policy is Policy.IDLE for task in self.fair.waiting)

    @property
    def has_fair(self) -> bool:
        current = self.current
        return bool(self.fair.waiting) or (current is not None and not current.is_rt)

    @property
    def has_rt(self) -> bool:
        current = self.current
        return bool(self.rt.count) or (current is not None and current.is_rt)

    @property
    def rt_priority(self) -> int:
        """The highest priority here; 0 if there are no real-time tasks."""
        tasks = ([] if self.current is None else [self.current]) + self.rt.waiting[:1]
        return max((task.rt_priority for task in tasks if task.is_rt), default=0)

    @property
    def needs_tick(self) -> bool:
        """Whether a CPU of nohz_full= ticks; sched_can_stop_tick()."""
        current = self.current
        if current is None or not current.is_rt:
            return self.running > 1
        return current.policy is Policy.RR and bool(self.rt.count)

    def update(self) -> None:
        """Charge the time since the last update; update_curr()."""
        if self._kernel.is_online(self.this.cpu):
            self._charge()

    def pending(self) -> Pending:
        """What update() would charge: for who only looks, after whom all goes on as before."""
        if not self._kernel.is_online(self.this.cpu):
            return Pending()
        unclaimed_ns, _ = unclaimed(self._kernel, self.this)
        ran_ns = unclaimed_ns - self._idle_ns
        if ran_ns <= 0:
            return Pending()
        if self.current is None:
            return Pending(iowait_ns=ran_ns if self.blocked else 0)
        return Pending(*_split(self.current, ran_ns))

    def would_preempt(self, task: SchedTask) -> bool:
        """Whether a task that wakes here makes whoever runs stop, real-time tasks considered."""
        current = self.current
        if current is None:
            return True
        if not task.is_rt or self.rt.throttled:
            return False
        return not current.is_rt or current.rt_priority < task.rt_priority

    def enqueue(self, task: SchedTask, at_ns: int) -> None:
        """A task is runnable here, from at_ns on if the CPU is idle."""
        self.update()
        current = self.current
        preempts = self.would_preempt(task)
        task.cpu = self.this.cpu
        if task.is_rt:
            self.rt.place(task)
        elif current is None or current.is_rt:
            self.fair.place(task, None)
        else:
            self.fair.place(task, current)
            preempts = self.fair.preempts(task, current)
        if preempts:
            self._needs_resched = True
            self._alarm.set(at_ns)
        if self.running == 2:
            self._sched.keep_ticking(self.this)  # a CPU of nohz_full= stood still until now

    def dequeue(self, task: SchedTask) -> None:
        """A runnable task is not to run here any more."""
        self.update()
        if task is self.current:
            task.preempted()
            self.current = None
            if not task.is_rt:
                self.fair.leave(task)
            self.reschedule()
        else:
            self._take(task)

    def change(self, task: SchedTask, policy: Policy, nice: int, rt_priority: int) -> None:
        """Schedule a runnable task in another way; __sched_setscheduler()."""
        self.update()
        if task is not self.current:
            self._take(task)
            task.take_policy(policy, nice, rt_priority)
            self.enqueue(task, self._kernel.timeline.now_ns)
            return
        task.take_policy(policy, nice, rt_priority)
        if not task.is_rt:
            self.fair.enter(task)
        self.reschedule()

    def reschedule(self) -> None:
        """Look who is in turn, in a nanosecond."""
        self._needs_resched = True
        self._alarm.set(self._kernel.timeline.now_ns)

    def tick(self) -> None:
        """Whoever has had its slice lets another one run; update_deadline()."""
        self.update()
        task = self.current
        if self.limit is not None:
            self.limit.look()
        if task is None:
            return
        if task.is_rt:
            if self.rt.has_used_slice(task):
                self._turn_is_over = True
                self.reschedule()
        elif self.fair.has_used_slice(task) and self.fair.waiting:
            self.reschedule()

    def cut_short(self, task: SchedTask, system_ns: int) -> None:
        """A task of this CPU wants only so much before its next step, and no more."""
        self.update()
        task.system_left_ns, task.user_left_ns = system_ns, 0
        if self.current is task:
            self._alarm.set(self._free_ns + system_ns)

    def take_all(self) -> list[SchedTask]:
        """The CPU goes down: what was runnable here."""
        self._charge()
        waiting = [*self.rt.waiting, *self.fair.waiting]
        for task in waiting:
            self._take(task)
        tasks = waiting if self.current is None else [self.current, *waiting]
        if self.current is not None:
            self.current.preempted()
            self._begin(None)
        self._alarm.cancel()
        return tasks

    def _charge(self) -> None:
        this = self.this
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
        system_ns, user_ns = _split(task, ran_ns)
        task.system_left_ns -= system_ns
        task.user_left_ns -= user_ns
        task.stime_ns += system_ns
        task.utime_ns += user_ns
        this.system_ns += system_ns
        this.user_ns += user_ns
        if task.nice > 0:
            this.nice_ns += user_ns
        ran_ns = system_ns + user_ns
        if task.is_rt:
            self.rt_ns += ran_ns
        else:
            self.fair_ns += ran_ns
            self.fair.charge(task, ran_ns)

    def _ring(self) -> None:
        kernel, this = self._kernel, self.this
        if this.away_until_ns > kernel.timeline.now_ns:
            kernel.want(this)
            self._alarm.set(this.away_until_ns)
            return
        outer, kernel.this = kernel.this, this
        try:
            self._schedule()
        except BaseException:
            if self.current is not None and self.current.state == "X":
                self._leave(self.current)
                self.reschedule()
            raise
        finally:
            kernel.this = outer

    def _schedule(self) -> None:
        """The task that runs is done with a step, or another one is in turn."""
        self.update()
        while True:
            task = self.current
            if task is None or (self._needs_resched and not (task.holds_cpu and task.left_ns)):
                task = self._switch()
                if task is None:
                    self._alarm.cancel()
                    return
            while not task.left_ns and task.state == "R":
                task.step()
            if task.state == "R":
                self._alarm.set(self._free_ns + task.left_ns)
                return
            self._leave(task)
            if not self.running:
                self._sched.pull(self)

    def _leave(self, task: SchedTask) -> None:
        """The task that ran sleeps now, or has ended."""
        task.voluntary_switches += 1
        if task.state == "D":
            self.blocked += 1
        self.current = None
        if task.is_rt:
            self._sched.pull_rt(self, task.rt_priority)
        else:
            self.fair.leave(task)

    def _switch(self) -> SchedTask | None:
        """Run whoever is in turn; __schedule(). None: there is nobody."""
        before = self.current
        self._needs_resched = False
        if self.limit is not None:
            self.limit.look()
            self._needs_resched = False
        task = self._pick(before)
        turn_is_over, self._turn_is_over = self._turn_is_over, False
        if task is before and task is not None:
            return task
        if before is not None:
            before.involuntary_switches += 1
            before.preempted()
            if not before.is_rt:
                self.fair.put_back(before)
            elif turn_is_over:
                self.rt.place(before)
            else:
                self.rt.put_back(before)
        if task is None:
            if not self.this.is_idle:
                self._begin(None)
            return None
        self._take(task)
        cost_ns = self._kernel.cost.thread_ns
        self._begin(task)
        task.compute(system_ns=cost_ns if before is None else cost_ns // 2)
        if self.rt.count:
            self._sched.push_rt(self)
        if self._kernel.nohz_full:
            self._sched.keep_ticking(self.this)  # for another kind of task it may have to
        return task

    def _pick(self, before: SchedTask | None) -> SchedTask | None:
        """pick_next_task()."""
        ran_rt = before is not None and before.is_rt
        fair_before = None if ran_rt else before
        has_fair = bool(self.fair.waiting) or fair_before is not None
        if has_fair and self.limit is not None and self.limit.fair_first:
            return self.fair.pick(fair_before)
        first = self.rt.first
        if ran_rt and before is not None and not self.rt.throttled:
            if first is None or first.rt_priority < before.rt_priority:
                return before
            if first.rt_priority == before.rt_priority and not self._turn_is_over:
                return before
        if first is not None:
            return first
        return self.fair.pick(fair_before) if has_fair else None

    def _take(self, task: SchedTask) -> None:
        if task.is_rt:
            self.rt.take(task)
        else:
            self.fair.take(task)

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


def _split(task: SchedTask, ran_ns: int) -> tuple[int, int]:
    """What a task has had in the kernel, and outside."""
    ran_ns = min(ran_ns, task.system_left_ns + task.user_left_ns)
    system_ns = min(ran_ns, task.system_left_ns)
    return system_ns, ran_ns - system_ns
