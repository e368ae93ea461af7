"""Hold what the scheduler knows of a task: struct task_struct, as far as it takes CPU time."""

from pseudokern.kernel.cpumask import CpuMask, first_cpu


class SchedTask:
    """A task of nice 0; struct task_struct. What it does is in step().

    is_kernel        it is a kernel thread
    state            R: runs or could; S: sleeps; D: sleeps for I/O
    cpu              where it runs, or ran last
    system_left_ns, user_left_ns  CPU time until its next step: in the kernel first
    utime_ns, stime_ns, vruntime_ns  CPU time that it has had
    """

    is_kernel = False

    def __init__(self, pid: int, comm: str, cpus_allowed: CpuMask, start_ns: int) -> None:
        self.pid = pid
        self.comm = comm
        self.cpus_allowed = cpus_allowed
        self.start_ns = start_ns
        self.state = "S"
        self.cpu = first_cpu(cpus_allowed)
        self.system_left_ns = 0
        self.user_left_ns = 0
        self.utime_ns = 0
        self.stime_ns = 0
        self.vruntime_ns = 0
        self.voluntary_switches = 0
        self.involuntary_switches = 0

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
