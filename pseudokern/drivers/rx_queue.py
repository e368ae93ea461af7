"""Be a receive queue of a network card: a ring of buffers, and the trigger that tells of frames."""

from typing import TYPE_CHECKING, Protocol

from pseudokern.hw.trigger import Source, Trigger
from pseudokern.kernel.napi import CountedNapi
from pseudokern.sim.timeline import FOREVER_NS
from pseudokern.x86.gate import CountedGate

if TYPE_CHECKING:
    from pseudokern.drivers.tx_cleaner import Cleaner
    from pseudokern.kernel.feed import Feed

RING = 512  # buffers, if the driver's default is not known
FRAME_BYTES = 64  # the smallest that Ethernet has


class Ring:
    """The buffers of a queue, and what became of its frames apart from those that were polled.

    size        buffers
    dropped     frames that found no free buffer, as far as it is known
    discarded   frames that were in it when the interface went down
    frame_bytes how long its frames are, on average
    feed        of a queue that a load feeds (fed_queue.py): when its frames come
    cleaner     cleans the transmit ring that is polled together with it; None: there is none
    """

    __slots__ = ("_bytes", "_packets", "cleaner", "discarded", "dropped", "feed", "frame_bytes",
                 "size")  # fmt: skip

    def __init__(self, size: int) -> None:
        self.size = size
        self.dropped = 0
        self.discarded = 0
        self.frame_bytes = FRAME_BYTES
        self.feed: Feed | None = None
        self.cleaner: Cleaner | None = None
        self._bytes = self._packets = 0  # until frames became so long

    def bytes_of(self, packets: int) -> int:
        return self._bytes + (packets - self._packets) * self.frame_bytes

    def set_frame_bytes(self, frame_bytes: int, packets: int) -> None:
        """Frames are so long from now on, after so many packets."""
        self._bytes, self._packets = self.bytes_of(packets), packets
        self.frame_bytes = frame_bytes


class Interrupting(Protocol):
    """What a queue tells of its frames: a message, or a line."""

    def connect(self, source: Source) -> None:
        """Give source its trigger."""


class RxQueue(CountedNapi):
    """One receive queue: its ring of frames, and the trigger of the message that says so.

    arrive      what a frame does: receive(), or a shorter way that comes to the same
    whole_ring  all that frames need not look at; slots are laid out by name, so it comes last

    Only polls empty the ring, so whatever is more than its size at a poll came when it was full:
    it need not be asked of every frame.
    """

    __slots__ = ("_trigger", "arrive", "extra_ns", "is_unfinished", "whole_ring")

    def __init__(self, message: Interrupting, size: int = RING) -> None:
        super().__init__()
        self.extra_ns = 0
        self.is_unfinished = False
        self.whole_ring = Ring(size)
        self.arrive: Trigger
        message.connect(self)

    @property
    def trigger(self) -> Trigger:
        """What tells the CPU that there are frames."""
        return self._trigger

    @trigger.setter
    def trigger(self, trigger: Trigger) -> None:
        self._trigger = trigger
        gate = getattr(trigger, "__self__", None)
        if isinstance(gate, CountedGate) and gate.napi is self:
            self.arrive = gate.counted.arrive
        else:
            self.arrive = self.receive

    @property
    def frames(self) -> int:
        """Frames polled so far."""
        return self.packets

    @property
    def size(self) -> int:
        return self.whole_ring.size

    @property
    def waiting(self) -> int:
        """Frames in the ring."""
        return min(self.unpolled, self.size)

    @property
    def pollable(self) -> int:
        """Frames that a poll would find now."""
        return self.unpolled

    @property
    def dropped(self) -> int:
        excess = max(0, self.unpolled - self.size)  # to look for it may count some of it
        return self.whole_ring.dropped + excess

    @property
    def discarded(self) -> int:
        return self.whole_ring.discarded

    @property
    def arrived(self) -> int:
        return self.packets + self.unpolled + self.whole_ring.dropped + self.discarded

    @property
    def bytes(self) -> int:
        """Bytes of the frames polled so far."""
        return self.whole_ring.bytes_of(self.packets)

    def receive(self, now_ns: int) -> None:
        """A frame arrives. While NAPI polls, the card's interrupt for this queue is off."""
        self.unpolled += 1
        if not self.scheduled:
            self._trigger(now_ns)

    @property
    def is_count(self) -> bool:
        return type(self).poll is RxQueue.poll

    @property
    def has_more(self) -> bool:
        return self.whole_ring.cleaner is not None

    @property
    def has_work(self) -> bool:
        """Whether a poll would find something."""
        cleaner = self.whole_ring.cleaner
        return self.pollable > 0 or (cleaner is not None and cleaner.has_work)

    @property
    def next_sent_ns(self) -> int:
        cleaner = self.whole_ring.cleaner
        return FOREVER_NS if cleaner is None else cleaner.ring.done_ns()

    def poll(self, weight: int) -> int:
        cleaner = self.whole_ring.cleaner
        if cleaner is not None:
            cleaner.clean(self)
        return super().poll(weight)

    def poll_some(self, weight: int) -> int:
        ring = self.whole_ring
        if self.unpolled > ring.size:
            ring.dropped += self.unpolled - ring.size
            self.unpolled = ring.size
        return super().poll_some(weight)

    def discard(self) -> None:
        """The ring is taken down with what is in it."""
        ring = self.whole_ring
        ring.dropped = self.dropped
        ring.discarded += self.waiting
        self.unpolled = 0

    def set_size(self, size: int) -> None:
        """Give the ring as many buffers; it is a new one, and empty."""
        self.discard()
        self.whole_ring.size = size
