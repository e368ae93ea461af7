"""Transmit frames by a network card, as its driver does.

Each channel has a transmit ring beside its receive queue. Most drivers have one vector and one NAPI
for both, whose polls clean the transmit ring first; virtio_net has a vector and a NAPI for each,
and e1000e cleans in the hard handler of a vector of its own, so that NET_TX frees the packets. On
the INTx line all are polled together. What cleans a ring tells the stack, and wakes its queue.

A ring has to do with interrupts only from its first frame on: a card that sends nothing is as fast
as if it could not.
"""

from typing import TYPE_CHECKING, Literal

from pseudokern.drivers.coalescing_rules import batch, tx_budget
from pseudokern.drivers.dim import DEFAULT_LINE, TX_EQE, TX_ICE, Dim
from pseudokern.drivers.itr import AdaptiveItr
from pseudokern.drivers.moderation import Waiting
from pseudokern.drivers.net_device import Transmitted
from pseudokern.drivers.tx_cleaner import Cleaner
from pseudokern.drivers.tx_ring import TxRing, Wire
from pseudokern.drivers.tx_timeout import TxTimeout
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.flags import IrqReturn
from pseudokern.kernel.cpumask import CpuId
from pseudokern.kernel.dql import Dql
from pseudokern.kernel.net_tx import TxQueue, net_tx_of
from pseudokern.kernel.netdev_watchdog import NetdevWatchdog
from pseudokern.kernel.qdisc import TX_QUEUE_LEN, Packet
from pseudokern.kernel.xps import Xps
from pseudokern.x86.msi_chip import message_of

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic


class NicTx:
    """The transmit side of one card.

    rings, queues  by number, every one that there was since probe(): the counts stay
    xps            which CPUs send by which queue
    queue_len      packets that a qdisc keeps: txqueuelen
    timeout        what the driver does with queues that hang
    xdp_offered    frames that came without the stack; xdp_drops: those that found no room
    """

    def __init__(self, nic: "Nic") -> None:
        self.wire = Wire(nic.style.mbps)
        self.xps = Xps()
        self.queue_len = TX_QUEUE_LEN
        self._nic = nic
        self._cleaners: dict[int, Cleaner] = {}
        self._watchdog = NetdevWatchdog(nic.kernel, nic.pc.timers, self, nic.style.watchdog_s)
        self.name = nic.name
        self.reset()
        if nic.is_up:
            self.start()

    def reset(self) -> None:
        """The driver is bound anew."""
        self.rings: list[TxRing] = []
        self.queues: list[TxQueue] = []
        self.xdp_offered = self.xdp_drops = 0
        self._connected: set[int] = set()
        self._xps_channels = 0
        self.timeout = TxTimeout(self._nic)

    @property
    def count(self) -> int:
        """Queues in use: real_num_tx_queues."""
        nic = self._nic
        return min(nic.channels, len(nic.queues)) or nic.channels

    @property
    def cleaned_by(self) -> Literal["shared", "napi", "handler"]:
        """See Style.tx; on the INTx line everything is polled together."""
        return self._nic.style.tx if self._nic.vectors else "shared"

    def start(self) -> None:
        """The interface is up."""
        nic = self._nic
        self._have(self.count)
        for number in range(self.count):
            self.rings[number].size = nic.ethtool.tx_ring
            self.queues[number].activate(nic.kernel.jiffies)
        if self._xps_channels != self.count:
            self.set_xps()
        for number in range(self.count):
            if number in self._connected:
                self._connect(number)

    def stop(self) -> None:
        """The interface goes down, with all that waits."""
        now_ns = self._nic.kernel.timeline.now_ns
        for queue, ring in zip(self.queues, self.rings, strict=True):
            queue.deactivate()
            ring.purge(now_ns)
        for cleaner in self._cleaners.values():
            cleaner.stop()
        self._watchdog.down()

    @property
    def netdev_name(self) -> str:
        return self._nic.netdev_name

    @property
    def tx_queues(self) -> list[TxQueue]:
        """What the watchdog looks at."""
        return self.queues[: self.count] if self._nic.is_up else []

    def tx_timeout(self, queue: TxQueue, stuck_ms: int) -> None:
        self.timeout.timed_out(queue, stuck_ms)

    def go_on(self, number: int) -> None:
        """A ring that hung works again."""
        self.ring(number).go_on(self._nic.kernel.timeline.now_ns)
        if number in self._connected:
            self._cleaners[number].interrupt.look()

    def poll(self, number: int) -> None:
        """Have a ring cleaned as if its interrupt had come, from process context."""
        kernel, cleaner = self._nic.kernel, self._cleaners[number]
        napi = self._nic.queues[number] if self.cleaned_by == "shared" else cleaner.napi
        napi.schedule(kernel.this)
        kernel.softirqs.raise_from_process(kernel.this, 0)

    def set_xps(self) -> None:
        """As the driver does: when it has other queues, or, if it follows CPUs, other CPUs."""
        count, style = self.count, self._nic.style
        self.xps.keep(count)
        if style.xps is not None:
            self.xps.set_cpus(enumerate(style.xps(self._nic.kernel.online, count)))
        self._xps_channels = count

    def queue(self, number: int) -> TxQueue:
        """One of the channels' queues, in use or not yet."""
        self._have(number + 1)
        return self.queues[number]

    def ring(self, number: int) -> TxRing:
        self._have(number + 1)
        return self.rings[number]

    def _have(self, count: int) -> None:
        nic = self._nic
        for number in range(len(self.rings), count):
            self.rings.append(TxRing(self.wire, nic.ethtool.tx_ring))
            queue = TxQueue(self, number, Dql(nic.kernel.hz), has_bql=nic.style.has_bql)
            queue.qdisc.limit = self.queue_len
            self.queues.append(queue)

    @property
    def has_choice(self) -> bool:
        """netif_is_multiqueue(): whether it can have more than one queue."""
        nic = self._nic
        most = nic.ethtool.most_channels if nic.ethtool.ops.channels else nic.options["queues"]
        return bool(most > 1)

    def set_queue_len(self, length: int) -> None:
        """So many packets may wait in each qdisc."""
        self.queue_len = length
        for queue in self.queues:
            queue.qdisc.limit = length

    def queue_for(self, cpu: CpuId, flow_hash: int, rx_queue: int = -1) -> TxQueue:
        """netdev_pick_tx(): by which queue code on cpu sends a packet."""
        return self.queue(self.xps.queue_of(cpu, flow_hash, rx_queue, self.count))

    def send(self, queue: TxQueue, packet: Packet, now_ns: int) -> int:
        """Send a packet through the stack; when this CPU is done with it."""
        return net_tx_of(self._nic.kernel).dev_queue_xmit(queue, packet, now_ns)

    def xdp_xmit(self, number: int, sizes: list[int], now_ns: int) -> int:
        """Send frames, of so many bytes, without the stack: XDP_TX from a poll of queue `number`.

        They go into the ring of that queue, from now_ns on. How many found room; the rest is
        dropped (xdp_drops). What it takes of the CPU is the caller's to charge: cost.xmit_ns.
        """
        self.xdp_offered += len(sizes)
        sent = 0
        for size in sizes:
            if self.rings[number].free <= self._nic.style.stop_room:
                break  # what is left is the stack's
            self._post(number, Packet(size, now_ns, is_xdp=True), now_ns)
            sent += 1
        self.xdp_drops += len(sizes) - sent
        return sent

    def start_xmit(self, queue: TxQueue, packet: Packet, now_ns: int) -> None:
        number, style = queue.number, self._nic.style
        if style.tx == "napi" and number in self._connected:
            self._cleaners[number].clean_old()  # start_xmit() of virtio_net
        ring = self._post(number, packet, now_ns)
        queue.sent(packet.size)
        if ring.free < style.stop_room:
            ring.stops += 1
            queue.drv_xoff = True

    def _post(self, number: int, packet: Packet, now_ns: int) -> TxRing:
        if number not in self._connected:
            self._connected.add(number)
            self._connect(number)
        ring = self.rings[number]
        ring.post(packet, now_ns)
        self._cleaners[number].interrupt.posted()
        return ring

    def _connect(self, number: int) -> None:
        """The ring's first frame, or the interface is up again: have it cleaned from now on."""
        nic, cleaned_by = self._nic, self.cleaned_by
        self._watchdog.up()
        cleaner = self._cleaners.get(number)
        if cleaner is None:
            cleaner = self._cleaners[number] = Cleaner(nic.kernel, nic.style)
        cleaner.ring, cleaner.queue = self.rings[number], self.queues[number]
        queue, (_, desc) = nic.queues[number], nic.sources[number]
        queue.whole_ring.cleaner = None if cleaned_by == "handler" else cleaner
        own = self.desc_of(number)
        if cleaned_by == "shared" or own is None:
            cleaner.share(queue)
        else:
            cleaner.separate(message_of(own))
        if desc is not None:
            desc.changed()  # polls of the receive queue do more now
        self.moderate(number)

    def desc_of(self, number: int) -> IrqDesc | None:
        """The interrupt that tells of a ring; None on the INTx line."""
        receives = self.cleaned_by == "shared"
        for vector, desc in self._nic.vectors:
            if vector.queue == number and vector.receives == receives:
                return desc
        return None

    def interrupts(self, number: int) -> int:
        """How many a ring has sent."""
        return self._cleaners[number].interrupt.sent if number in self._connected else 0

    def transmitted(self) -> Transmitted:
        """As the driver counts: most when they clean."""
        if self._nic.style.counts_posted:
            packets = sum(ring.posted for ring in self.rings)
            return Transmitted(packets, sum(ring.posted_bytes for ring in self.rings))
        packets = sum(ring.cleaned for ring in self.rings)
        return Transmitted(packets, sum(ring.cleaned_bytes for ring in self.rings))

    def handle(self, number: int) -> IrqReturn:
        """The hard handler of a vector that a transmit ring has for itself."""
        if number in self._connected:
            cleaner = self._cleaners[number]
            if self.cleaned_by == "napi":
                cleaner.napi.schedule(self._nic.kernel.this)
            else:
                cleaner.clean_in_handler()
        return IrqReturn.HANDLED

    def moderate(self, number: int) -> None:
        """Wait with the interrupts of a ring as is set now."""
        if number not in self._connected:
            return
        nic, cleaner = self._nic, self._cleaners[number]
        ethtool, interrupt = nic.ethtool, cleaner.interrupt
        coalesce, is_gap = ethtool.coalesce, ethtool.ops.is_gap
        style: str = nic.options["style"]
        cleaner.budget = tx_budget(style, coalesce, nic.style.tx_budget)
        cleaner.batch(*batch(style, coalesce, "tx"))
        moderation = ethtool.moderation_of(number)
        interrupt.receive = moderation if self.cleaned_by == "shared" else None
        interrupt.pace = moderation if ethtool.reads_words else None
        if moderation is not None and isinstance(moderation.adaptive, AdaptiveItr):
            ring = self.rings[number]
            moderation.adaptive.sent = lambda: (ring.cleaned, ring.cleaned_bytes)
        us, frames = coalesce.get("tx-usecs", 0), coalesce.get("tx-frames", 1)
        interrupt.adaptive = None
        if coalesce.get("adaptive-tx"):
            dim = Dim(TX_ICE, DEFAULT_LINE) if is_gap else Dim(TX_EQE)
            interrupt.adaptive, (us, frames) = dim, dim.profile[DEFAULT_LINE]
        floor_us = coalesce.get("rx-usecs-high", 0)
        interrupt.wait(Waiting(us, 0 if is_gap else frames, is_gap, floor_us))

    def in_flight(self) -> int:
        """Packets in qdiscs and rings."""
        queued = sum(queue.qdisc.length for queue in self.queues)
        return queued + sum(ring.in_flight for ring in self.rings)
