"""Be a network card with many queues, each with an MSI-X interrupt of its own.

Frames arrive at random times, a rate for every queue. A frame takes a buffer of the queue's ring,
and interrupts unless the queue is being polled already; the handler schedules NAPI, which polls in
the NET_RX softirq. A frame that finds no buffer is dropped and counted.

Without MSI-X one handler on the INTx line serves the queues. Most drivers have only one then,
to which all frames go.

What ethtool asks and sets is in nic_ethtool.py, what it sends in nic_tx.py.
"""

import errno
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from pseudokern.drivers.device import IrqReturn
from pseudokern.drivers.intx import IntxSource
from pseudokern.drivers.keys import Key
from pseudokern.drivers.net_device import NetDevice, Received, Transmitted
from pseudokern.drivers.nic_keys import MAX_QUEUES, NIC_KEYS
from pseudokern.drivers.nic_link import say_down, say_up
from pseudokern.drivers.nic_styles import STYLES, Style, Vector
from pseudokern.drivers.nic_traffic import start_traffic
from pseudokern.drivers.rx_queue import RxQueue
from pseudokern.hw.message import Message
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.manage import irq_set_affinity_and_hint
from pseudokern.irq.napi_handler import NapiHandler
from pseudokern.x86.msi_chip import message_of
from pseudokern.x86.pc import Pc

if TYPE_CHECKING:
    from pseudokern.drivers.net_load import NetLoad
    from pseudokern.drivers.nic_ethtool import NicEthtool
    from pseudokern.drivers.nic_napi import NicNapi
    from pseudokern.drivers.nic_tx import NicTx
    from pseudokern.drivers.nic_xdp import NicXdp
    from pseudokern.drivers.rss import Flow
    from pseudokern.drivers.user_port import UserPort
    from pseudokern.kernel.feed import Feed


class Nic(NetDevice):
    """A multi-queue network card."""

    KEYS: ClassVar = NIC_KEYS

    queues: list[RxQueue]
    # What each of them tells of its frames, and the interrupt that has its handler alone.
    sources: list[tuple[Message | IntxSource, IrqDesc | None]]

    def __init__(self, pc: Pc, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(pc, name, options)
        self.channels: int = options["queues"]
        self.ring_size = self.style.ring
        self.load: NetLoad | None = None
        self.vectors: list[tuple[Vector, IrqDesc]] = []
        self.port: UserPort | None = None  # while a program has it
        # Every queue that there was since probe(), by number: its counts outlive ndo_stop().
        self.rings: list[RxQueue] = []

    @cached_property
    def ethtool(self) -> "NicEthtool":
        """What ethtool can set."""
        from pseudokern.drivers.nic_ethtool import NicEthtool

        return NicEthtool(self)

    @cached_property
    def napi(self) -> "NicNapi":
        """How its queues are polled; few cards are tuned."""
        from pseudokern.drivers.nic_napi import NicNapi

        return NicNapi(self)

    @cached_property
    def tx(self) -> "NicTx":
        """How it transmits; few cards do."""
        from pseudokern.drivers.nic_tx import NicTx

        return NicTx(self)

    @cached_property
    def xdp(self) -> "NicXdp":
        """What decides about its frames; few cards have that."""
        from pseudokern.drivers.nic_xdp import NicXdp

        return NicXdp(self)

    @property
    def style(self) -> Style:
        return STYLES[self.options["style"]]

    @property
    def driver_name(self) -> str:
        return self.style.driver

    @property
    def identity(self) -> tuple[int, int, int]:
        return self.style.identity

    def plug(self) -> None:
        super().plug()
        if self.style.follows_cpus:
            self.kernel.on_cpu_settled(self._hint_again)

    def probe(self) -> None:
        """Allocate the vectors; most drivers request them when the interface is set up.

        EINVAL  the driver needs messages, and there are none
        """
        self.queues = []
        self.sources = []
        self.rings = []
        self.channels, self.ring_size = self.options["queues"], self.style.ring
        self.ethtool.reset()
        if "tx" in self.__dict__:
            self.tx.reset()
        self.vectors = []
        self._line = self.enable()
        # A driver that follows CPUs uses as many queues as there are CPUs when it is probed.
        cpus = self.kernel.online.bit_count()
        self._most_in_use = cpus if self.style.follows_cpus else MAX_QUEUES
        if self.pc.pci.has_messages:
            self._alloc_vectors()
        elif self.style.needs_messages:
            raise OSError(errno.EINVAL, f"{self.name} needs MSI-X")
        if self.style.keeps_irqs:
            self._request_irqs()
        if self.options.get("xdp") is not None:
            self.xdp.attach(self.options["xdp"])

    def _alloc_vectors(self) -> None:
        wanted = self.style.vectors(self.name, self.function.bdf, self.channels)
        count = max(len(wanted), self.style.least_vectors)
        descs = self.pc.pci.alloc_msix(self.function, count)
        self.vectors = list(zip(wanted, descs, strict=False))

    def start(self) -> None:
        if not self.style.keeps_irqs:
            self._request_irqs()
        if "tx" in self.__dict__:
            self.tx.start()
        start_traffic(self)
        say_up(self, len(self.vectors))

    def link_down(self) -> None:
        say_down(self)

    def stop(self) -> None:
        self.stop_traffic()
        self.ethtool.stop()
        if "tx" in self.__dict__:
            self.tx.stop()
        for queue in self.queues:
            queue.discard()
        if not self.style.keeps_irqs:
            self.free_irqs()

    def set_ring_size(self, size: int) -> None:
        """Have rings with so many buffers: the interface goes down for that, and up again."""
        was_up = self.is_up
        self.close()
        self.ring_size = size
        for queue in self.rings:
            queue.set_size(size)
        if was_up:
            self.open()

    def reset_rings(self) -> None:
        """Have new rings, and lose what is in the old ones, in both directions; interrupts stay."""
        if "tx" in self.__dict__:
            self.tx.stop()
        for queue in self.queues:
            queue.discard()
        self.ethtool.moderate()
        if "tx" in self.__dict__:
            self.tx.start()

    def change_mtu(self, mtu: int) -> None:
        if "xdp" in self.__dict__:
            self.xdp.check_mtu(mtu)
        super().change_mtu(mtu)

    def release(self) -> None:
        super().release()
        if "tx" in self.__dict__:
            self.tx.stop()
        self.ethtool.end()
        if "napi" in self.__dict__:
            receiver = self.napi.receiver
            self.napi.end()
            del self.napi
            if receiver is not None:
                self.napi.receiver = receiver  # its sockets outlive the interface
        if "xdp" in self.__dict__:
            self.xdp.end()
            del self.xdp

    def set_channels(self, count: int) -> None:
        """Use so many queues, each with a vector, requested anew unless the driver keeps them.

        ENOSPC  there are too few vectors; then everything is as it was
        """
        was_up, before = self.is_up, self.channels
        self.close()
        self.channels = count
        if not self.style.keeps_irqs and self.vectors:
            try:
                self._alloc_again()
            except OSError:
                self.channels = before
                self._alloc_again()
                raise
        self.ethtool.channels_changed()
        if was_up:
            self.open()

    def steer(self) -> None:
        """The queue of each flow may be another one now."""
        if self.port is not None:
            self.port.catch_up()
        if self.is_up or self.port is not None:
            self.stop_traffic()
            start_traffic(self)

    def _alloc_again(self) -> None:
        self.pc.pci.free(self.function)
        self._alloc_vectors()

    @property
    def speed_mbps(self) -> int:
        return 0 if self.options["style"] == "virtio-net" else self.style.mbps

    def received(self) -> Received:
        kept, kept_bytes = self.xdp.not_received(self.rings) if "xdp" in self.__dict__ else (0, 0)
        return Received(
            sum(queue.packets for queue in self.rings) - kept,
            sum(queue.bytes for queue in self.rings) - kept_bytes,
            sum(queue.dropped for queue in self.rings),
            sum(queue.discarded for queue in self.rings),
            self.style.overflow,
        )

    def transmitted(self) -> Transmitted:
        return self.tx.transmitted() if "tx" in self.__dict__ else Transmitted()

    def _request_irqs(self) -> None:
        """Handlers for the queues, whose rings are empty."""
        self.queues = []
        self.sources = []
        for vector, desc in self.vectors:
            self._request(vector, desc)
        self._hint()
        if not self.vectors:
            self._request_line()
        if "napi" in self.__dict__:
            self.napi.apply()
        if "xdp" in self.__dict__:
            self.xdp.apply()

    def _request_line(self) -> None:
        cost_ns = self.options["handler"]
        source = self.fall_back_to_intx(self._line, self.name, self._poll_queues, cost_ns=cost_ns)
        for _ in range(self.channels if self.style.keeps_queues else 1):
            self._add_queue(source, None)

    def _add_queue(self, source: Message | IntxSource, desc: IrqDesc | None) -> RxQueue:
        number = len(self.queues)
        if number < len(self.rings):
            queue = self.rings[number]
            source.connect(queue)
        else:
            queue = RxQueue(source, self.ring_size)
            self.rings.append(queue)
        self.queues.append(queue)
        self.sources.append((source, desc))
        self.ethtool.moderate_queue(number)
        return queue

    def _poll_queues(self) -> IrqReturn:
        """The handler on the line: it has to look which queues have frames."""
        for queue in self.queues:
            if queue.has_work:
                queue.schedule(self.kernel.this)
        return IrqReturn.HANDLED

    def _request(self, vector: Vector, desc: IrqDesc) -> None:
        handler: Callable[[], IrqReturn] = _nothing_to_do
        if vector.receives:
            handler = NapiHandler(self.kernel, self._add_queue(message_of(desc), desc))
        elif vector.belongs_to_queue:
            handler = self._transmitted(vector.queue)
        self.request_irq(desc.irq, handler, name=vector.name, cost_ns=self.options["handler"])

    def _transmitted(self, number: int) -> Callable[[], IrqReturn]:
        """The handler of a vector that a transmit ring has for itself."""

        def handle() -> IrqReturn:
            return self.tx.handle(number) if "tx" in self.__dict__ else IrqReturn.HANDLED

        return handle

    def _hint(self) -> None:
        """Say where the vectors should go: as the file says, else as the driver would."""
        wanted, in_use = self.options["affinity"], self.channels
        if wanted:
            wanted = [wanted[number % len(wanted)] for number in range(in_use)]
        elif self.style.hints is not None:
            wanted = self.style.hints(self.kernel.online, min(in_use, self._most_in_use))
        for vector, desc in self.vectors:
            if vector.belongs_to_queue and vector.queue < len(wanted):
                irq_set_affinity_and_hint(desc, wanted[vector.queue])

    def _hint_again(self) -> None:
        """A CPU has gone or come."""
        if self.is_bound and not self.options["affinity"]:
            self._hint()
            if "tx" in self.__dict__:
                self.tx.set_xps()

    def stop_traffic(self) -> None:
        super().stop_traffic()
        if self.load is not None:
            self.load.stop()

    def feed(self, number: int) -> "Feed":
        """What feeds a queue: who offers frames says there when they come."""
        from pseudokern.drivers.fed_queue import feed_of

        if self.port is not None:
            return self.port.feed(number)
        queue, (_, desc) = self.queues[number], self.sources[number]
        was_fed = queue.feed is not None
        feed = feed_of(queue, self.kernel, f"{self.name}/{number}")
        if not was_fed:
            self.ethtool.moderate_queue(number)
            feed.seen = feed.head  # what is in the ring waits as what comes does
            feed.end()
            if desc is not None:
                desc.changed()
        return feed

    def queue_of(self, flow: "Flow") -> RxQueue:
        """Where the card puts the frames of a flow."""
        count = min(self.channels, len(self.queues))
        if count == 1 or not self.ethtool.ops.indirection:
            return self.queues[0]
        ethtool = self.ethtool
        return self.queues[ethtool.rss.queue_of(ethtool.flow_hash(flow)) % count]

    @classmethod
    def load_keys(cls) -> Mapping[str, Key]:
        from pseudokern.drivers.net_load import NET_LOAD_KEYS  # few cards have a load

        return NET_LOAD_KEYS

    def set_load(self, options: Mapping[str, Any] | None) -> None:
        from pseudokern.drivers.net_load import NetLoad

        self.load = self.load or NetLoad(self)
        self.load.options = options
        self.steer()

    def show_load(self) -> str:
        return "off\n" if self.load is None else str(self.load)

    def show_results(self) -> str:
        from pseudokern.drivers.nic_results import results

        return results(self)


def _nothing_to_do() -> IrqReturn:
    return IrqReturn.HANDLED
