"""Let kernel threads compete with programs, on a machine that has a scheduler.

A thread of kthread.py is stepped by the timeline as soon as it is woken, and CPUs are charged for
it; programs are done so much later. Where programs share CPUs, each thread is a task, too: it is
woken to a CPU, waits for its turn there, and preempts and is preempted by its policy and priority.
"""

from pseudokern.kernel.cpumask import CpuMask
from pseudokern.kernel.kthread import KThread, KThreads
from pseudokern.kernel.sched import Scheduler
from pseudokern.kernel.sched_task import SchedTask


class KThreadTask(SchedTask):
    """A kernel thread as the scheduler sees it.

    What it computes between two waits is not interrupted by other tasks: so it is with
    CONFIG_PREEMPT_VOLUNTARY, which distributions have.
    """

    is_kernel = True
    holds_cpu = True

    def __init__(self, thread: KThread, sched: Scheduler) -> None:
        super().__init__(thread.pid, thread.comm, thread.cpus_allowed, thread.start_ns)
        self._thread = thread
        self._sched = sched
        sched.set_scheduler(self, thread.policy, thread.nice, thread.rt_priority)

    def wake(self) -> None:
        """By code that runs on kernel.this."""
        self._sched.wake(self)

    def wake_where_it_slept(self) -> None:
        """By the timer that the thread has set."""
        kernel = self._sched.kernel
        outer, kernel.this = kernel.this, kernel.cpus[self.cpu]
        self._sched.wake(self)
        kernel.this = outer

    def allow(self, mask: CpuMask) -> None:
        """Run on these CPUs; a thread that says so itself does from its next wake-up on."""
        if self._sched.kernel.this.current is self._thread:
            self.cpus_allowed = mask
        else:
            self._sched.set_cpus_allowed(self, mask)

    def step(self) -> None:
        """Its turn: on to the next wait, or to the end of what it computes."""
        try:
            self._thread.go_on()
        finally:
            self.state = self._thread.state

    def follow(self) -> None:
        """The thread went on, or ended, without a turn: kthread_stop()."""
        state = self._thread.state
        if state == "R":
            self._sched.wake(self)
        elif self.state != state:
            self._sched.stop(self)
            self.state = state


def let_threads_compete(threads: KThreads, sched: Scheduler) -> None:
    """Those that there are, and those that will be."""
    threads.as_task = lambda thread: KThreadTask(thread, sched)
    for thread in threads.by_pid.values():
        thread.compete()
