"""Number the CPUs, and say which share a core, a socket and a node.

Follows what Linux makes of the ACPI tables of Intel servers: the first threads of all cores come
first, socket after socket, then the second threads of all cores, and so on. CPU 0 and CPU 32 of a
machine with 2 sockets of 16 cores with 2 threads are the two halves of one core.

CPUs beyond those that are plugged in (possible_cpus) would arrive in further sockets.
"""

from typing import NamedTuple

from pseudokern.kernel.cpumask import CpuId, CpuMask


class Topology(NamedTuple):
    """The CPUs of a board, and which of them a kernel may use.

    Cores are dealt out to the nodes evenly, in order; with fewer cores than nodes some have none.
    nr_cpus and maxcpus: how many CPUs the kernel was told to know of, and to start.
    """

    sockets: int = 1
    cores: int = 1
    threads: int = 1
    nodes: int = 1
    possible_cpus: int = 0
    nr_cpus: int | None = None
    maxcpus: int | None = None

    @property
    def plugged_in(self) -> int:
        """How many CPUs the board holds, whatever the kernel was told."""
        return self.sockets * self.cores * self.threads

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
        """Which core of its socket: "core id" in /proc/cpuinfo."""
        return self._place(cpu)[1]

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
        return self._mask(self.socket_of(cpu), 0, self.cores)

    def node_mask(self, node: int) -> CpuMask:
        """The possible CPUs of a NUMA node."""
        return sum(
            1 << number for number in range(self.nr_cpu_ids) if self.node_of(CpuId(number)) == node
        )

    def apic_id(self, cpu: CpuId) -> int:
        """The APIC ID as CPUID leaf 11 lays it out: socket, core, thread, in whole bits each."""
        socket, core, thread = self._place(cpu)
        thread_bits = (self.threads - 1).bit_length()
        core_bits = (self.cores - 1).bit_length()
        return (socket << core_bits | core) << thread_bits | thread

    def _place(self, cpu: CpuId) -> tuple[int, int, int]:
        """Socket, core of the socket, thread of the core."""
        group, number = self.sockets * self.cores, int(cpu)
        if number < self.plugged_in:
            thread, core = divmod(number, group)
            return core // self.cores, core % self.cores, thread
        extra = number - self.plugged_in
        core, thread = divmod(extra, self.threads)
        return self.sockets + core // self.cores, core % self.cores, thread

    def _mask(self, socket: int, first_core: int, end_core: int) -> CpuMask:
        """The possible CPUs of some cores of a socket."""
        if socket >= self.sockets:
            first = self.plugged_in + (socket - self.sockets) * self.cores * self.threads
            start, end = first + first_core * self.threads, first + end_core * self.threads
            return (1 << end) - (1 << start) & self.possible_mask
        start = socket * self.cores + first_core
        cores = (1 << (end_core - first_core)) - 1 << start
        mask = 0
        for thread in range(self.threads):
            mask |= cores << thread * self.sockets * self.cores
        return mask & self.possible_mask
