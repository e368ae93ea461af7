"""Choose among the fair tasks of a CPU as Linux did up to 6.5: who has had the least comes next.

Follows CFS of kernel/sched/fair.c, 6.1: every runnable task has a turn within the latency of 6 ms,
or more if there are more than eight, and a part of it by its weight. A task that has slept is
placed half a latency before the others (GENTLE_FAIR_SLEEPERS), and one that wakes runs at once if
it is far enough behind the one that runs: so programs that mostly sleep hardly wait for others.

Times are those of the kernel for one CPU, scaled by their number as the slices of EEVDF are.
"""

from pseudokern.kernel.fair_queue import FairQueue
from pseudokern.kernel.kthread import Policy
from pseudokern.kernel.sched_task import SchedTask

SLICES_OF_LATENCY = 8  # sched_nr_latency
NICE_0_PER_NS = 1 << 22


class CfsQueue(FairQueue):
    """The fair tasks of one CPU that wait; slice_ns: sysctl_sched_min_granularity."""

    def __init__(self, slice_ns: int) -> None:
        super().__init__(slice_ns)
        self._latency_ns = SLICES_OF_LATENCY * slice_ns
        self._wakeup_ns = slice_ns * 4 // 3  # sysctl_sched_wakeup_granularity
        self._least = 0  # min_vruntime
        self._ran_ns = 0  # what the task that runs has had since it was picked

    def place(self, task: SchedTask, current: SchedTask | None) -> None:
        least = self._min_vruntime(current)
        if task.utime_ns or task.stime_ns:
            least -= self._latency_ns // 2 * NICE_0_PER_NS
        else:
            least += self._slice_of(task, current) * task.per_ns  # START_DEBIT
        task.vruntime = max(task.vruntime, least)
        self.put_back(task)

    def enter(self, task: SchedTask) -> None:
        task.vruntime = max(task.vruntime, self._min_vruntime(None))

    def leave(self, task: SchedTask) -> None:
        self._min_vruntime(task)

    def charge(self, task: SchedTask, ran_ns: int) -> None:
        super().charge(task, ran_ns)
        self._ran_ns += ran_ns

    def has_used_slice(self, task: SchedTask) -> bool:
        """Whether another one is in turn; check_preempt_tick()."""
        if not self.waiting:
            return False
        ideal_ns = min(self._slice_of(task, task), self._latency_ns)
        if self._ran_ns > ideal_ns:
            return True
        if self._ran_ns < self.slice_ns:
            return False
        first = min(waiting.vruntime for waiting in self.waiting)
        return task.vruntime - first > ideal_ns * NICE_0_PER_NS

    def pick(self, current: SchedTask | None) -> SchedTask:
        tasks = self.waiting if current is None else [*self.waiting, current]
        self._ran_ns = 0
        return min(tasks, key=lambda task: task.vruntime)

    def preempts(self, woken: SchedTask, current: SchedTask) -> bool:
        """check_preempt_wakeup(): it is behind by more than the granularity."""
        is_idle = woken.policy is Policy.IDLE
        if is_idle != (current.policy is Policy.IDLE):
            return not is_idle
        if woken.policy is not Policy.OTHER:
            return False
        return current.vruntime - woken.vruntime > self._wakeup_ns * woken.per_ns

    def _slice_of(self, task: SchedTask, current: SchedTask | None) -> int:
        """sched_slice(), in ns."""
        others = [*self.waiting, *([] if current is None else [current])]
        tasks = others if task in others else [*others, task]
        period_ns = max(self._latency_ns, len(tasks) * self.slice_ns)
        share_ns = period_ns * task.weight // sum(each.weight for each in tasks)
        return max(share_ns, self.slice_ns)

    def _min_vruntime(self, current: SchedTask | None) -> int:
        known = [task.vruntime for task in self.waiting]
        if current is not None:
            known.append(current.vruntime)
        self._least = max(self._least, min(known, default=0))
        return self._least
