"""Write /proc/softirqs.

Follows fs/proc/softirqs.c: a column for every possible CPU.
"""

from pseudokern.kernel.softirq import Softirq
from pseudokern.machine.machine import Machine

UINT_RANGE = 1 << 32


def show_softirqs(machine: Machine) -> bytes:
    cpus = machine.kernel.cpus
    lines = [" " * 20 + "".join(f"CPU{this.cpu:<8}" for this in cpus)]
    template = "%12s:" + " %10d" * len(cpus)
    for softirq in Softirq:
        counts = [this.softirq_counts[softirq] % UINT_RANGE for this in cpus]
        lines.append(template % (softirq.name, *counts))
    return ("\n".join(lines) + "\n").encode()
