"""Know the frames of a receive queue by the times at which they arrive, before they do.

Who offers frames draws the times in blocks, and nothing happens when one comes: how many are in
the ring at an instant is the number of times that are not later. A frame costs what its time
costs to draw, 25 ns; only interrupts and polls are events.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from pseudokern.kernel.latency import Latency
from pseudokern.kernel.napi import NAPI_WEIGHT
from pseudokern.sim.timeline import FOREVER_NS

if TYPE_CHECKING:
    from pseudokern.kernel.batches import Batches
    from pseudokern.kernel.kernel import Kernel

Blocks = Iterator[list[int]]  # of times in ns, each later than the one before


class Room(Protocol):
    """The buffers of the ring, and the count of frames that found none."""

    size: int
    dropped: int


class Listener(Protocol):
    """Who has to know when the queue is polled: the card's interrupt is off then."""

    def look(self) -> None:
        """Other frames will come than was known."""

    def polling_began(self, now_ns: int, *, is_announced: bool = True) -> None:
        """What comes from now on does not interrupt. is_announced: by an interrupt's handler."""

    def polling_ended(self, now_ns: int) -> None:
        """The next frame interrupts again."""

    def interrupt(self, now_ns: int) -> None:
        """Interrupt, although the queue is being polled."""

    def note(self, end: int) -> None:
        """The frames before this place have come, and did not interrupt yet."""


class Feed:
    """The frames of one queue: those that were just polled, those in its ring, those to come.

    times      when they arrive, in order
    head       place in times of the oldest that is in the ring
    seen       place of the first that the card has not yet made an interrupt of, or waits with
    scheduled  Napi.scheduled of the queue
    latency    how long its frames take
    batches    how frames reach memory while it is polled; None: at once
    spinner    told when other frames will come than was known, and by a frame nobody knew of
    """

    __slots__ = ("_blocks", "_room", "batches", "head", "kernel", "latency", "listener",
                 "scheduled", "seen", "spinner", "times")  # fmt: skip

    def __init__(
        self, kernel: "Kernel", name: str, room: Room, waiting: int, *, scheduled: bool
    ) -> None:
        """waiting: how many frames are there already; nobody knows since when."""
        self.latency = Latency(kernel.chance(f"{name}/latency"))
        self.kernel = kernel
        self.times = [kernel.timeline.now_ns] * waiting
        self.head = 0
        self.seen = 0
        self.scheduled = scheduled
        self.listener: Listener | None = None
        self.batches: Batches | None = None
        self.spinner: Callable[[], None] | None = None
        self._room = room
        self._blocks: Blocks = iter(())

    def begin(self, blocks: Blocks) -> None:
        """Let frames come at these times, all of which are to come, instead of others."""
        del self.times[self.arrived(self.kernel.timeline.now_ns) :]
        self._blocks = blocks
        if self.listener is not None:
            self.listener.look()
        if self.spinner is not None:
            self.spinner()

    def end(self) -> None:
        """Let no more frames come."""
        self.begin(iter(()))

    def insert(self, now_ns: int) -> None:
        """One more frame comes now."""
        self.times.insert(self.arrived(now_ns), now_ns)
        if self.spinner is not None:
            self.spinner()

    def hold(self) -> None:
        """A system call polls the queue from now on: no interrupt, and no handler is entered."""
        if self.scheduled:
            return
        if self.listener is not None:
            self.listener.polling_began(self.kernel.timeline.now_ns, is_announced=False)
        self.scheduled = True

    def see(self) -> None:
        """What has come by now does not interrupt any more."""
        self.seen = self.arrived(self.kernel.timeline.now_ns)

    def arrived(self, now_ns: int) -> int:
        """Place in times behind the last frame that has come by now."""
        end = bisect_right(self.times, now_ns, self.head)
        while end == len(self.times) and self.draw(end):
            end = bisect_right(self.times, now_ns, self.head)
        return end

    def nth_ns(self, place: int, until_ns: int = FOREVER_NS) -> int:
        """When the frame at this place of times comes; FOREVER_NS: never, or after until_ns."""
        times, shift = self.times, self.head
        while place - shift + self.head >= len(times):
            if (times and times[-1] > until_ns) or not self.draw(self.head):
                return FOREVER_NS
        return times[place - shift + self.head]

    def take(self, weight: int, now_ns: int) -> int:
        """Poll at most so many; how many there were."""
        self.drop(now_ns)
        taken = min(weight, self.pollable(now_ns))
        self.head += taken
        return taken

    def pollable(self, now_ns: int) -> int:
        """How many there are in memory."""
        end = self.arrived(now_ns)
        if self.batches is not None:
            end = min(end, self.batches.written(self.times, self.head, now_ns))
        return end - self.head

    def drop(self, now_ns: int) -> None:
        """Count those that found the ring full: the ones that came last, as only polls empty it."""
        self._drop(self.arrived(now_ns))

    def _drop(self, end: int) -> None:
        excess = end - self.head - self._room.size
        if excess > 0:
            if self.listener is not None:
                self.listener.note(end)  # dropped or not, the card has seen them
            del self.times[end - excess : end]
            self._room.dropped += excess
            self.seen = min(self.seen, end - excess)

    def taken_ns(self, packets: int) -> list[int]:
        """When the frames arrived that were polled last, which were so many."""
        return self.times[self.head - packets : self.head]

    def draw(self, end: int) -> bool:
        """Draw the next block; end: as many frames have come. False: there is none.

        What is not needed any more goes: the frames before the last poll, and those that found
        the ring full, so that a queue which nobody polls takes no more room than its ring.
        """
        block = next(self._blocks, None)
        if block is None:
            return False
        self._drop(end)
        past = min(self.head - NAPI_WEIGHT, self.seen)
        if past > 0:
            del self.times[:past]
            self.head -= past
            self.seen -= past
        self.times += block
        return True
