"""Number the CPUs, and say which share a core, a socket and a node.

Follows what Linux makes of the ACPI tables of Intel servers: the first threads of all cores come
first, socket after socket, then the second threads of all cores, and so on. CPU 0 and CPU 32 of a
machine with 2 sockets of 16 cores with 2 threads are the two halves of one core.

Other boards and virtual machines number otherwise, which `order` says: see ORDERS.

CPUs beyond those that are plugged in (possible_cpus) would arrive in further sockets.

A hybrid processor is numbered core by core: the threads of each performance core, then the
efficient cores. Its APIC IDs are those of Alder Lake: as much room for a performance core as for a
module of four efficient ones.
"""

from collections.abc import Mapping
from typing import NamedTuple

from pseudokern.kernel.cpumask import CpuId, CpuMask

MODULE_CORES = 4  # efficient cores that share a module, and its cache
# Which number counts first, the last word: "thread socket core" has the cores of a socket first.
ORDERS = ("thread socket core", "socket core thread", "socket thread core", "thread core socket")


class Topology(NamedTuple):
    """The CPUs of a board, and which of them a kernel may use.

    Cores are dealt out to the nodes evenly, in order; with fewer cores than nodes some have none.
    nr_cpus and maxcpus: how many CPUs the kernel was told to know of, and to start.
    dies: of a socket. efficient_cores: of one thread each, beside the others, in the only socket.
    """

    sockets: int = 1
    cores: int = 1
    threads: int = 1
    nodes: int = 1
    possible_cpus: int = 0
    nr_cpus: int | None = None
    maxcpus: int | None = None
    dies: int = 1
    efficient_cores: int = 0
    order: str = ORDERS[0]

    @property
    def plugged_in(self) -> int:
        """How many CPUs the board holds, whatever the kernel was told."""
        return self.sockets * self.cores * self.threads + self.efficient_cores

    @property
    def nr_cpu_ids(self) -> int:
        """One more than the highest possible CPU: what masks are printed for."""
        possible = max(self.plugged_in, self.possible_cpus)
        return possible if self.nr_cpus is None else min(possible, self.nr_cpus)

    @property
    def possible_mask(self) -> CpuMask:
        """The CPUs that may ever run."""
        return (1 << self.nr_cpu_ids) - 1

    @property
    def present_mask(self) -> CpuMask:
        """The CPUs that are plugged in."""
        return (1 << min(self.plugged_in, self.nr_cpu_ids)) - 1

    @property
    def online_mask(self) -> CpuMask:
        """The CPUs that boot starts; bringup_nonboot_cpus()."""
        present = self.present_mask
        return present if self.maxcpus is None else present & ((1 << max(1, self.maxcpus)) - 1)

    def thread_of(self, cpu: CpuId) -> int:
        """Which thread of its core."""
        return self._place(cpu)[2]

    def core_of(self, cpu: CpuId) -> int:
        """The number of its core in the socket: "core id" in /proc/cpuinfo."""
        return self._slot(self._place(cpu)[1])

    def die_of(self, cpu: CpuId) -> int:
        """Which die of its socket."""
        return min(self._place(cpu)[1] * self.dies // self.cores, self.dies - 1)

    def is_efficient(self, cpu: CpuId) -> bool:
        """Is it an efficient core of a hybrid processor?"""
        return bool(self.efficient_cores) and self.efficient_mask >> cpu & 1 == 1

    @property
    def efficient_mask(self) -> CpuMask:
        """The CPUs that are efficient cores of a hybrid processor."""
        first = self.cores * self.threads
        return (1 << first + self.efficient_cores) - (1 << first) & self.possible_mask

    def socket_of(self, cpu: CpuId) -> int:
        """Which socket: "physical id" in /proc/cpuinfo."""
        return self._place(cpu)[0]

    def node_of(self, cpu: CpuId) -> int:
        """Which NUMA node."""
        socket, core, _ = self._place(cpu)
        all_cores = self.sockets * self.cores
        return min((socket * self.cores + core) * self.nodes // all_cores, self.nodes - 1)

    def siblings_mask(self, cpu: CpuId) -> CpuMask:
        """The threads of the same core, cpu among them."""
        socket, core, _ = self._place(cpu)
        return self._mask(socket, core, core + 1)

    def core_siblings_mask(self, cpu: CpuId) -> CpuMask:
        """The CPUs of the same socket, cpu among them."""
        return self._mask(self.socket_of(cpu), 0, self.all_cores)

    def die_mask(self, cpu: CpuId) -> CpuMask:
        """The CPUs of the same die, cpu among them."""
        if self.dies == 1:
            return self.core_siblings_mask(cpu)
        return self.group_mask(cpu, self.cores // self.dies)

    def group_of(self, cpu: CpuId, cores: int) -> int:
        """Of the groups of so many neighbouring cores in its socket, the one that cpu is in."""
        core = self._place(cpu)[1]
        return (
            core // cores
            if core < self.cores
            else -(-self.cores // cores) + (core - self.cores) // cores
        )

    def group_mask(self, cpu: CpuId, cores: int) -> CpuMask:
        """The CPUs of the same group of so many neighbouring cores, cpu among them."""
        socket, core, _ = self._place(cpu)
        first, end = (0, self.cores) if core < self.cores else (self.cores, self.all_cores)
        start = first + (core - first) // cores * cores
        return self._mask(socket, start, min(start + cores, end))

    @property
    def all_cores(self) -> int:
        """Of a socket, of both kinds."""
        return self.cores + self.efficient_cores

    def node_mask(self, node: int) -> CpuMask:
        """The possible CPUs of a NUMA node."""
        return sum(
            1 << number for number in range(self.nr_cpu_ids) if self.node_of(CpuId(number)) == node
        )

    def apic_id(self, cpu: CpuId) -> int:
        """The APIC ID as CPUID leaf 11 lays it out: socket, core, thread, in whole bits each."""
        socket, core, thread = self._place(cpu)
        thread_bits = (self.threads - 1).bit_length()
        core_bits = self._slot(self.all_cores - 1).bit_length()
        return (socket << core_bits | self._slot(core)) << thread_bits | thread

    def _slot(self, core: int) -> int:
        """The place of a core among the APIC IDs of its socket."""
        if not self.efficient_cores:
            return core
        return MODULE_CORES * min(core, self.cores) + max(0, core - self.cores)

    def _place(self, cpu: CpuId) -> tuple[int, int, int]:
        """Socket, core of the socket, thread of the core."""
        group, number = self.sockets * self.cores, int(cpu)
        if self.efficient_cores and number < self.plugged_in:
            efficient = number - self.cores * self.threads
            if efficient >= 0:
                return 0, self.cores + efficient, 0
            return 0, number // self.threads, number % self.threads
        if number < self.plugged_in and self.order != ORDERS[0]:
            return self._place_in_order(number)
        if number < self.plugged_in:
            thread, core = divmod(number, group)
            return core // self.cores, core % self.cores, thread
        extra = number - self.plugged_in
        core, thread = divmod(extra, self.threads)
        return self.sockets + core // self.cores, core % self.cores, thread

    def _place_in_order(self, number: int) -> tuple[int, int, int]:
        place = {}
        for axis, count in reversed(self._counts()):
            number, place[axis] = divmod(number, count)
        return place["socket"], place["core"], place["thread"]

    def _counts(self) -> list[tuple[str, int]]:
        """How many there are of each, the one that counts first at the end."""
        counts = {"socket": self.sockets, "core": self.cores, "thread": self.threads}
        return [(axis, counts[axis]) for axis in self.order.split()]

    def _number(self, place: Mapping[str, int]) -> int:
        number = 0
        for axis, count in self._counts():
            number = number * count + place[axis]
        return number

    def _mask(self, socket: int, first_core: int, end_core: int) -> CpuMask:
        """The possible CPUs of some cores of a socket."""
        if socket >= self.sockets:
            first = self.plugged_in + (socket - self.sockets) * self.cores * self.threads
            start, end = first + first_core * self.threads, first + end_core * self.threads
            return (1 << end) - (1 << start) & self.possible_mask
        if self.efficient_cores:
            start, end = (
                min(core, self.cores) * self.threads + max(0, core - self.cores)
                for core in (first_core, end_core)
            )
            return (1 << end) - (1 << start) & self.possible_mask
        if self.order != ORDERS[0]:
            places = (
                {"socket": socket, "core": core, "thread": thread}
                for core in range(first_core, end_core)
                for thread in range(self.threads)
            )
            return sum(1 << self._number(place) for place in places) & self.possible_mask
        start = socket * self.cores + first_core
        cores = (1 << (end_core - first_core)) - 1 << start
        mask = 0
        for thread in range(self.threads):
            mask |= cores << thread * self.sockets * self.cores
        return mask & self.possible_mask
