"""Serve numbers below /proc/sys/kernel that say what ends the kernel.

Follows kernel/sysctl.c: proc_dointvec(), proc_dointvec_minmax().
"""

import errno

from pseudokern.fs.kstrtox import strtoul
from pseudokern.machine.machine import Machine

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
NS_PER_S = 1_000_000_000


def parse_int(data: bytes, name: str, least: int = INT_MIN, most: int = INT_MAX) -> int:
    """The number that was written. EINVAL: none, or one out of the range of this file."""
    word = (data.split() or [b""])[0]
    number = strtoul(word.removeprefix(b"-"))
    if number is None:
        raise OSError(errno.EINVAL, f"{name}: {data!r} is no number")
    if word.startswith(b"-"):
        number = -number
    if not least <= number <= most:
        raise OSError(errno.EINVAL, f"{name}: {number} is not from {least} to {most}")
    return number


def show_panic(machine: Machine) -> bytes:
    return b"%d\n" % machine.kernel.panic_timeout_s


def store_panic(machine: Machine, data: bytes) -> None:
    machine.kernel.panic_timeout_s = parse_int(data, "panic")


def show_panic_on_oops(machine: Machine) -> bytes:
    return b"%d\n" % machine.kernel.panic_on_oops


def store_panic_on_oops(machine: Machine, data: bytes) -> None:
    machine.kernel.panic_on_oops = parse_int(data, "panic_on_oops")


def show_panic_on_warn(machine: Machine) -> bytes:
    return b"%d\n" % machine.kernel.panic_on_warn


def store_panic_on_warn(machine: Machine, data: bytes) -> None:
    machine.kernel.panic_on_warn = parse_int(data, "panic_on_warn", 0, 1)


def show_unknown_nmi_panic(machine: Machine) -> bytes:
    return b"%d\n" % machine.pc.entry.nmis.settings.unknown_nmi_panic


def store_unknown_nmi_panic(machine: Machine, data: bytes) -> None:
    _set_nmi(machine, unknown_nmi_panic=parse_int(data, "unknown_nmi_panic"))


def show_panic_on_io_nmi(machine: Machine) -> bytes:
    return b"%d\n" % machine.pc.entry.nmis.settings.panic_on_io_nmi


def store_panic_on_io_nmi(machine: Machine, data: bytes) -> None:
    _set_nmi(machine, panic_on_io_nmi=parse_int(data, "panic_on_io_nmi"))


def show_panic_on_unrecovered_nmi(machine: Machine) -> bytes:
    return b"%d\n" % machine.pc.entry.nmis.settings.panic_on_unrecovered_nmi


def store_panic_on_unrecovered_nmi(machine: Machine, data: bytes) -> None:
    _set_nmi(machine, panic_on_unrecovered_nmi=parse_int(data, "panic_on_unrecovered_nmi"))


def _set_nmi(machine: Machine, **changed: int) -> None:
    nmis = machine.pc.entry.nmis
    nmis.settings = nmis.settings._replace(**changed)


def show_printk_ratelimit(machine: Machine) -> bytes:
    return b"%d\n" % (machine.kernel.printk_ratelimit.interval_ns // NS_PER_S)


def store_printk_ratelimit(machine: Machine, data: bytes) -> None:
    """Seconds; 0: everything goes through."""
    seconds = parse_int(data, "printk_ratelimit", 0)
    machine.kernel.printk_ratelimit.interval_ns = seconds * NS_PER_S


def show_printk_ratelimit_burst(machine: Machine) -> bytes:
    return b"%d\n" % machine.kernel.printk_ratelimit.burst


def store_printk_ratelimit_burst(machine: Machine, data: bytes) -> None:
    machine.kernel.printk_ratelimit.burst = parse_int(data, "printk_ratelimit_burst")
