"""Be a program that works with a device: its tasks, and what they have got done.

[[application]]
name = "web"
kind = "server"
device = "eth0"
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from pseudokern.drivers.keys import (
    IO_SIZE,
    Choice,
    CpuList,
    Duration,
    Flag,
    Integer,
    Key,
    Name,
    Problem,
    Share,
    Size,
    quoted,
)
from pseudokern.kernel.cpumask import CpuMask, cpus_of
from pseudokern.kernel.kthread import Policy
from pseudokern.kernel.napi import NAPI_WEIGHT
from pseudokern.kernel.sched import Scheduler
from pseudokern.kernel.sched_task import LEAST_NICE, MOST_NICE, REAL_TIME, SchedTask
from pseudokern.sim.histogram import Histogram
from pseudokern.x86.pc import Pc

MOST_THREADS = 1024
MOST_PRIORITY = 99
LEAST_RCVBUF_KB = 3  # SOCK_MIN_RCVBUF is 2304 bytes
LEAST_SNDBUF_KB = 5  # SOCK_MIN_SNDBUF is 4608 bytes
POLICIES = {
    "other": Policy.OTHER,
    "batch": Policy.BATCH,
    "idle": Policy.IDLE,
    "fifo": Policy.FIFO,
    "rr": Policy.RR,
}

APPLICATION_KEYS: Mapping[str, Key] = {
    "name": Key(Name(), required=True),
    "kind": Key(Choice("server", "io", "poll-mode"), required=True),
    "device": Key(Name(), required=True, doc="a drive for io, else a network card"),
    "threads": Key(Integer(1, MOST_THREADS), default=1),
    "cpus": Key(CpuList(), doc="where they may run; anywhere if left out"),
    "pinned": Key(
        Choice("no", "each"), default="no", doc="each: the first to the first of cpus, and so on"
    ),
    "nice": Key(Integer(LEAST_NICE, MOST_NICE), default=0),
    "policy": Key(Choice(*POLICIES), default="other", doc="SCHED_OTHER and so on"),
    "priority": Key(Integer(0, MOST_PRIORITY), default=0, doc="of fifo and rr: 1 to 99"),
    "work": Key(Duration(), default="2 us", doc="CPU time for a packet or an I/O, of the program"),
}
SERVER_KEYS: Mapping[str, Key] = {
    "recv": Key(Duration(), default="1 us", doc="CPU time of recvmsg() for a packet"),
    "rcvbuf": Key(
        Size(LEAST_RCVBUF_KB), default="208 KB", doc="of each thread's socket: SO_RCVBUF"
    ),
    "steering": Key(
        Choice("hash", "cpu"), default="hash", doc="SO_REUSEPORT; cpu: SO_INCOMING_CPU, too"
    ),
    "waits_in": Key(Choice("recv", "poll"), default="recv", doc="the system call"),
    "busy_poll": Key(Duration(), doc="SO_BUSY_POLL; net.core.busy_read if left out"),
    "busy_poll_budget": Key(Integer(1, 65_535), default=8, doc="SO_BUSY_POLL_BUDGET"),
    "prefer_busy_poll": Key(Flag(), default=False, doc="SO_PREFER_BUSY_POLL"),
    "sndbuf": Key(Size(LEAST_SNDBUF_KB), default="208 KB", doc="the same of what it sends"),
    "answer": Key(Integer(0, 9216), default=0, doc="bytes of the reply to each packet; 0: none"),
}
POLL_MODE_KEYS: Mapping[str, Key] = {
    "queues": Key(Integer(1, 256), doc="receive queues; one for each thread if left out"),
    "descriptors": Key(Integer(32, 8192), default=1024, doc="of each queue"),
    "burst": Key(Integer(1, NAPI_WEIGHT), default=32, doc="packets that it takes at a time"),
    "poll": Key(Duration(), default="20 ns", doc="CPU time of a look into a queue"),
    "recv": Key(Duration(), default="30 ns", doc="and of each packet that it finds"),
    "link_interrupt": Key(Flag(), default=False, doc="an MSI-X for changes of the link"),
}
IO_KEYS: Mapping[str, Key] = {
    "depth": Key(Integer(1, 4096), default=1, doc="I/Os that each thread keeps under way"),
    "submit": Key(Duration(), default="2 us", doc="CPU time of the system call for an I/O"),
    "read": Key(Share(), default="100%", doc="part of the I/Os that read; the others write"),
    "size": Key(IO_SIZE, default="4 KB", doc="of each I/O"),
    "iopoll": Key(Flag(), default=False, doc="look for the end instead of sleeping: poll queues"),
    "sqpoll": Key(Flag(), default=False, doc="have a thread of the kernel submit: io_uring"),
    "sq_thread_idle": Key(Duration(), default="1 s", doc="then that thread sleeps"),
    "sq_thread_cpu": Key(CpuList(), doc="where it runs, one CPU for each; anywhere if left out"),
    "queue": Key(Duration(), default="200 ns", doc="CPU time to put an I/O into the ring"),
}


def policy_problem(options: Mapping[str, Any]) -> Problem | None:
    """What is wrong with its priority, for its policy."""
    policy, priority = options["policy"], options["priority"]
    if (POLICIES[policy] in REAL_TIME) == (priority > 0):
        return None
    hint = "leave it out" if priority else f"choose one from 1 to {MOST_PRIORITY}"
    return Problem(f"is {priority}, but policy is {quoted(policy)}", hint)


Thread = TypeVar("Thread", bound=SchedTask)


class Application(Generic[Thread]):
    """What all kinds have in common.

    options   by the keys of its kind; read when they are needed, so that they may change
    words     the same as somebody has written them
    is_on     it has threads
    threads   those, each a process of its own; gone: those that have ended
    FIXED     keys that stay as they are while it exists
    """

    FIXED: ClassVar[tuple[str, ...]] = ("name", "kind", "device")

    def __init__(self, pc: Pc, sched: Scheduler, options: Mapping[str, Any]) -> None:
        self.name: str = options["name"]
        self.options = options
        self.words: Mapping[str, str] = {}
        self.is_on = False
        self.latency = Histogram()
        self.threads: list[Thread] = []
        self.gone: list[Thread] = []
        self._pc = pc
        self._sched = sched

    @property
    def tasks(self) -> Sequence[SchedTask]:
        """What runs for it, as /proc shows it."""
        return self.threads

    def new_thread(self, pid: int, number: int) -> Thread:
        """A thread that is about to start."""
        raise NotImplementedError

    def place(self, number: int) -> CpuMask:
        """Where a thread may run."""
        cpus: CpuMask = self.options["cpus"] or self._pc.kernel.possible
        if self.options["pinned"] == "no":
            return cpus
        listed = list(cpus_of(cpus))
        return 1 << listed[number % len(listed)]

    def start(self) -> None:
        self.is_on = True
        self.apply()

    def stop(self) -> None:
        """Its threads end; what they have done still counts."""
        self.is_on = False
        while self.threads:
            self._end(self.threads.pop())

    def change(self, options: Mapping[str, Any]) -> None:
        """Go on with other options, of which those of FIXED are the same."""
        self.options = options
        if self.is_on:
            self.apply()

    def apply(self) -> None:
        """Have as many threads as the options say, where and how they say."""
        sched, options = self._sched, self.options
        policy = POLICIES[options["policy"]]
        wanted = (policy, options["nice"], options["priority"])
        while len(self.threads) > options["threads"]:
            self._end(self.threads.pop())
        for number, task in enumerate(self.threads):
            if task.cpus_allowed != (mask := self.place(number)):
                sched.set_cpus_allowed(task, mask)
            if (task.policy, task.nice, task.rt_priority) != wanted:
                sched.set_scheduler(task, *wanted)
        for number in range(len(self.threads), options["threads"]):
            task = self.new_thread(self._pc.irqs.kthreads.take_pid(), number)
            self.threads.append(task)
            for each in task.group:
                sched.set_scheduler(each, *wanted)
                sched.start(each)

    def _end(self, task: Thread) -> None:
        for each in task.group:
            self._sched.stop(each)
        self.gone.append(task)

    def counts(self) -> Mapping[str, int]:
        """What became of its packets or I/Os, by name."""
        raise NotImplementedError

    def more_results(self) -> Mapping[str, int]:
        """What else it counts, by name."""
        return {}

    def show_results(self) -> str:
        counts = {**self.counts(), **self.more_results()}
        lines = [f"{name} {count}" for name, count in counts.items()]
        latency = self.latency
        shown = [("mean", latency.mean_ns)]
        shown += [(f"p{part:g}", latency.percentile_ns(part)) for part in (50, 99, 99.9)]
        shown.append(("max", latency.most_ns))
        lines += [f"latency_{name} {latency_ns / 1000:.1f} us" for name, latency_ns in shown]
        others = [other for task in self.tasks for other in task.others]
        gone = [each for task in self.gone for each in task.group]
        everybody: list[SchedTask] = [*self.tasks, *others, *gone]
        times = {task: self._sched.times_ns(task) for task in everybody}
        lines.append(f"user {sum(utime for utime, _ in times.values()) // 1000} us")
        lines.append(f"system {sum(stime for _, stime in times.values()) // 1000} us")
        named = [(f"thread-{number}", task) for number, task in enumerate(self.tasks)]
        lines += [
            f"{name} pid {task.pid} cpu {task.cpu} state {task.state}"
            f" user_us {times[task][0] // 1000} system_us {times[task][1] // 1000}"
            for name, task in [*named, *((other.comm, other) for other in others)]
        ]
        return "\n".join(lines) + "\n"


AnyApplication = Application[Any]
