"""Show /sys/devices/system/cpu/cpuN/cache/indexK.

Follows drivers/base/cacheinfo.c. Only CPUs that are online have caches, and share them.
"""

from collections.abc import Callable

from pseudokern.kernel.cpumask import CpuId, CpuMask, cpulist_format, cpumask_format
from pseudokern.machine.caches import LINE_BYTES, Cache
from pseudokern.machine.machine import Machine


def cache_names(machine: Machine, cpu: CpuId) -> list[str]:
    return [f"index{index}" for index, _ in enumerate(machine.caches.of(cpu))]


def find_cache(machine: Machine, name: str, cpu: CpuId) -> int | None:
    names = cache_names(machine, cpu)
    return names.index(name) if name in names else None


def show_shared_cpu_map(machine: Machine, cpu: CpuId, index: int) -> bytes:
    mask = _shared(machine, cpu, index)
    return f"{cpumask_format(mask, machine.kernel.nr_cpu_ids)}\n".encode()


def show_shared_cpu_list(machine: Machine, cpu: CpuId, index: int) -> bytes:
    return f"{cpulist_format(_shared(machine, cpu, index))}\n".encode()


def _shared(machine: Machine, cpu: CpuId, index: int) -> CpuMask:
    return machine.caches.of(cpu)[index].cpus & machine.kernel.online


def _shows(value: Callable[[Cache], object]) -> Callable[[Machine, CpuId, int], bytes]:
    def show(machine: Machine, cpu: CpuId, index: int) -> bytes:
        return f"{value(machine.caches.of(cpu)[index])}\n".encode()

    return show


show_coherency_line_size = _shows(lambda _cache: LINE_BYTES)
show_id = _shows(lambda cache: cache.id)
show_level = _shows(lambda cache: cache.kind.level)
show_number_of_sets = _shows(lambda cache: cache.kind.sets)
show_physical_line_partition = _shows(lambda _cache: 1)
show_size = _shows(lambda cache: f"{cache.kind.size_kb}K")
show_type = _shows(lambda cache: cache.kind.type)
show_ways_of_associativity = _shows(lambda cache: cache.kind.ways)
