"""Be a task that looks for something again and again, without an event for each look.

What spins takes all CPU time that it can get and does nothing with it. So only the end is an
event: what it looks for is there, it has looked for long enough, or another task has its turn.

What the kernel's own loops do: sk_busy_loop() of net/core/dev.c, io_do_iopoll() and io_sq_thread()
of io_uring. They let go when they need_resched().
"""

from pseudokern.kernel.cpumask import CpuMask
from pseudokern.kernel.sched import Scheduler
from pseudokern.kernel.sched_task import SchedTask

UNTIL_FOUND_NS = 10_000_000  # of a spin without an end of its own: then it begins another


class SpinningTask(SchedTask):
    """A task that may spin in the kernel: system time.

    is_spinning  from spin() until found(), until the time is up, or until it has lost its CPU
    """

    def __init__(
        self, sched: Scheduler, pid: int, comm: str, cpus_allowed: CpuMask, start_ns: int
    ) -> None:
        super().__init__(pid, comm, cpus_allowed, start_ns)
        self.sched = sched
        self.is_spinning = False

    def spin(self, duration_ns: int = UNTIL_FOUND_NS) -> None:
        """From step(), which is called again when it is over: look for so long at most."""
        self.is_spinning = True
        self.compute(system_ns=duration_ns)

    def stop_spinning(self) -> None:
        """The time is up, or something has ended it: what step() begins with."""
        self.is_spinning = False

    def found(self) -> None:
        """The next look finds something. From any context; nothing if it does not spin."""
        if self.is_spinning:
            self.stop_spinning()
            self.sched.cut_short(self, self.sched.kernel.cost.look_ns)

    def preempted(self) -> None:
        if self.is_spinning:
            self.stop_spinning()
            self.system_left_ns = 0
