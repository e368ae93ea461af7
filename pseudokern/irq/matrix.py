"""Book vectors: which CPU has which of its 256 for whom.

Follows kernel/irq/matrix.c. Every CPU has a map of what is allocated and one of what is kept for
managed interrupts; one map of system vectors is shared by all. Vectors in [start, end) are
searched, the lowest free one wins.
"""

import errno
from dataclasses import dataclass

from pseudokern.kernel.cpumask import CpuId, CpuMask, cpus_of, first_cpu


@dataclass(slots=True)
class CpuMap:
    """The vectors of one CPU; bit n of a map is vector n."""

    available: int = 0
    allocated: int = 0
    managed: int = 0
    managed_allocated: int = 0
    online: bool = False
    initialized: bool = False
    alloc_map: int = 0
    managed_map: int = 0


class VectorMatrix:
    """Allocation maps of all CPUs.

    global_available  free vectors on online CPUs
    global_reserved   interrupts that were promised one
    """

    def __init__(self, nr_cpu_ids: int, start: int, end: int) -> None:
        self.maps = [CpuMap() for _ in range(nr_cpu_ids)]
        self.system_map = 0
        self.global_available = 0
        self.global_reserved = 0
        self.total_allocated = 0
        self.online_maps = 0
        self.start = start
        self.end = end
        self._range = (1 << end) - (1 << start)
        # The online CPUs that have so many free vectors: alloc() need not ask 1024 of them.
        self._having: list[CpuMask] = [0] * (end - start + 1)

    @property
    def system_bits_in_range(self) -> int:
        return (self.system_map & self._range).bit_count()

    def online(self, cpu: CpuId) -> None:
        """A CPU came up: its free vectors count."""
        cpu_map = self.maps[cpu]
        if not cpu_map.initialized:
            size = self.end - self.start
            cpu_map.available += size - cpu_map.managed - self.system_bits_in_range
            cpu_map.initialized = True
        cpu_map.online = True
        self.online_maps += 1
        self.global_available += cpu_map.available
        self._having[cpu_map.available] |= 1 << cpu

    def offline(self, cpu: CpuId) -> None:
        """A CPU goes down: its free vectors no longer count, its maps stay."""
        cpu_map = self.maps[cpu]
        self._having[cpu_map.available] &= ~(1 << cpu)
        self.global_available -= cpu_map.available
        self.online_maps -= 1
        cpu_map.online = False

    def assign_system(self, cpu: CpuId, vector: int, *, replace: bool) -> None:
        """Keep a vector for the system, before any CPU but this one is up.

        replace: the vector was allocated on this CPU, as a legacy interrupt, until now.
        """
        cpu_map = self.maps[cpu]
        self.system_map |= 1 << vector
        if replace:
            cpu_map.alloc_map &= ~(1 << vector)
            cpu_map.allocated -= 1
            self.total_allocated -= 1
        if self.start <= vector < self.end and cpu_map.initialized and not replace:
            self._add_available(cpu, -1)

    def reserve(self) -> bool:
        """Promise a vector to somebody. False: this is the first that there may not be."""
        last = self.global_reserved == self.global_available
        self.global_reserved += 1
        return not last

    def remove_reserved(self) -> None:
        self.global_reserved -= 1

    def alloc(self, mask: CpuMask, *, reserved: bool) -> tuple[CpuId, int]:
        """Take the lowest free vector on the CPU of mask that has most; (cpu, vector).

        EINVAL  mask is empty
        ENOSPC  no online CPU of mask has one
        """
        if not mask:
            raise OSError(errno.EINVAL, "no CPU to allocate a vector on")
        best = self._cpu_with_most(mask)
        free = 0 if best is None else self._free_on(self.maps[best])
        if best is None or not free:
            raise OSError(errno.ENOSPC, "every vector of these CPUs is taken")
        vector = _lowest(free)
        self._take(self.maps[best], vector)
        self._add_available(best, -1)
        if reserved:
            self.global_reserved -= 1
        return best, vector

    def alloc_at(self, cpu: CpuId, vector: int) -> None:
        """Take one vector of one CPU: what a legacy interrupt that is in use already has."""
        cpu_map = self.maps[cpu]
        self._take(cpu_map, vector)
        self._add_available(cpu, -1)

    def free(self, cpu: CpuId, vector: int, *, managed: bool) -> None:
        """Give a vector back; a managed one stays kept for its interrupt."""
        cpu_map = self.maps[cpu]
        if not cpu_map.alloc_map >> vector & 1:
            raise ValueError(f"vector {vector} of CPU {cpu} is not allocated")
        cpu_map.alloc_map &= ~(1 << vector)
        cpu_map.allocated -= 1
        if cpu_map.online:
            self.total_allocated -= 1
        if managed:
            cpu_map.managed_allocated -= 1
            return
        self._add_available(cpu, 1)

    def reserve_managed(self, mask: CpuMask) -> None:
        """Keep one vector on every CPU of mask. ENOSPC: one has none; then nothing is kept."""
        kept: list[tuple[CpuId, int]] = []
        for cpu in cpus_of(mask):
            cpu_map = self.maps[cpu]
            free = self._free_on(cpu_map)
            if not free:
                for done_cpu, vector in kept:
                    self._unkeep(done_cpu, vector)
                raise OSError(errno.ENOSPC, f"CPU {cpu} has no vector left to keep")
            vector = _lowest(free)
            kept.append((cpu, vector))
            cpu_map.managed_map |= 1 << vector
            cpu_map.managed += 1
            if cpu_map.online:
                self._add_available(cpu, -1)

    def remove_managed(self, mask: CpuMask) -> None:
        """Let go of one kept vector on every CPU of mask, the lowest that is not in use."""
        for cpu in cpus_of(mask):
            cpu_map = self.maps[cpu]
            unused = cpu_map.managed_map & ~cpu_map.alloc_map
            if unused:
                self._unkeep(cpu, _lowest(unused))

    def alloc_managed(self, mask: CpuMask) -> tuple[CpuId, int]:
        """Use a kept vector on the CPU of mask that uses fewest; (cpu, vector).

        Among equals the highest CPU wins. EINVAL: mask is empty. ENOSPC: nothing is kept there.
        """
        if not mask:
            raise OSError(errno.EINVAL, "no CPU to allocate a managed vector on")
        best: CpuId | None = None
        for cpu in cpus_of(mask):
            cpu_map = self.maps[cpu]
            if not cpu_map.online:
                continue
            fewest = best is None or cpu_map.managed_allocated <= self.maps[best].managed_allocated
            if fewest:
                best = cpu
        unused = self.maps[best].managed_map & ~self.maps[best].alloc_map if best is not None else 0
        if best is None or not unused:
            raise OSError(errno.ENOSPC, "no managed vector is kept on these CPUs")
        vector = _lowest(unused)
        self._take(self.maps[best], vector)
        self.maps[best].managed_allocated += 1
        return best, vector

    def _free_on(self, cpu_map: CpuMap) -> int:
        # `available` is more than this where managed vectors were kept while the CPU was offline.
        return self._range & ~(cpu_map.alloc_map | cpu_map.managed_map | self.system_map)

    def _cpu_with_most(self, mask: CpuMask) -> CpuId | None:
        """The online CPU of mask with most free vectors, the first of several; None has any."""
        having = self._having
        for count in range(len(having) - 1, 0, -1):
            if found := having[count] & mask:
                return first_cpu(found)
        return None

    def _add_available(self, cpu: CpuId, change: int) -> None:
        cpu_map = self.maps[cpu]
        before, cpu_map.available = cpu_map.available, cpu_map.available + change
        if cpu_map.online:
            self.global_available += change
            self._having[before] &= ~(1 << cpu)
            self._having[before + change] |= 1 << cpu

    def _take(self, cpu_map: CpuMap, vector: int) -> None:
        cpu_map.alloc_map |= 1 << vector
        cpu_map.allocated += 1
        self.total_allocated += 1

    def _unkeep(self, cpu: CpuId, vector: int) -> None:
        cpu_map = self.maps[cpu]
        cpu_map.managed_map &= ~(1 << vector)
        cpu_map.managed -= 1
        if cpu_map.online:
            self._add_available(cpu, 1)


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1
