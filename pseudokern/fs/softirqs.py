"""Write /proc/softirqs.

Follows fs/proc/softirqs.c: a column for every possible CPU.
"""

from pseudokern.kernel.percpu import UINT_RANGE
from pseudokern.kernel.softirq import Softirq
from pseudokern.machine.machine import Machine


def show_softirqs(machine: Machine) -> bytes:
    machine.pc.fold_counts()
    cpus = machine.kernel.cpus
    lines = [" " * 20 + "".join(f"CPU{this.cpu:<8}" for this in cpus)]
    template = "%12s:" + " %10d" * len(cpus)
    for softirq in Softirq:
        counts = [this.softirq_counts[softirq] % UINT_RANGE for this in cpus]
        lines.append(template % (softirq.name, *counts))
    return ("\n".join(lines) + "\n").encode()
