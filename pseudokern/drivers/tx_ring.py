"""Be a transmit ring of a network card, and the wire behind all rings of it.

When a frame will have left is known as soon as it is put into the ring, so nothing happens when it
does: what is done at an instant is the frames whose time is not later.

Who has frames to send from a poll or an interrupt (XDP_TX) calls Nic.tx.xdp_xmit(), which puts them
into the ring without the stack.
"""

from collections import deque
from typing import TYPE_CHECKING

from pseudokern.sim.timeline import FOREVER_NS

if TYPE_CHECKING:
    from pseudokern.kernel.qdisc import Packet

PREAMBLE_BYTES = 8  # with the start delimiter
GAP_BYTES = 12  # between two frames: 96 bit times; IEEE 802.3, 4.4.2
LEAST_FRAME_BYTES = 64
PS_PER_NS = 1000
# From the doorbell to the first bit: the card reads the descriptor, and then the data, over PCIe.
# Two reads of some 450 ns: Neugebauer et al., SIGCOMM 2018, figure 5.
FETCH_NS = 900


class Wire:
    """One frame after the other leaves at the speed of the link, with a gap after each."""

    __slots__ = ("_free_ps", "_ps_per_byte", "mbps")

    def __init__(self, mbps: int) -> None:
        self.mbps = mbps
        self._ps_per_byte = 8 * 1_000_000 // mbps
        self._free_ps = 0

    def send(self, at_ns: int, size: int) -> int:
        """A frame is ready at at_ns; when its last bit has left."""
        begin_ps = max((at_ns + FETCH_NS) * PS_PER_NS, self._free_ps)
        on_wire = PREAMBLE_BYTES + max(size, LEAST_FRAME_BYTES)
        end_ps = begin_ps + on_wire * self._ps_per_byte
        self._free_ps = end_ps + GAP_BYTES * self._ps_per_byte
        return -(-end_ps // PS_PER_NS)


class TxRing:
    """The descriptors of one queue; a frame takes one, from its doorbell until it is cleaned.

    size     descriptors, one of which is never used
    posted   frames that were put into it; cleaned: those that the driver has taken out again
    purged   frames that were in it when it was taken down, and had not left
    posted_bytes, cleaned_bytes  how long those were
    stops, wakes  how often the driver stopped its queue, and woke it
    max_mbps  the rate that it shall not exceed; 0: none
    hung_ns  since when the card sends nothing from it; None: it works
    """

    __slots__ = ("_frames", "_paced_ns", "_wire", "cleaned", "cleaned_bytes", "hung_ns",
                 "max_mbps", "posted", "posted_bytes", "purged", "size", "stops",
                 "wakes")  # fmt: skip

    def __init__(self, wire: Wire, size: int) -> None:
        self.size = size
        self.posted = self.posted_bytes = 0
        self.cleaned = self.cleaned_bytes = 0
        self.purged = 0
        self.stops = self.wakes = 0
        self.max_mbps = 0
        self.hung_ns: int | None = None
        self._paced_ns = 0  # no frame before that
        self._wire = wire
        self._frames: deque[tuple[int, Packet]] = deque()  # when each has left

    @property
    def in_flight(self) -> int:
        """Frames in it, whether or not they have left."""
        return len(self._frames)

    @property
    def free(self) -> int:
        return self.size - 1 - len(self._frames)

    def post(self, packet: "Packet", at_ns: int) -> None:
        """Put a frame into it, and ring the doorbell at at_ns. There is room: free is not 0."""
        size = packet.size
        if self.max_mbps:
            at_ns = max(at_ns, self._paced_ns)
            self._paced_ns = at_ns + size * 8 * PS_PER_NS // self.max_mbps
        done_ns = FOREVER_NS if self.hung_ns is not None else self._wire.send(at_ns, size)
        self._frames.append((done_ns, packet))
        self.posted += 1
        self.posted_bytes += size
        if packet.latency is not None and done_ns != FOREVER_NS:
            packet.latency.count(done_ns - packet.asked_ns)

    def done_ns(self, place: int = 0) -> int:
        """When the frame at this place of those in it has left; FOREVER_NS: not yet known."""
        if place >= len(self._frames):
            return FOREVER_NS
        done_ns = self._frames[place][0]
        return done_ns if self.hung_ns is None or done_ns <= self.hung_ns else FOREVER_NS

    def left(self, now_ns: int) -> int:
        """Frames that have left, and were not cleaned yet."""
        return sum(self.done_ns(place) <= now_ns for place in range(len(self._frames)))

    def hang(self, now_ns: int) -> None:
        """The card sends nothing more of it, until the ring is taken down."""
        if self.hung_ns is None:
            self.hung_ns = now_ns

    def go_on(self, now_ns: int) -> None:
        """It works again, and sends what is in it."""
        if self.hung_ns is None:
            return
        frames, hung_ns, self.hung_ns = list(self._frames), self.hung_ns, None
        self._frames.clear()
        for done_ns, packet in frames:
            left_ns = done_ns if done_ns <= hung_ns else self._wire.send(now_ns, packet.size)
            self._frames.append((left_ns, packet))

    def times_done(self, now_ns: int) -> list[int]:
        """When the frames have left that have, oldest first."""
        found = []
        for place in range(len(self._frames)):
            if (done_ns := self.done_ns(place)) > now_ns:
                break
            found.append(done_ns)
        return found

    def clean(self, now_ns: int, most: int) -> tuple[int, int]:
        """Take out what has left, at most so many.

        How many there were, and the bytes of those that the stack had sent.
        """
        frames = size = from_stack = 0
        while frames < most and self.done_ns() <= now_ns:
            packet = self._frames.popleft()[1]
            size += packet.size
            frames += 1
            if not packet.is_xdp:
                from_stack += packet.size
                if packet.buffer is not None:
                    packet.buffer.free(packet.size)
        self.cleaned += frames
        self.cleaned_bytes += size
        return frames, from_stack

    def purge(self, now_ns: int) -> None:
        """The ring is taken down; what hung works again."""
        self.clean(now_ns, len(self._frames))
        lost = list(self._frames)
        self.purged += len(lost)
        self._frames.clear()
        self.hung_ns = None
        for _, packet in lost:
            packet.free()
