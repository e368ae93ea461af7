"""Wait with a queue's interrupt: for more frames, for some time, or as long as it turns out best.

A queue without moderation has its message's trigger; one with it has event() of its Moderation
instead, so frames of the former pay nothing. A frame that comes while one waits costs a count.
"""

from typing import Final, NamedTuple

from pseudokern.drivers.dim import Dim
from pseudokern.drivers.intx import IntxSource
from pseudokern.drivers.itr import AdaptiveItr
from pseudokern.drivers.rx_queue import RxQueue
from pseudokern.hw.message import Message
from pseudokern.hw.trigger import Trigger
from pseudokern.irq.desc import IrqDesc
from pseudokern.sim.alarm import Alarm
from pseudokern.sim.timeline import Timeline

NS_PER_US: Final = 1000
NS_PER_S: Final = 1_000_000_000


class Waiting(NamedTuple):
    """How long to wait.

    us         microseconds, or with is_gap from one interrupt to the next at least so many
    frames     interrupt when there are so many; 0: as many as there are
    is_gap     what Intel's cards do: a frame after a longer pause interrupts at once
    floor_us   from one interrupt to the next at least so many, whatever else is set
    half_gap   from one interrupt to the next at least half of us, as Broadcom's cards do
    """

    us: int = 0
    frames: int = 1
    is_gap: bool = False
    floor_us: int = 0
    half_gap: bool = False

    @property
    def is_none(self) -> bool:
        """One interrupt for each frame."""
        one_each = self.frames == 1 and not self.half_gap
        return self.floor_us == 0 and (self.us == 0 or one_each)

    @property
    def gap_ns(self) -> int:
        """From one interrupt to the next."""
        if self.half_gap:
            return self.us * NS_PER_US // 2
        return (max(self.us, self.floor_us) if self.is_gap else self.floor_us) * NS_PER_US


class Moderation:
    """What stands between one queue and its message.

    desc  whose counts are not yet all among those of the queue
    """

    __slots__ = ("_alarm", "_delay_ns", "_frames", "_gap_ns", "_is_waiting", "_most_frames",
                 "_noted", "_open_ns", "_timeline", "_trigger", "adaptive", "desc", "queue",
                 "waiting")  # fmt: skip

    def __init__(self, timeline: Timeline, queue: RxQueue) -> None:
        self.desc: IrqDesc | None = None
        self._trigger: Trigger
        self.adaptive: Dim | AdaptiveItr | None = None
        self.queue = queue
        self._timeline = timeline
        self._alarm = Alarm(timeline, self._time_is_up)
        self._is_waiting = False
        self._frames = 0  # since the last interrupt
        self._open_ns = 0  # no interrupt before that
        self._noted = (0, 0)  # packets and bytes at the last interrupt
        self.wait(Waiting())

    @property
    def trigger(self) -> Trigger:
        """What interrupts, when the wait is over."""
        return self._trigger

    @trigger.setter
    def trigger(self, trigger: Trigger) -> None:
        self._trigger = trigger
        self.trigger_changed()

    def trigger_changed(self) -> None:
        """For who has to know."""

    def wait(self, waiting: Waiting) -> None:
        """How long to wait from the next frame on."""
        self.waiting = waiting
        if waiting.is_none:
            self._open_ns = 0
        self._most_frames = waiting.frames
        self._delay_ns = 0 if waiting.is_gap else waiting.us * NS_PER_US
        self._gap_ns = waiting.gap_ns

    def connect(self, message: Message | IntxSource) -> None:
        """Moderate the queue from now on."""
        message.connect(self)
        self.queue.trigger = self.event

    def stop(self) -> None:
        self._alarm.cancel()
        self._is_waiting = False
        self._frames = 0

    def event(self, now_ns: int) -> None:
        """A frame came, and the queue is not being polled. Hot path of queues that wait."""
        self._frames = frames = self._frames + 1
        due_ns = now_ns
        if frames != self._most_frames:
            if self._is_waiting:
                return
            due_ns += self._delay_ns
        if due_ns < self._open_ns:
            due_ns = self._open_ns
        if due_ns <= now_ns:
            self._interrupt(now_ns)
        else:
            self._is_waiting = True
            self._alarm.set(due_ns)

    @property
    def last_ns(self) -> int:
        """When the last interrupt was."""
        return self._open_ns - self._gap_ns

    def interrupt(self, now_ns: int) -> None:
        """Something else on the same vector interrupts: the frames have not to wait any more."""
        self._interrupt(now_ns)

    def _time_is_up(self) -> None:
        self._is_waiting = False
        if self.queue.unpolled and not self.queue.scheduled:
            self._interrupt(self._timeline.now_ns)
        else:
            self._frames = 0  # somebody has polled them without an interrupt

    def _interrupt(self, now_ns: int) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._alarm.cancel()
        self._frames = 0
        self._open_ns = now_ns + self._gap_ns
        if self.adaptive is not None:
            self._adapt(now_ns)
        self._trigger(now_ns)

    def _adapt(self, now_ns: int) -> None:
        adaptive = self.adaptive
        if isinstance(adaptive, Dim):
            if adaptive.interrupted(now_ns, self._counts):
                us, frames = adaptive.moderation
                self.wait(self.waiting._replace(us=us, frames=frames))
        elif adaptive is not None:
            packets, size = counts = self._counts()
            before_hz = adaptive.rate_hz
            adaptive.interrupted(packets - self._noted[0], size - self._noted[1])
            if adaptive.rate_hz != before_hz:
                self.wait(self.waiting._replace(us=1_000_000 // adaptive.rate_hz))
            self._noted = counts

    def _counts(self) -> tuple[int, int]:
        """Packets polled so far, and their bytes; to fold the counts for that would take longer."""
        packets = self.queue.packets
        if self.desc is not None and self.desc.fast_counts is not None:
            packets += self.desc.fast_counts.packets_to_fold
        return packets, self.queue.whole_ring.bytes_of(packets)
