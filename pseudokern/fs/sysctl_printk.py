"""Serve the files of the kernel log in /proc/sys/kernel: printk, printk_devkmsg, tainted.

Follows kernel/printk/sysctl.c and proc_dointvec() of kernel/sysctl.c.
"""

import errno

from pseudokern.kernel.printk import Devkmsg
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


def show_devkmsg(machine: Machine) -> bytes:
    return f"{machine.kernel.log.devkmsg}\n".encode()


def store_devkmsg(machine: Machine, data: bytes) -> None:
    """on, off or ratelimit. EINVAL: none of these, or printk.devkmsg= has decided already."""
    log, word = machine.kernel.log, data.rstrip(b"\n").decode("latin-1")
    if log.devkmsg_fixed:
        raise OSError(errno.EINVAL, f"printk_devkmsg is {log.devkmsg} for good: boot parameter")
    if word not in list(Devkmsg):
        raise OSError(errno.EINVAL, f"printk_devkmsg {word!r}: write on, off or ratelimit")
    log.devkmsg = Devkmsg(word)


def show_tainted(machine: Machine) -> bytes:
    return b"%d\n" % tainted_mask(machine.kernel.taint)
