"""Show /proc/loadavg. Follows fs/proc/loadavg.c."""

from pseudokern.kernel.loadavg import FIXED_1, FSHIFT
from pseudokern.machine.machine import Machine


def show_loadavg(machine: Machine) -> bytes:
    loads = " ".join(_decimal(load + FIXED_1 // 200) for load in machine.load_average.averages)
    threads = machine.irqs.kthreads
    running = max(1, machine.load_average.running)
    total = 1 + len(threads.by_pid) + len(machine.tasks)
    return f"{loads} {running}/{total} {threads.last_pid}\n".encode()


def _decimal(load: int) -> str:
    """LOAD_INT() and LOAD_FRAC(): rounded to hundredths."""
    return f"{load >> FSHIFT}.{(load & FIXED_1 - 1) * 100 >> FSHIFT:02}"
