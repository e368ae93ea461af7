"""Interrupt when frames have left a transmit ring, after as long a wait as is set.

The only event is the next interrupt: it is known from when the frames will have left. While the
ring is polled there is none; whoever cleans the ring calls look(), which is when it is on again.
"""

from collections.abc import Callable

from pseudokern.drivers.dim import Dim
from pseudokern.drivers.moderation import NS_PER_US, Moderation, Waiting
from pseudokern.drivers.tx_ring import TxRing
from pseudokern.hw.trigger import Trigger
from pseudokern.sim.alarm import Alarm
from pseudokern.sim.timeline import FOREVER_NS, Timeline


class TxInterrupt:
    """What tells the CPU that a ring is to be cleaned.

    receive   what moderates the receive queue that has the same vector; None: nothing does
    pace      whose distance between interrupts is that of this one, too; None: it has its own
    adaptive  chooses the wait anew now and then
    sent      how many it has sent
    """

    __slots__ = ("_alarm", "_fire", "_is_polled", "_is_sent", "_last_ns", "_most", "_ring",
                 "_timeline", "adaptive", "pace", "receive", "sent", "waiting")  # fmt: skip

    _ring: TxRing
    _is_polled: Callable[[], bool]
    _fire: Trigger

    def __init__(self, timeline: Timeline) -> None:
        self.receive: Moderation | None = None
        self.pace: Moderation | None = None
        self.adaptive: Dim | None = None
        self.sent = 0
        self.waiting = Waiting()
        self._alarm = Alarm(timeline, self._time_is_up)
        self._is_sent = False
        self._last_ns = -FOREVER_NS
        self._most = 1
        self._timeline = timeline

    def connect(self, ring: TxRing, is_polled: Callable[[], bool], fire: Trigger) -> None:
        """Interrupt for a ring. is_polled: whether the vector is off now; fire: sends it."""
        self._ring, self._is_polled, self._fire = ring, is_polled, fire

    def wait(self, waiting: Waiting) -> None:
        """How long to wait from now on."""
        self.waiting = waiting
        self._most = self._frames_to_wait_for()
        self._set()

    def delay(self, frames: int) -> None:
        """Wait for so many frames, until the ring is looked at: the event index of a virtqueue."""
        self._most = frames
        self._set()

    @property
    def last_ns(self) -> int:
        """When the vector's last interrupt was, as far as it is known here."""
        return self._last_ns if self.receive is None else max(self._last_ns, self.receive.last_ns)

    def stop(self) -> None:
        """The interface goes down."""
        self._alarm.cancel()
        self._is_sent = False

    def posted(self) -> None:
        """A frame was put into the ring. Hot path of what is sent."""
        if not self._is_sent and (self._ring.in_flight in (1, self._most)):
            self._set()

    def look(self) -> None:
        """The ring was cleaned: the interrupt is on again, or will be when the poll is over."""
        self._is_sent = False
        self._most = self._frames_to_wait_for()
        self._set()

    def _frames_to_wait_for(self) -> int:
        """0: as many as there are."""
        waiting = self.waiting
        return waiting.frames if waiting.us or waiting.is_gap else 1

    def _set(self) -> None:
        due_ns = self._due_ns()
        if due_ns == FOREVER_NS:
            self._alarm.cancel()
        else:
            self._alarm.set(due_ns)

    def _due_ns(self) -> int:
        ring, waiting, most = self._ring, self.waiting, self._most
        due_ns = ring.done_ns()
        if due_ns == FOREVER_NS or self._is_sent:
            return FOREVER_NS
        if most != 1 and not waiting.is_gap:
            due_ns = due_ns + waiting.us * NS_PER_US if waiting.us else FOREVER_NS
            if most:
                due_ns = min(due_ns, ring.done_ns(most - 1))
        return max(due_ns, self._open_ns())

    def _open_ns(self) -> int:
        """Cards that keep a distance from one interrupt of the vector to the next."""
        waiting = self.waiting if self.pace is None else self.pace.waiting
        gap_us = max(waiting.us if waiting.is_gap else 0, waiting.floor_us)
        if not gap_us:
            return 0
        return self.last_ns + gap_us * NS_PER_US

    def _time_is_up(self) -> None:
        now_ns = self._timeline.now_ns
        if self._is_polled():
            return  # it will be looked at
        due_ns = self._due_ns()
        if due_ns > now_ns:
            self._set()  # another interrupt of the vector came in between
            return
        self._is_sent = True
        self._last_ns = now_ns
        self.sent += 1
        if self.adaptive is not None and self.adaptive.interrupted(now_ns, self._counts):
            us, frames = self.adaptive.moderation
            self.waiting = self.waiting._replace(us=us, frames=frames)
        if self.receive is not None:
            self.receive.interrupt(now_ns)
        else:
            self._fire(now_ns)

    def _counts(self) -> tuple[int, int]:
        return self._ring.cleaned, self._ring.cleaned_bytes
