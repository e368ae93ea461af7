"""Hold what the scheduler knows of a task: struct task_struct, as far as it takes CPU time."""

from collections.abc import Sequence

from pseudokern.kernel.cpumask import CpuMask, first_cpu
from pseudokern.kernel.kthread import Policy

REAL_TIME = (Policy.FIFO, Policy.RR)
IDLE_WEIGHT = 3  # WEIGHT_IDLEPRIO

# sched_prio_to_weight: of nice -20 to 19. A step is about 1.25, or 10 % of the CPU time of two.
WEIGHTS = (
    88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916,
    9548, 7620, 6100, 4904, 3906, 3121, 2501, 1991, 1586, 1277,
    1024, 820, 655, 526, 423, 335, 272, 215, 172, 137,
    110, 87, 70, 56, 45, 36, 29, 23, 18, 15,
)  # fmt: skip
LEAST_NICE, MOST_NICE = -20, 19
WEIGHT_RANGE = 1 << 32


class SchedTask:
    """A task. What it does is in step().

    is_kernel        it is a kernel thread
    holds_cpu        what it computes until its next step is not interrupted by other tasks
    tgid             the PID of its process; others: the other threads of the process that it leads
    state            R: runs or could; S: sleeps; D: sleeps for I/O; X: it has ended
    cpu              where it runs, or ran last
    policy, nice, rt_priority  set together: Scheduler.set_scheduler()
    system_left_ns, user_left_ns  CPU time until its next step: in the kernel first
    utime_ns, stime_ns  CPU time that it has had
    vruntime, deadline  among fair tasks: what it has had over its weight, and until when it is
                     in turn; per_ns is what a nanosecond adds
    ticks_left       of its turn among SCHED_RR tasks
    """

    is_kernel = False
    holds_cpu = False

    def __init__(self, pid: int, comm: str, cpus_allowed: CpuMask, start_ns: int) -> None:
        self.pid = pid
        self.comm = comm
        self.tgid = pid
        self.others: Sequence[SchedTask] = ()
        self.cpus_allowed = cpus_allowed
        self.start_ns = start_ns
        self.state = "S"
        self.cpu = first_cpu(cpus_allowed)
        self.system_left_ns = 0
        self.user_left_ns = 0
        self.utime_ns = 0
        self.stime_ns = 0
        self.vruntime = 0
        self.deadline = 0
        self.ticks_left = 0
        self.voluntary_switches = 0
        self.involuntary_switches = 0
        self.take_policy(Policy.OTHER, 0, 0)

    def take_policy(self, policy: Policy, nice: int, rt_priority: int) -> None:
        """Be scheduled so; for a task that no queue has."""
        self.policy = policy
        self.nice = nice
        self.rt_priority = rt_priority
        self.is_rt = policy in REAL_TIME
        self.weight = IDLE_WEIGHT if policy is Policy.IDLE else WEIGHTS[nice - LEAST_NICE]
        self.per_ns = WEIGHT_RANGE // self.weight

    @property
    def group(self) -> "list[SchedTask]":
        """It, and the threads of the process that it leads."""
        return [self, *self.others]

    @property
    def left_ns(self) -> int:
        return self.system_left_ns + self.user_left_ns

    def compute(self, *, system_ns: int = 0, user_ns: int = 0) -> None:
        """Take so much CPU time, in the kernel and then outside, before the next step."""
        self.system_left_ns += system_ns
        self.user_left_ns += user_ns

    def delay(self, duration_ns: int) -> None:
        self.compute(system_ns=duration_ns)

    def step(self) -> None:
        """It has the CPU and has done what it wanted: compute(), or change state to sleep."""
        raise NotImplementedError

    def preempted(self) -> None:
        """Another task has its turn, or the CPU goes down; this one would have gone on."""
