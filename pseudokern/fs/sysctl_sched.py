"""Serve the numbers below /proc/sys/kernel that bound real-time tasks.

Follows kernel/sched/rt.c: sched_rt_handler() and sched_rr_handler().
"""

import errno

from pseudokern.fs.fair_server import check_bandwidth
from pseudokern.fs.sysctl_kernel import parse_int
from pseudokern.kernel.kernel import RR_TIMESLICE_MS
from pseudokern.machine.machine import Machine

INT_MAX = 2**31 - 1
NO_LIMIT = -1


def show_sched_rt_period_us(machine: Machine) -> bytes:
    return b"%d\n" % machine.kernel.rt_period_us


def store_sched_rt_period_us(machine: Machine, data: bytes) -> None:
    """EINVAL: no number from 1 on, or less than sched_rt_runtime_us. EBUSY: see _check()."""
    period_us = parse_int(data, "sched_rt_period_us", 1, INT_MAX)
    _check(machine, period_us, machine.kernel.rt_runtime_us)
    machine.kernel.rt_period_us = period_us


def show_sched_rt_runtime_us(machine: Machine) -> bytes:
    return b"%d\n" % machine.kernel.rt_runtime_us


def store_sched_rt_runtime_us(machine: Machine, data: bytes) -> None:
    """-1: no limit. EINVAL: no number from -1 to sched_rt_period_us. EBUSY: see _check()."""
    runtime_us = parse_int(data, "sched_rt_runtime_us", NO_LIMIT, INT_MAX)
    _check(machine, machine.kernel.rt_period_us, runtime_us)
    machine.kernel.rt_runtime_us = runtime_us


def show_sched_rr_timeslice_ms(machine: Machine) -> bytes:
    return b"%d\n" % machine.kernel.rr_timeslice_ms


def store_sched_rr_timeslice_ms(machine: Machine, data: bytes) -> None:
    """How long a SCHED_RR task's turn is; 0 or less: the default. EINVAL: no number."""
    number = parse_int(data, "sched_rr_timeslice_ms", -INT_MAX, INT_MAX)
    machine.kernel.rr_timeslice_ms = number if number > 0 else RR_TIMESLICE_MS


def _check(machine: Machine, period_us: int, runtime_us: int) -> None:
    """sched_rt_global_validate(), sched_dl_global_validate().

    EINVAL  real-time tasks would get more than there is
    EBUSY   from 6.12 on: less than the fair servers have been admitted with, usually 5 %
    """
    if runtime_us == NO_LIMIT:
        return
    if runtime_us > period_us:
        why = f"sched_rt_runtime_us {runtime_us} is more than sched_rt_period_us {period_us}"
        raise OSError(errno.EINVAL, why)
    if not machine.kernel.behaviour.throttles_rt:
        check_bandwidth(machine, machine.kernel.fair_servers, runtime_us, period_us)
