"""Show and change /proc/irq.

Follows kernel/irq/proc.c. All functions get the machine, and the descriptor where the path names
one. Errors are OSError with the errno of the kernel.
"""

import errno
from collections.abc import Callable

from pseudokern.fs.profile import PROFILES
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.manage import irq_affinity_shown, irq_set_affinity
from pseudokern.kernel.cpumask import (
    CpuMask,
    cpulist_format,
    cpulist_parse,
    cpumask_format,
    cpumask_parse,
)
from pseudokern.machine.machine import Machine

MS_PER_S = 1000

Parser = Callable[[bytes, int], CpuMask]


def show_default_smp_affinity(machine: Machine) -> bytes:
    return _hex(machine, machine.irqs.default_affinity)


def store_default_smp_affinity(machine: Machine, data: bytes) -> None:
    mask = cpumask_parse(data, machine.kernel.nr_cpu_ids)
    if not mask & machine.kernel.online:
        raise OSError(errno.EINVAL, f"default_smp_affinity {data!r}: no online CPU")
    machine.irqs.default_affinity = mask


def show_smp_affinity(machine: Machine, desc: IrqDesc) -> bytes:
    return _hex(machine, irq_affinity_shown(desc))


def store_smp_affinity(machine: Machine, data: bytes, desc: IrqDesc) -> None:
    _store(machine, data, desc, cpumask_parse)


def show_smp_affinity_list(_machine: Machine, desc: IrqDesc) -> bytes:
    return _list(irq_affinity_shown(desc))


def store_smp_affinity_list(machine: Machine, data: bytes, desc: IrqDesc) -> None:
    _store(machine, data, desc, cpulist_parse)


def show_effective_affinity(machine: Machine, desc: IrqDesc) -> bytes:
    return _hex(machine, desc.effective_affinity)


def show_effective_affinity_list(_machine: Machine, desc: IrqDesc) -> bytes:
    return _list(desc.effective_affinity)


def show_affinity_hint(machine: Machine, desc: IrqDesc) -> bytes:
    return _hex(machine, desc.affinity_hint)


def show_node(_machine: Machine, desc: IrqDesc) -> bytes:
    return b"%d\n" % desc.node


def show_spurious(machine: Machine, desc: IrqDesc) -> bytes:
    last_ms = desc.last_unhandled * MS_PER_S // machine.kernel.hz
    return (
        f"count {desc.irq_count}\nunhandled {desc.irqs_unhandled}\nlast_unhandled {last_ms} ms\n"
    ).encode()


def smp_affinity_mode(machine: Machine, desc: IrqDesc) -> int:
    """0444 if a write can only fail; fixed when the directory was made."""
    fixed = PROFILES[machine.description.kernel].fixed_modes
    return desc.proc_mode if fixed else 0o644


def _store(machine: Machine, data: bytes, desc: IrqDesc, parse: Parser) -> None:
    """write_irq_affinity(): whether it may be moved is asked before the text is read."""
    if not desc.user_can_set_affinity:
        profile = PROFILES[machine.description.kernel]
        number = errno.EPERM if profile.fixed_modes else errno.EIO
        raise OSError(number, f"interrupt {desc.irq} cannot be moved from outside")
    mask = parse(data, machine.kernel.nr_cpu_ids)
    if not mask & machine.kernel.online:
        raise OSError(errno.EINVAL, f"smp_affinity {data!r}: no online CPU")
    irq_set_affinity(desc, mask)


def _hex(machine: Machine, mask: CpuMask) -> bytes:
    return f"{cpumask_format(mask, machine.kernel.nr_cpu_ids)}\n".encode()


def _list(mask: CpuMask) -> bytes:
    return f"{cpulist_format(mask)}\n".encode()
