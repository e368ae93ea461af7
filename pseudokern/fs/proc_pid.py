"""Show /proc/PID of kernel threads and of the programs of applications, and their threads.

Follows fs/proc/array.c: do_task_stat() and proc_pid_status(). A kernel thread has no memory, no
files and no parent but kthreadd; its comm is its whole name, however long. Of a program 15 letters
of its name are its comm. Not modelled: its memory, and its files.

What stands in /proc/PID/stat is of all threads of the process as to CPU time, and of the first one
as to the rest; task/TID has each for itself.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from pseudokern.kernel.cpumask import CpuMask, cpulist_format, cpumask_format
from pseudokern.kernel.kthread import KThread, Policy
from pseudokern.kernel.printk import encoded
from pseudokern.machine.machine import Machine

if TYPE_CHECKING:
    from pseudokern.kernel.sched_task import SchedTask

INIT_PID, KTHREADD_PID = 1, 2
TASK_COMM_LEN = 16
NS_PER_TICK = 10_000_000
PF_KTHREAD = 0x00200000
DEFAULT_PRIORITY = 20
SIGNAL_CHLD = 17
_STATES = {"R": "running", "S": "sleeping", "D": "disk sleep", "X": "dead"}


def thread_ids(_machine: Machine, task: "KThread | SchedTask") -> list[str]:
    """What is in /proc/PID/task."""
    return [str(thread.pid) for thread in _group(task)]


def find_thread(
    _machine: Machine, name: str, task: "KThread | SchedTask"
) -> "KThread | SchedTask | None":
    return next((thread for thread in _group(task) if str(thread.pid) == name), None)


def _group(task: "KThread | SchedTask") -> "Sequence[KThread | SchedTask]":
    return [task] if isinstance(task, KThread) else task.group


class _Shown(NamedTuple):
    """What both kinds of task have. switches: voluntary and not."""

    comm: str
    parent: int
    flags: int
    times_ns: tuple[int, int]
    nice: int
    priority: int
    rt_priority: int
    policy: int
    switches: tuple[int, int]


def _shown(machine: Machine, task: "KThread | SchedTask") -> _Shown:
    if isinstance(task, KThread) and task.task is not None:
        task = task.task
    if isinstance(task, KThread):
        return _Shown(
            task.comm,
            KTHREADD_PID,
            PF_KTHREAD,
            (0, task.run_ns),
            task.nice,
            _priority(task),
            task.rt_priority,
            int(task.policy),
            (task.runs, 0),
        )
    sched = machine.kernel.sched
    times_ns = (0, 0) if sched is None else sched.times_ns(task)
    switches = (task.voluntary_switches, task.involuntary_switches)
    comm = task.comm if task.is_kernel else task.comm[: TASK_COMM_LEN - 1]
    parent, flags = (KTHREADD_PID, PF_KTHREAD) if task.is_kernel else (INIT_PID, 0)
    if task.is_kernel:
        times_ns = (0, sum(times_ns))
    return _Shown(
        comm,
        parent,
        flags,
        times_ns,
        task.nice,
        _priority(task),
        task.rt_priority,
        int(task.policy),
        switches,
    )


def _is_kernel(task: "KThread | SchedTask") -> bool:
    return isinstance(task, KThread) or task.is_kernel


def show_comm(machine: Machine, task: "KThread | SchedTask") -> bytes:
    return encoded(f"{_shown(machine, task).comm}\n")


def show_cmdline(_machine: Machine, task: "KThread | SchedTask") -> bytes:
    return b"" if _is_kernel(task) else encoded(f"{task.comm}\0")


def show_stat(machine: Machine, task: "KThread | SchedTask") -> bytes:
    """52 fields: those of proc_pid_stat(5) in their order."""
    return _stat(machine, task, _group(task), len(_group(task)))


def _stat(
    machine: Machine,
    task: "KThread | SchedTask",
    charged: "Sequence[KThread | SchedTask]",
    threads: int,
) -> bytes:
    """charged: whose CPU time it is."""
    shown = _shown(machine, task)
    each_ns = [_shown(machine, thread).times_ns for thread in charged]
    ids = [task.state, shown.parent, 0, 0, 0, -1, shown.flags]
    faults = [0, 0, 0, 0]
    times = [*(sum(times_ns) // NS_PER_TICK for times_ns in zip(*each_ns, strict=True)), 0, 0]
    scheduling = [shown.priority, shown.nice, threads, 0, task.start_ns // NS_PER_TICK]
    memory_and_signals = [0, 0, (1 << 64) - 1, *[0] * 5, 0, 0, (1 << 31) - 1, 0, 1, 0, 0]
    place = [SIGNAL_CHLD, task.cpu, shown.rt_priority, shown.policy]
    rest = [0] * 11
    fields = [*ids, *faults, *times, *scheduling, *memory_and_signals, *place, *rest]
    return encoded(f"{task.pid} ({shown.comm}) {' '.join(map(str, fields))}\n")


def show_status(machine: Machine, task: "KThread | SchedTask") -> bytes:
    return _status(machine, task, len(_group(task)))


def show_thread_stat(
    machine: Machine, leader: "KThread | SchedTask", task: "KThread | SchedTask"
) -> bytes:
    return _stat(machine, task, [task], len(_group(leader)))


def show_thread_status(
    machine: Machine, leader: "KThread | SchedTask", task: "KThread | SchedTask"
) -> bytes:
    return _status(machine, task, len(_group(leader)))


def show_thread_comm(
    machine: Machine, _leader: "KThread | SchedTask", task: "KThread | SchedTask"
) -> bytes:
    return show_comm(machine, task)


def _status(machine: Machine, task: "KThread | SchedTask", threads: int) -> bytes:
    nr_cpu_ids = machine.kernel.nr_cpu_ids
    shown = _shown(machine, task)
    allowed: CpuMask = task.cpus_allowed
    lines = [
        ("Name", shown.comm),
        ("Umask", "0000"),
        ("State", f"{task.state} ({_STATES[task.state]})"),
        ("Tgid", task.pid if isinstance(task, KThread) else task.tgid),
        ("Ngid", 0),
        ("Pid", task.pid),
        ("PPid", shown.parent),
        ("TracerPid", 0),
        ("Uid", "0\t0\t0\t0"),
        ("Gid", "0\t0\t0\t0"),
        ("FDSize", 64),
        ("Kthread", int(_is_kernel(task))),
        ("Threads", threads),
        ("Cpus_allowed", cpumask_format(allowed, nr_cpu_ids)),
        ("Cpus_allowed_list", cpulist_format(allowed)),
        ("voluntary_ctxt_switches", shown.switches[0]),
        ("nonvoluntary_ctxt_switches", shown.switches[1]),
    ]
    return encoded("".join(f"{name}:\t{value}\n" for name, value in lines))


def _priority(task: "KThread | SchedTask") -> int:
    """The kernel's number less 100: below 0 for real-time tasks."""
    if task.policy in (Policy.FIFO, Policy.RR):
        return -1 - task.rt_priority
    return DEFAULT_PRIORITY + task.nice
