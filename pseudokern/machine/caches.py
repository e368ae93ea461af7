"""Say which caches a CPU has, and which CPUs share them.

Follows arch/x86/kernel/cpu/cacheinfo.c for the order, and for the ids: an APIC ID without the bits
that tell the sharers apart.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pseudokern.drivers.keys import Integer, Key, Limits, Size, plural
from pseudokern.kernel.cpumask import CpuId, CpuMask
from pseudokern.machine.source import Source, Spot, Table
from pseudokern.machine.topology import MODULE_CORES, Topology

LINE_BYTES = 64
_USUAL_WAYS = (12, 16, 20, 8, 1)

_WAYS = Integer(1, 64)
_CORES = Integer(1, 1024)

CACHE_KEYS: Mapping[str, Key] = {
    "l1d": Key(Size(), default="48 KB", doc="of each core"),
    "l1d_ways": Key(_WAYS, default=12),
    "l1i": Key(Size(), default="32 KB", doc="of each core"),
    "l1i_ways": Key(_WAYS, default=8),
    "l2": Key(Size(), default="1280 KB"),
    "l2_ways": Key(_WAYS, default=20),
    "l2_cores": Key(_CORES, default=1, doc="neighbouring cores that share it"),
    "l3": Key(Size(), doc="0: none; what [cpu] has as cache if left out"),
    "l3_ways": Key(_WAYS, doc="12 if left out, or what fits"),
    "l3_cores": Key(_CORES, doc="neighbouring cores that share it; the whole socket if left out"),
    "efficient_l1d": Key(Size(), default="32 KB", doc="of each efficient core; 8 ways"),
    "efficient_l1i": Key(Size(), default="64 KB", doc="of each efficient core; 8 ways"),
    "efficient_l2": Key(Size(), default="2048 KB", doc="of four efficient cores; 16 ways"),
}
WAYS = {"efficient_l1d": 8, "efficient_l1i": 8, "efficient_l2": 16}  # of Gracemont


class CacheKind(NamedTuple):
    """A cache as the firmware tells of it. cores: how many neighbours share one."""

    level: int
    type: str
    size_kb: int
    ways: int
    cores: int

    @property
    def sets(self) -> int:
        return self.size_kb * 1024 // (self.ways * LINE_BYTES)


class Cache(NamedTuple):
    """One cache of one CPU; the CPUs that share it, whether they are online or not."""

    kind: CacheKind
    id: int
    cpus: CpuMask


class Caches:
    """The caches of the CPUs of a machine."""

    def __init__(self, table: Mapping[str, Any] | None, cache_kb: int, topology: Topology) -> None:
        """From the parsed keys of [cache], if there is one. cache_kb: what /proc/cpuinfo says."""
        if table is None:
            anywhere = Limits(cpus=1, nodes=1, gsis=0)
            table = {name: key.parse_default(anywhere, {}) for name, key in CACHE_KEYS.items()}
        l3_kb = cache_kb if table["l3"] is None else table["l3"]
        l3_ways = table["l3_ways"] or next(
            ways for ways in _USUAL_WAYS if has_whole_sets(l3_kb, ways)
        )
        whole = topology.all_cores
        last = CacheKind(3, "Unified", l3_kb, l3_ways, min(table["l3_cores"] or whole, whole))
        self._topology = topology
        self._ordinary = (
            CacheKind(1, "Data", table["l1d"], table["l1d_ways"], 1),
            CacheKind(1, "Instruction", table["l1i"], table["l1i_ways"], 1),
            CacheKind(2, "Unified", table["l2"], table["l2_ways"], table["l2_cores"]),
            last,
        )
        self._efficient = (
            CacheKind(1, "Data", table["efficient_l1d"], WAYS["efficient_l1d"], 1),
            CacheKind(1, "Instruction", table["efficient_l1i"], WAYS["efficient_l1i"], 1),
            CacheKind(2, "Unified", table["efficient_l2"], WAYS["efficient_l2"], MODULE_CORES),
            last,
        )
        self._of: dict[CpuId, list[Cache]] = {}

    def of(self, cpu: CpuId) -> list[Cache]:
        """The caches of a CPU, in the order of their index directories."""
        if cpu not in self._of:
            kinds = self._efficient if self._topology.is_efficient(cpu) else self._ordinary
            self._of[cpu] = [self._cache(cpu, kind) for kind in kinds if kind.size_kb]
        return self._of[cpu]

    def _cache(self, cpu: CpuId, kind: CacheKind) -> Cache:
        topology = self._topology
        if kind.cores >= topology.all_cores:
            return Cache(kind, topology.socket_of(cpu), topology.core_siblings_mask(cpu))
        return Cache(kind, self._id(cpu, kind), topology.group_mask(cpu, kind.cores))

    def _id(self, cpu: CpuId, kind: CacheKind) -> int:
        """Unique among the caches of its kind: lscpu counts the instances by it."""
        topology, cores = self._topology, kind.cores
        if topology.efficient_cores and kind.level == 2:
            cores = MODULE_CORES  # a performance core has as many APIC IDs as a module
        core_bits = (cores - 1).bit_length()
        if 1 << core_bits == cores:
            return topology.apic_id(cpu) >> core_bits + (topology.threads - 1).bit_length()
        groups = -(-topology.all_cores // cores)
        return topology.socket_of(cpu) * groups + topology.group_of(cpu, cores)


def check_caches(source: Source, spot: Spot, table: Table, topology: Topology) -> None:
    """A cache has whole sets, and no more sharers than there are cores."""
    for name in ("l1d", "l1i", "l2", "l3"):
        size_kb, ways = table.get(name), table.get(f"{name}_ways")
        if isinstance(size_kb, int) and isinstance(ways, int) and not has_whole_sets(size_kb, ways):
            what = f"{name} of {size_kb} KB in {plural(ways, 'way')} has no whole number of sets"
            source.report(spot, name, what, "change the size or the ways")
    for name in ("l2_cores", "l3_cores"):
        cores = table.get(name)
        if isinstance(cores, int) and cores > topology.all_cores:
            what = f"{name} is {cores}, but a socket has {plural(topology.all_cores, 'core')}"
            source.report(spot, name, what, "leave it out")


def has_whole_sets(size_kb: int, ways: int) -> bool:
    """Can there be a cache of that size with so many ways?"""
    return size_kb * 1024 % (ways * LINE_BYTES) == 0
