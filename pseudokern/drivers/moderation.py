"""Wait with a queue's interrupt: for more frames, for some time, or as long as it turns out best.

A queue without moderation has its message's trigger; one with it has event() of its Moderation
instead, so frames of the former pay nothing. A frame that comes while one waits costs a count.
"""

from typing import NamedTuple

from pseudokern.drivers.dim import Dim
from pseudokern.drivers.intx import IntxSource
from pseudokern.drivers.itr import AdaptiveItr
from pseudokern.drivers.nic import RxQueue
from pseudokern.hw.message import Message
from pseudokern.hw.trigger import Trigger
from pseudokern.irq.desc import IrqDesc
from pseudokern.sim.alarm import Alarm
from pseudokern.sim.timeline import Timeline

NS_PER_US = 1000
NS_PER_S = 1_000_000_000


class Waiting(NamedTuple):
    """How long to wait.

    us         microseconds, or with is_gap from one interrupt to the next at least so many
    frames     interrupt when there are so many; 0: as many as there are
    is_gap     what Intel's cards do: a frame after a longer pause interrupts at once
    floor_us   from one interrupt to the next at least so many, whatever else is set
    """

    us: int = 0
    frames: int = 1
    is_gap: bool = False
    floor_us: int = 0

    @property
    def is_none(self) -> bool:
        """One interrupt for each frame."""
        return self.floor_us == 0 and (self.us == 0 or self.frames == 1)


class Moderation:
    """What stands between one queue and its message.

    desc        whose counts are to be folded before those of the queue are read
    interrupts  how many it has let through
    """

    def __init__(self, timeline: Timeline, queue: RxQueue) -> None:
        self.desc: IrqDesc | None = None
        self.trigger: Trigger
        self.waiting = Waiting()
        self.adaptive: Dim | AdaptiveItr | None = None
        self.interrupts = 0
        self._timeline = timeline
        self.queue = queue
        self._alarm = Alarm(timeline, self._time_is_up)
        self._frames = 0  # since the last interrupt
        self._last_ns = -NS_PER_S
        self._noted = (0, 0)  # packets and bytes at the last interrupt

    def connect(self, message: Message | IntxSource) -> None:
        """Moderate the queue from now on."""
        message.connect(self)
        self.queue.trigger = self.event

    def stop(self) -> None:
        self._alarm.cancel()
        self._frames = 0

    def event(self, now_ns: int) -> None:
        """A frame came, and the queue is not being polled."""
        self._frames += 1
        if self._alarm.is_set and self._frames != self.waiting.frames:
            return
        due_ns = self._due_ns(now_ns)
        if due_ns <= now_ns:
            self._interrupt(now_ns)
        else:
            self._alarm.set(due_ns)

    def _due_ns(self, now_ns: int) -> int:
        waiting, gap_us = self.waiting, self.waiting.floor_us
        due_ns = now_ns
        if waiting.is_gap:
            gap_us = max(gap_us, waiting.us)
        elif self._frames != waiting.frames:
            due_ns += waiting.us * NS_PER_US
        return max(due_ns, self._last_ns + gap_us * NS_PER_US)

    def _time_is_up(self) -> None:
        if self.queue.unpolled and not self.queue.scheduled:
            self._interrupt(self._timeline.now_ns)
        else:
            self._frames = 0  # somebody has polled them without an interrupt

    def _interrupt(self, now_ns: int) -> None:
        self._alarm.cancel()
        self._frames = 0
        self._last_ns = now_ns
        self.interrupts += 1
        if self.adaptive is not None:
            self._adapt(now_ns)
        self.trigger(now_ns)

    def _adapt(self, now_ns: int) -> None:
        adaptive = self.adaptive
        if isinstance(adaptive, Dim):
            if adaptive.interrupted(now_ns, self._counts):
                us, frames = adaptive.moderation
                self.waiting = self.waiting._replace(us=us, frames=frames)
        elif adaptive is not None:
            packets, size = self._counts()
            adaptive.interrupted(packets - self._noted[0], size - self._noted[1])
            self.waiting = self.waiting._replace(us=1_000_000 // adaptive.rate_hz)
            self._noted = (packets, size)

    def _counts(self) -> tuple[int, int]:
        if self.desc is not None and self.desc.fast_counts is not None:
            self.desc.fast_counts.fold()
        return self.queue.packets, self.queue.bytes
