"""Be a logical core of a poll-mode program: look into receive queues again and again.

It never sleeps, and makes no system call. There is no event for a look, nor for a packet: the loop
(burst_loop.py) is worked out afterwards, now and then or when somebody asks, from the times at
which frames came and the CPU time that the task has had.

What interrupts took since the last time is put at the end of that; the turns of other tasks are
where they were.
"""

from pseudokern.drivers.burst_loop import BurstLoop
from pseudokern.kernel.cpumask import CpuMask
from pseudokern.kernel.cputime import unclaimed
from pseudokern.kernel.sched import Scheduler
from pseudokern.kernel.sched_task import SchedTask
from pseudokern.sim.histogram import Histogram

BURSTS_AT_ONCE = 500
LEAST_STRIDE_NS, MOST_STRIDE_NS = 100_000, 10_000_000


class Lcore(SchedTask):
    """One core. loop: what it does with its time."""

    def __init__(
        self,
        sched: Scheduler,
        pid: int,
        comm: str,
        cpus_allowed: CpuMask,
        latency: Histogram,
    ) -> None:
        now_ns = sched.kernel.timeline.now_ns
        super().__init__(pid, comm, cpus_allowed, now_ns)
        self.loop = BurstLoop(latency)
        self._sched = sched
        self._stride_ns = LEAST_STRIDE_NS
        self._from_ns = now_ns  # until then the loop is worked out
        self._used_ns = 0
        self._ahead_ns = 0  # CPU time from there until it looks next
        self._lost_cpu = False

    def step(self) -> None:
        before = self.loop.bursts
        self.catch_up()
        bursts = max(1, self.loop.bursts - before)
        stride_ns = self._stride_ns * BURSTS_AT_ONCE // bursts
        self._stride_ns = max(LEAST_STRIDE_NS, min(stride_ns, MOST_STRIDE_NS))
        self.compute(user_ns=self._stride_ns)

    def preempted(self) -> None:
        self.catch_up()
        self._lost_cpu = True

    def catch_up(self) -> None:
        """Work out what the loop has done until now. From any context."""
        run_queue = self._sched.queues[self.cpu]
        run_queue.update()
        had_ns, self._used_ns = self.utime_ns - self._used_ns, self.utime_ns
        _, free_ns = unclaimed(self._sched.kernel, run_queue.this)
        if self._lost_cpu and had_ns:
            self._lost_cpu = False
            self._from_ns = max(self._from_ns, free_ns - had_ns)
        until_ns = self._from_ns + had_ns
        self._ahead_ns = self.loop.run(self._from_ns + self._ahead_ns, until_ns) - until_ns
        self._from_ns = max(until_ns, free_ns)
