"""Show /proc/PID of kernel threads.

Follows fs/proc/array.c: do_task_stat() and proc_pid_status(). A kernel thread has no memory, no
files and no parent but kthreadd; its comm is its whole name, however long.
"""

from pseudokern.kernel.cpumask import cpulist_format, cpumask_format
from pseudokern.kernel.kthread import KThread, Policy
from pseudokern.kernel.printk import encoded
from pseudokern.machine.machine import Machine

KTHREADD_PID = 2
NS_PER_TICK = 10_000_000
PF_KTHREAD = 0x00200000
DEFAULT_PRIORITY = 20
SIGNAL_CHLD = 17
_STATES = {"R": "running", "S": "sleeping", "D": "disk sleep", "X": "dead"}


def show_comm(_machine: Machine, thread: KThread) -> bytes:
    return encoded(f"{thread.comm}\n")


def show_cmdline(_machine: Machine, _thread: KThread) -> bytes:
    return b""


def show_stat(_machine: Machine, thread: KThread) -> bytes:
    """52 fields: those of proc_pid_stat(5) in their order."""
    ids = [thread.state, KTHREADD_PID, 0, 0, 0, -1, PF_KTHREAD]
    faults = [0, 0, 0, 0]
    times = [0, thread.run_ns // NS_PER_TICK, 0, 0]
    scheduling = [_priority(thread), thread.nice, 1, 0, thread.start_ns // NS_PER_TICK]
    memory_and_signals = [0, 0, (1 << 64) - 1, *[0] * 5, 0, 0, (1 << 31) - 1, 0, 1, 0, 0]
    place = [SIGNAL_CHLD, thread.cpu, thread.rt_priority, int(thread.policy)]
    rest = [0] * 11
    fields = [*ids, *faults, *times, *scheduling, *memory_and_signals, *place, *rest]
    return encoded(f"{thread.pid} ({thread.comm}) {' '.join(map(str, fields))}\n")


def show_status(machine: Machine, thread: KThread) -> bytes:
    nr_cpu_ids = machine.kernel.nr_cpu_ids
    allowed = thread.cpus_allowed
    lines = [
        ("Name", thread.comm),
        ("Umask", "0000"),
        ("State", f"{thread.state} ({_STATES[thread.state]})"),
        ("Tgid", thread.pid),
        ("Ngid", 0),
        ("Pid", thread.pid),
        ("PPid", KTHREADD_PID),
        ("TracerPid", 0),
        ("Uid", "0\t0\t0\t0"),
        ("Gid", "0\t0\t0\t0"),
        ("FDSize", 64),
        ("Kthread", 1),
        ("Threads", 1),
        ("Cpus_allowed", cpumask_format(allowed, nr_cpu_ids)),
        ("Cpus_allowed_list", cpulist_format(allowed)),
        ("voluntary_ctxt_switches", thread.runs),
        ("nonvoluntary_ctxt_switches", 0),
    ]
    return encoded("".join(f"{name}:\t{value}\n" for name, value in lines))


def _priority(thread: KThread) -> int:
    """The kernel's number less 100: below 0 for real-time threads."""
    if thread.policy is Policy.FIFO:
        return -1 - thread.rt_priority
    return DEFAULT_PRIORITY + thread.nice
