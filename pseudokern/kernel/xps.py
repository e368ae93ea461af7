"""Choose the transmit queue of a packet, by the CPU that sends it: transmit packet steering.

Follows netdev_pick_tx() of net/core/dev.c. The queues of a sender's CPU come first, or those of the
queue that its socket receives from (xps_rxqs); where none are set, the hash of the flow chooses
among all queues.
"""

from collections.abc import Iterable, Sequence

from pseudokern.kernel.cpumask import CpuId, CpuMask

HASH_BITS = 32


class Xps:
    """What is set for each transmit queue, by its number: CPUs, and receive queues (a bit each)."""

    def __init__(self) -> None:
        self.cpus: dict[int, CpuMask] = {}
        self.rxqs: dict[int, int] = {}
        # By CPU, receive queue and number of queues: they are many, and change seldom.
        self._allowed: dict[tuple[int, int, int], Sequence[int]] = {}

    def set_cpus(self, masks: Iterable[tuple[int, CpuMask]]) -> None:
        """Numbers of queues, and the CPUs that send by each."""
        self.cpus.update(masks)
        self._allowed.clear()

    def set_rxqs(self, number: int, queues: int) -> None:
        """The receive queues whose sockets send by this queue."""
        self.rxqs[number] = queues
        self._allowed.clear()

    def queue_of(self, cpu: CpuId, flow_hash: int, rx_queue: int, queues: int) -> int:
        """The queue of a packet, one of so many. rx_queue: of its socket; -1 if none is known."""
        if queues == 1:
            return 0
        allowed = self._allowed.get((cpu, rx_queue, queues))
        if allowed is None:
            own = _of(self.rxqs, rx_queue, queues) if rx_queue >= 0 else []
            allowed = own or _of(self.cpus, cpu, queues) or range(queues)
            self._allowed[cpu, rx_queue, queues] = allowed
        return allowed[flow_hash * len(allowed) >> HASH_BITS]

    def keep(self, queues: int) -> None:
        """There are only so many queues now: what was set for others is forgotten."""
        for masks in (self.cpus, self.rxqs):
            for number in [number for number in masks if number >= queues]:
                del masks[number]
        self._allowed.clear()


def _of(masks: dict[int, int], bit: int, queues: int) -> list[int]:
    return [number for number, mask in sorted(masks.items()) if mask >> bit & 1 and number < queues]
