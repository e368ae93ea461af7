"""Serve the lockup detectors' settings: /proc/sys/kernel/*watchdog* and *lockup_panic.

Follows the sysctls of kernel/watchdog.c. Writing the value that is there changes nothing, any other
makes the detectors begin again.
"""

import errno

from pseudokern.fs.sysctl_kernel import parse_int
from pseudokern.kernel.cpumask import cpulist_format, cpulist_parse
from pseudokern.kernel.watchdog import MOST_THRESH_S
from pseudokern.machine.machine import Machine


def show_watchdog(machine: Machine) -> bytes:
    watchdog = machine.watchdog
    return b"%d\n" % (watchdog.soft or watchdog.hard)


def store_watchdog(machine: Machine, data: bytes) -> None:
    """Both detectors, as far as there are any."""
    is_on = bool(parse_int(data, "watchdog", 0, 1))
    watchdog = machine.watchdog
    watchdog.soft, watchdog.hard = is_on, is_on and watchdog.has_counter
    machine.restart_watchdog()


def show_soft_watchdog(machine: Machine) -> bytes:
    return b"%d\n" % machine.watchdog.soft


def store_soft_watchdog(machine: Machine, data: bytes) -> None:
    machine.watchdog.soft = bool(parse_int(data, "soft_watchdog", 0, 1))
    machine.restart_watchdog()


def show_nmi_watchdog(machine: Machine) -> bytes:
    return b"%d\n" % machine.watchdog.hard


def store_nmi_watchdog(machine: Machine, data: bytes) -> None:
    """EOPNOTSUPP: the CPU has no counter for it. Linux says ENOTSUPP, which FUSE refuses."""
    is_on = bool(parse_int(data, "nmi_watchdog", 0, 1))
    if not machine.watchdog.has_counter:
        raise OSError(errno.EOPNOTSUPP, "kernel/nmi_watchdog: this CPU has no arch_perfmon")
    machine.watchdog.hard = is_on
    machine.restart_watchdog()


def show_watchdog_thresh(machine: Machine) -> bytes:
    return b"%d\n" % machine.watchdog.thresh_s


def store_watchdog_thresh(machine: Machine, data: bytes) -> None:
    machine.watchdog.thresh_s = parse_int(data, "watchdog_thresh", 0, MOST_THRESH_S)
    machine.restart_watchdog()


def show_watchdog_cpumask(machine: Machine) -> bytes:
    return f"{cpulist_format(machine.watchdog.cpumask)}\n".encode()


def store_watchdog_cpumask(machine: Machine, data: bytes) -> None:
    """A list of CPUs; those that cannot exist are left out."""
    mask = cpulist_parse(data.strip(), machine.kernel.nr_cpu_ids)
    machine.watchdog.cpumask = mask & machine.kernel.possible
    machine.restart_watchdog()


def show_softlockup_panic(machine: Machine) -> bytes:
    return b"%d\n" % machine.watchdog.softlockup_panic


def store_softlockup_panic(machine: Machine, data: bytes) -> None:
    machine.watchdog.softlockup_panic = parse_int(data, "softlockup_panic", 0, 1)


def show_hardlockup_panic(machine: Machine) -> bytes:
    return b"%d\n" % machine.watchdog.hardlockup_panic


def store_hardlockup_panic(machine: Machine, data: bytes) -> None:
    machine.watchdog.hardlockup_panic = parse_int(data, "hardlockup_panic", 0, 1)
