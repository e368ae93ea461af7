"""Hand packets on to other CPUs after they were polled: receive packet steering.

Follows get_rps_cpu(), enqueue_to_backlog() and process_backlog() of net/core/dev.c. Each CPU has a
backlog, which is polled like a queue of a card. Whoever puts the first packet into that of
another CPU sends it an interrupt.
"""

from collections.abc import Callable, Sequence

from pseudokern.kernel.cpumask import CpuId, CpuMask, cpus_of
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.napi import NAPI_WEIGHT, Napi
from pseudokern.kernel.percpu import PerCpu

MAX_BACKLOG = 1000
HASH_BITS = 32

CallFunction = Callable[[CpuMask, Callable[[PerCpu], None]], None]


class Backlog(Napi):
    """Packets that one CPU was given. dropped: those that found it full; ipis: it was sent."""

    __slots__ = ("dropped", "ipis", "waiting", "weight")

    def __init__(self) -> None:
        super().__init__()
        self.waiting = 0
        self.dropped = 0
        self.ipis = 0
        self.weight = NAPI_WEIGHT

    def poll(self, weight: int) -> int:
        taken = min(weight, self.weight, self.waiting)
        self.waiting -= taken
        return taken


class Steering:
    """The backlogs, and which CPUs the packets of a queue go to.

    max_backlog, weight  the sysctls netdev_max_backlog and dev_weight
    """

    def __init__(self, kernel: Kernel, call_function: CallFunction) -> None:
        self.max_backlog = MAX_BACKLOG
        self.weight = NAPI_WEIGHT
        self.backlogs: dict[CpuId, Backlog] = {}
        self._kernel = kernel
        self._call_function = call_function
        self._cpus: dict[Napi, list[CpuId]] = {}
        self._hashes: dict[Napi, Sequence[int]] = {}
        self._next: dict[Napi, int] = {}

    def set(self, napi: Napi, mask: CpuMask, hashes: Sequence[int]) -> None:
        """Steer the packets of a queue to mask. hashes: of its flows, which all have as many."""
        self._cpus[napi] = list(cpus_of(mask))
        self._hashes[napi] = hashes or (0,)

    def steers(self, napi: Napi) -> bool:
        """Whether packets of a queue are handed on."""
        return bool(self._cpus.get(napi))

    def steer(
        self, this: PerCpu, napi: Napi, packets: int, known: Sequence[int] | None = None
    ) -> None:
        """Packets of a queue were polled on this CPU. known: the hash of each of them."""
        cpus = self._cpus.get(napi)
        if not cpus:
            return
        hashes, place = known or self._hashes[napi], 0
        if known is None:
            place = self._next.get(napi, 0)
            self._next[napi] = (place + packets) % len(hashes)
        given: dict[CpuId, int] = {}
        for number in range(place, place + packets):
            cpu = cpus[hashes[number % len(hashes)] * len(cpus) >> HASH_BITS]
            given[cpu] = given.get(cpu, 0) + 1
        for cpu, count in given.items():
            if self._kernel.is_online(cpu):
                this.rx_packets -= count  # they count where they are processed
                self._enqueue(this, cpu, count)

    def netif_rx(self, this: PerCpu, packets: int) -> None:
        """Leave packets that a handler took to the backlog of its CPU; what it has no room for is
        dropped, and counted in softnet_stat."""
        self._enqueue(this, this.cpu, packets)

    def _enqueue(self, this: PerCpu, cpu: CpuId, count: int) -> None:
        backlog = self.backlogs.setdefault(cpu, Backlog())
        backlog.weight = self.weight
        taken = min(count, max(0, self.max_backlog - backlog.waiting))
        backlog.dropped += count - taken
        backlog.waiting += taken
        if not taken or backlog.scheduled:
            return
        if cpu == this.cpu:
            backlog.schedule(this)
            return
        backlog.ipis += 1
        # It is scheduled when the interrupt has come; what is put in until then finds it so.
        backlog.scheduled = True
        self._call_function(1 << cpu, lambda other: self._begin(other, backlog))

    @staticmethod
    def _begin(this: PerCpu, backlog: Backlog) -> None:
        backlog.scheduled = False
        backlog.schedule(this)
