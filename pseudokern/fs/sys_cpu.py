"""Show /sys/devices/system/cpu.

Follows drivers/base/cpu.c and drivers/base/topology.c. Not modelled yet: switching CPUs off and
on, so cpuN/online can be read only.
"""

import errno
from collections.abc import Callable

from pseudokern.kernel.cpumask import CpuId, CpuMask, cpulist_format, cpumask_format
from pseudokern.machine.machine import Machine
from pseudokern.machine.topology import Topology

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
    return b"(null)\n" if mask is None else _list(mask)


def show_kernel_max(_machine: Machine) -> bytes:
    return b"%d\n" % (CPU_OF_DISTRIBUTIONS - 1)


def show_cpu_online(machine: Machine, cpu: CpuId) -> bytes:
    return b"%d\n" % (machine.kernel.online >> cpu & 1)


def store_cpu_online(_machine: Machine, _data: bytes, cpu: CpuId) -> None:
    raise OSError(errno.EPERM, f"CPU {cpu} cannot be switched: hotplug is not modelled yet")


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
