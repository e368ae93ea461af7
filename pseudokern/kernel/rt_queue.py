"""Choose among the real-time tasks of a CPU: the highest priority, and who came first in it.

Follows kernel/sched/rt.c: a SCHED_FIFO task runs until it sleeps or a higher priority wakes, a
SCHED_RR task lets its equals run every 100 ms. One that is preempted stays the first of its
priority.
"""

from collections import deque

from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.kthread import Policy
from pseudokern.kernel.sched_task import SchedTask


class RtQueue:
    """The real-time tasks of one CPU that wait; struct rt_rq.

    count      how many those are
    throttled  they have to: rt_limit.py
    """

    def __init__(self, kernel: Kernel) -> None:
        self.count = 0
        self.throttled = False
        self._kernel = kernel
        self._by_priority: dict[int, deque[SchedTask]] = {}

    @property
    def waiting(self) -> list[SchedTask]:
        """All of them, those in front first."""
        by_priority = self._by_priority
        priorities = sorted(by_priority, reverse=True)
        return [task for priority in priorities for task in by_priority[priority]]

    @property
    def first(self) -> SchedTask | None:
        """Who is in turn."""
        if self.throttled or not self._by_priority:
            return None
        return self._by_priority[max(self._by_priority)][0]

    def place(self, task: SchedTask) -> None:
        """A task becomes runnable, or its turn is over: it is the last of its priority."""
        task.ticks_left = self._slice_ticks
        self._by_priority.setdefault(task.rt_priority, deque()).append(task)
        self.count += 1

    def put_back(self, task: SchedTask) -> None:
        """A task is preempted."""
        self._by_priority.setdefault(task.rt_priority, deque()).appendleft(task)
        self.count += 1

    def take(self, task: SchedTask) -> None:
        """It waits here no more."""
        self.count -= 1
        equals = self._by_priority[task.rt_priority]
        equals.remove(task)
        if not equals:
            del self._by_priority[task.rt_priority]

    def has_used_slice(self, task: SchedTask) -> bool:
        """A tick of the task that runs: whether it is the turn of an equal; task_tick_rt()."""
        if task.policy is not Policy.RR:
            return False
        task.ticks_left -= 1
        if task.ticks_left > 0:
            return False
        task.ticks_left = self._slice_ticks
        return task.rt_priority in self._by_priority

    @property
    def _slice_ticks(self) -> int:
        return max(1, self._kernel.hz * self._kernel.rr_timeslice_ms // 1000)
