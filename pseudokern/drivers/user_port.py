"""Be a network card whose queues a program has set up for itself: a port of DPDK.

The program has the function from vfio-pci, and writes the card's registers without the kernel. So
there is no interface, and the queues have no interrupt. Frames come by the hash of their flow as
before; one that finds no free descriptor is dropped by the card.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pseudokern.drivers.burst_loop import Polled
from pseudokern.drivers.fed_queue import FedQueue, feed_of
from pseudokern.drivers.lcore import Lcore
from pseudokern.drivers.nic_traffic import start_traffic
from pseudokern.drivers.rx_queue import RxQueue
from pseudokern.hw.trigger import Source
from pseudokern.kernel.feed import Feed

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic


class NoInterrupt:
    """What a queue has instead of a message; before is called before a frame comes to it."""

    def __init__(self, before: Callable[[], None]) -> None:
        self._before = before

    def connect(self, source: Source) -> None:
        source.trigger = lambda _now_ns: self._before()


class PolledQueue(FedQueue):
    """A queue that a core has polled up to some time ago."""

    __slots__ = ()

    def receive(self, now_ns: int) -> None:
        self._trigger(now_ns)
        self.feed.insert(now_ns)


class UserPort:
    """The queues of a card, from start() until stop()."""

    def __init__(self, nic: "Nic", queues: int, descriptors: int) -> None:
        self.lcores: list[Lcore] = []
        self._nic = nic
        self._running: dict[int, Lcore] = {}
        nic.ring_size, nic.channels = descriptors, queues
        nic.ethtool.reset()
        nic.sources = []
        source = NoInterrupt(self.catch_up)
        nic.queues = [RxQueue(source, descriptors) for _ in range(queues)]
        nic.rings = list(nic.queues)
        self.polled: list[Polled] = []
        for number, queue in enumerate(nic.queues):
            feed = feed_of(queue, nic.kernel, f"{nic.name}/{number}")
            queue.__class__ = PolledQueue
            source.connect(queue)
            feed.scheduled = True
            self.polled.append(Polled(queue, feed))

    def start(self) -> None:
        """rte_eth_dev_start()."""
        self._nic.port = self
        self._nic.pc.on_fold.append(self.catch_up)
        start_traffic(self._nic)

    def stop(self) -> None:
        """rte_eth_dev_stop(): what is in the rings is lost."""
        self.catch_up()
        self._nic.stop_traffic()
        for polled in self.polled:
            polled.queue.discard()
        for lcore in self.lcores:
            lcore.loop.queues = []
        self._nic.pc.on_fold.remove(self.catch_up)
        self._nic.port = None

    def share(self, lcores: list[Lcore]) -> None:
        """Have these cores poll the queues, the first one the first, and so on."""
        self.catch_up()
        for lcore in self.lcores:
            lcore.loop.queues = []
        self.lcores = list(lcores)
        for number, polled in enumerate(self.polled):
            lcores[number % len(lcores)].loop.queues.append(polled)

    def catch_up(self) -> None:
        """Work out what has been polled until now."""
        for lcore in self.lcores:
            lcore.catch_up()

    def feed(self, number: int) -> Feed:
        return self.polled[number].feed

    def cpu_of(self, number: int) -> int:
        """Where a queue is polled."""
        return self.lcores[number % len(self.lcores)].cpu if self.lcores else 0
