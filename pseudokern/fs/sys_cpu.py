"""Show /sys/devices/system/cpu.

Follows drivers/base/cpu.c, drivers/base/core.c (online) and drivers/base/topology.c.
"""

import errno
from collections.abc import Callable

from pseudokern.kernel.cpumask import CpuId, CpuMask, cpulist_format, cpumask_format
from pseudokern.machine.machine import Machine
from pseudokern.machine.topology import Topology
from pseudokern.x86.hotplug import BOOT_CPU

CPU_OF_DISTRIBUTIONS = 8192  # CONFIG_NR_CPUS


def show_online(machine: Machine) -> bytes:
    return _list(machine.kernel.online)


def show_offline(machine: Machine) -> bytes:
    return _list(machine.kernel.possible & ~machine.kernel.online)


def show_possible(machine: Machine) -> bytes:
    return _list(machine.kernel.possible)


def show_present(machine: Machine) -> bytes:
    return _list(machine.kernel.present)


def show_isolated(machine: Machine) -> bytes:
    return _list(machine.description.parameters.isolated)


def show_nohz_full(machine: Machine) -> bytes:
    mask = machine.description.parameters.nohz_full
    if mask is None:  # printed as a list of so many bits: "%*pbl" of a null pointer
        return b"(null)".rjust(machine.kernel.nr_cpu_ids) + b"\n"
    return _list(mask)


def show_kernel_max(_machine: Machine) -> bytes:
    return b"%d\n" % (CPU_OF_DISTRIBUTIONS - 1)


def show_cpu_online(machine: Machine, cpu: CpuId) -> bytes:
    return b"%d\n" % machine.kernel.is_online(cpu)


def store_cpu_online(machine: Machine, data: bytes, cpu: CpuId) -> None:
    """Switch a CPU; nothing happens if it is so already.

    EINVAL  kstrtobool() knows neither y, n, on, off nor a number that begins with 0 or 1
    ENOSPC  the other CPUs have no room for its interrupts
    """
    wanted = _parse_bool(data)
    if wanted == machine.kernel.is_online(cpu):
        return
    if wanted:
        machine.pc.hotplug.up(cpu)
    else:
        machine.pc.hotplug.down(cpu)


def is_online(machine: Machine, cpu: CpuId) -> bool:
    """A CPU that is switched off has neither topology nor caches."""
    return machine.kernel.is_online(cpu)


def is_hybrid(machine: Machine) -> bool:
    return bool(machine.description.topology.efficient_cores)


def show_core_cpus(machine: Machine) -> bytes:
    """The performance cores of a hybrid processor, which count performance events of their own."""
    return _list(machine.kernel.online & ~machine.description.topology.efficient_mask)


def show_atom_cpus(machine: Machine) -> bytes:
    return _list(machine.kernel.online & machine.description.topology.efficient_mask)


def can_go_down(_machine: Machine, cpu: CpuId) -> bool:
    """The boot CPU has no online file."""
    return cpu != BOOT_CPU


def _parse_bool(data: bytes) -> bool:
    """kstrtobool(): only the first character counts, but for on and off."""
    text = data.decode("latin-1").lower()
    if text[:1] in ("y", "t", "1") or text[:2] == "on":
        return True
    if text[:1] in ("n", "f", "0") or text[:2] == "of":
        return False
    raise OSError(errno.EINVAL, f"{data!r}: write 0 or 1")


def topology_number(number: Callable[[Topology, CpuId], int]) -> Callable[[Machine, CpuId], bytes]:
    """A show function for an id of a CPU."""

    def show(machine: Machine, cpu: CpuId) -> bytes:
        return b"%d\n" % number(machine.description.topology, cpu)

    return show


def topology_mask(mask: Callable[[Topology, CpuId], CpuMask]) -> Callable[[Machine, CpuId], bytes]:
    """A show function for a set of CPUs, in hexadecimal; online ones only."""

    def show(machine: Machine, cpu: CpuId) -> bytes:
        kernel = machine.kernel
        cpus = mask(machine.description.topology, cpu) & kernel.online
        return f"{cpumask_format(cpus, kernel.nr_cpu_ids)}\n".encode()

    return show


def topology_list(mask: Callable[[Topology, CpuId], CpuMask]) -> Callable[[Machine, CpuId], bytes]:
    """A show function for a set of CPUs, as a list; online ones only."""

    def show(machine: Machine, cpu: CpuId) -> bytes:
        return _list(mask(machine.description.topology, cpu) & machine.kernel.online)

    return show


def _list(mask: CpuMask) -> bytes:
    return f"{cpulist_format(mask)}\n".encode()
