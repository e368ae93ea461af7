"""Keep packets that a card does not take yet, first in, first out: the default qdisc.

Follows pfifo_fast of net/sched/sch_generic.c, of whose three bands ordinary packets use one. A
card with more than one queue has mq, which is one of these for each.
"""

from collections import deque
from typing import NamedTuple

from pseudokern.kernel.sndbuf import SendBuffer
from pseudokern.sim.histogram import Histogram

TX_QUEUE_LEN = 1000  # packets: DEFAULT_TX_QUEUE_LEN


class Packet(NamedTuple):
    """What the stack wants sent: its bytes, and since when.

    latency  counts how long it took; buffer: of its socket
    is_xdp   it is none of the stack's
    """

    size: int
    asked_ns: int
    latency: Histogram | None = None
    buffer: SendBuffer | None = None
    is_xdp: bool = False

    def free(self) -> None:
        """kfree_skb(): it was dropped."""
        if self.buffer is not None:
            self.buffer.free(self.size)


class PfifoFast:
    """One queue of packets; its counters are what `tc -s qdisc` would show.

    drops     packets that found it full
    purged    packets that were in it when the interface went down; nobody counts those
    requeues  how often packets came back, because the card had stopped in the middle of them
    sent, sent_bytes  what went on to the driver, through it or past it
    """

    __slots__ = ("_came_back", "_packets", "drops", "limit", "purged", "requeues", "sent",
                 "sent_bytes")  # fmt: skip

    def __init__(self, limit: int = TX_QUEUE_LEN) -> None:
        self.limit = limit
        self.drops = 0
        self.purged = 0
        self.requeues = 0
        self.sent = self.sent_bytes = 0
        self._packets: deque[Packet] = deque()
        self._came_back: deque[Packet] = deque()

    @property
    def length(self) -> int:
        """Packets in it."""
        return len(self._packets) + len(self._came_back)

    @property
    def backlog(self) -> int:
        """Bytes of the packets in it."""
        return sum(packet.size for packet in (*self._came_back, *self._packets))

    def enqueue(self, packet: Packet) -> bool:
        """Keep it. False: it is dropped."""
        if len(self._packets) >= self.limit:
            self.drops += 1
            packet.free()
            return False
        self._packets.append(packet)
        return True

    def dequeue(self, avail: int) -> list[Packet]:
        """The first packet, and those after it as long as fewer than avail bytes are taken."""
        if self._came_back:
            packets = list(self._came_back)
            self._came_back.clear()
            return packets
        if not self._packets:
            return []
        packets = [self._packets.popleft()]
        avail -= packets[0].size
        while avail > 0 and self._packets:
            packets.append(self._packets.popleft())
            avail -= packets[-1].size
        return packets

    def requeue(self, packets: list[Packet]) -> None:
        """The card did not take these any more; they are first the next time."""
        self.requeues += 1
        self._came_back.extend(packets)

    def purge(self) -> None:
        """qdisc_reset()."""
        packets = [*self._came_back, *self._packets]
        self.purged += len(packets)
        self._packets.clear()
        self._came_back.clear()
        for packet in packets:
            packet.free()
