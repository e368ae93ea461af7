"""Serve /proc/sys/kernel/printk, the levels of the kernel log, and /proc/sys/kernel/tainted.

Follows kernel/printk/sysctl.c and proc_dointvec() of kernel/sysctl.c.
"""

import errno

from pseudokern.kernel.warn import tainted_mask
from pseudokern.machine.machine import Machine


def show_printk(machine: Machine) -> bytes:
    return ("\t".join(map(str, machine.kernel.log.loglevels)) + "\n").encode()


def store_printk(machine: Machine, data: bytes) -> None:
    """As many of the four numbers as are given. EINVAL: the first is no number."""
    levels = machine.kernel.log.loglevels
    words = data.split()[: len(levels)]
    if not words:
        raise OSError(errno.EINVAL, "kernel/printk: write up to four numbers")
    for index, word in enumerate(words):
        try:
            levels[index] = int(word)
        except ValueError:
            if index == 0:
                raise OSError(errno.EINVAL, f"kernel/printk: {word!r} is no number") from None
            return


def show_tainted(machine: Machine) -> bytes:
    return b"%d\n" % tainted_mask(machine.kernel.taint)
