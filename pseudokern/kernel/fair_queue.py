"""Choose among the fair tasks of a CPU, so that each gets a share as large as its weight.

Follows EEVDF of kernel/sched/fair.c: a task that has had no more than the average (it is eligible)
and whose slice ends first comes next; all slices are as long, but the virtual time of a heavy task
goes by slowly, so it is in turn again soon. Who runs goes on until its slice is over, unless it has
had more than the average and somebody wakes who comes before it (RUN_TO_PARITY).

A task that has slept begins at the average, without a credit for it. Up to 6.5 there was CFS
instead, with the same shares: cfs_queue.py.
"""

from pseudokern.kernel.kthread import Policy
from pseudokern.kernel.sched_task import SchedTask


class FairQueue:
    """The fair tasks of one CPU that wait; struct cfs_rq. slice_ns: how long a turn is."""

    def __init__(self, slice_ns: int) -> None:
        self.slice_ns = slice_ns
        self.waiting: list[SchedTask] = []
        self._weight = 0
        self._weighted = 0
        self._empty_at = 0  # where virtual time is while nobody is runnable

    def place(self, task: SchedTask, current: SchedTask | None) -> None:
        """A task becomes runnable."""
        task.vruntime = max(task.vruntime, self._average(current))
        self._renew(task)
        self.put_back(task)

    def enter(self, task: SchedTask) -> None:
        """The task that runs becomes a fair one, or of another weight."""
        task.vruntime = max(task.vruntime, self._average(None))
        self._renew(task)

    def put_back(self, task: SchedTask) -> None:
        """A task waits that is runnable already; put_prev_entity()."""
        self.waiting.append(task)
        self._weight += task.weight
        self._weighted += task.weight * task.vruntime

    def take(self, task: SchedTask) -> None:
        """It waits here no more."""
        self.waiting.remove(task)
        self._weight -= task.weight
        self._weighted -= task.weight * task.vruntime

    def leave(self, task: SchedTask) -> None:
        """The task that ran sleeps now."""
        if not self.waiting:
            self._empty_at = max(self._empty_at, task.vruntime)

    def charge(self, task: SchedTask, ran_ns: int) -> None:
        """The task that runs has run; update_curr()."""
        task.vruntime += ran_ns * task.per_ns

    def has_used_slice(self, task: SchedTask) -> bool:
        """Whether the turn of the task that runs is over; if so it gets a new slice."""
        if task.vruntime < task.deadline:
            return False
        self._renew(task)
        return True

    def pick(self, current: SchedTask | None) -> SchedTask:
        """Who is in turn, of those that wait and the one that runs; pick_eevdf()."""
        tasks = self.waiting if current is None else [*self.waiting, current]
        if len(tasks) == 1:
            return tasks[0]
        weight, weighted = self._sums(current)
        eligible = [task for task in tasks if task.vruntime * weight <= weighted]
        return min(eligible, key=lambda task: task.deadline)

    def preempts(self, woken: SchedTask, current: SchedTask) -> bool:
        """Whether a task that has just been placed runs at once; check_preempt_wakeup_fair()."""
        if self.has_used_slice(current):
            return True
        is_idle = woken.policy is Policy.IDLE
        if is_idle != (current.policy is Policy.IDLE):
            return not is_idle
        if woken.policy is not Policy.OTHER:
            return False
        weight, weighted = self._sums(current)
        if current.vruntime * weight <= weighted:
            return False
        return self.pick(current) is woken

    def _renew(self, task: SchedTask) -> None:
        task.deadline = task.vruntime + self.slice_ns * task.per_ns

    def _average(self, current: SchedTask | None) -> int:
        weight, weighted = self._sums(current)
        return weighted // weight if weight else self._empty_at

    def _sums(self, current: SchedTask | None) -> tuple[int, int]:
        if current is None:
            return self._weight, self._weighted
        weight = current.weight
        return self._weight + weight, self._weighted + weight * current.vruntime
