"""Let ksoftirqd compete with the programs of its CPU for its turn.

What ksoftirqd.py does on machines without applications, as a task: run_ksoftirqd() of
kernel/softirq.c. What its softirqs take counts as its own time, so a CPU that has too many of them
leaves programs their share. In /proc/stat it is softirq time, as in Linux.
"""

from pseudokern.kernel.cpumask import CpuId
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.kthread import KThreads
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.sched import Scheduler
from pseudokern.kernel.sched_task import SchedTask


class KsoftirqdTask(SchedTask):
    """ksoftirqd/N."""

    is_kernel = True

    def __init__(self, kernel: Kernel, this: PerCpu, pid: int) -> None:
        super().__init__(pid, f"ksoftirqd/{this.cpu}", 1 << this.cpu, kernel.timeline.now_ns)
        self._kernel = kernel
        self._this = this

    def step(self) -> None:
        """One go; the CPU is busy with it until softirq_end_ns, and then it is here again."""
        this, softirqs, now_ns = self._this, self._kernel.softirqs, self._kernel.timeline.now_ns
        softirqs.thread_runs.discard(this.cpu)
        if not this.softirq_pending or not self._kernel.is_online(this.cpu):
            self.state = "S"
            return
        softirqs.run_ksoftirqd(this, now_ns)
        softirqs.thread_runs.add(this.cpu)
        took_ns = this.softirq_end_ns - now_ns
        self.stime_ns += took_ns
        self.vruntime += took_ns * self.per_ns
        self.compute(system_ns=1)


class KsoftirqdTasks:
    """The threads that were needed so far."""

    def __init__(self, kernel: Kernel, threads: KThreads, sched: Scheduler) -> None:
        self._kernel = kernel
        self._threads = threads
        self._sched = sched
        self._tasks: dict[CpuId, KsoftirqdTask] = {}

    def wake(self, this: PerCpu) -> None:
        """Have the thread of this CPU run what is pending there. From any context."""
        task = self._tasks.get(this.cpu)
        if task is None:
            task = KsoftirqdTask(self._kernel, this, self._threads.take_pid())
            self._threads.created += 1
            self._tasks[this.cpu] = self._sched.kernel_tasks[task.pid] = task
        self._sched.wake(task)
