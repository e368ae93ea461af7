"""Say how simulated time follows real time. Whoever runs the timeline asks here.

wall   one second is one second, or `speed` simulated ones
free   as fast as it goes
step   stands still, except for what advance() asks for
"""

import errno
from typing import Literal, TypeAlias, get_args

from pseudokern.sim.completion import Completion
from pseudokern.sim.timeline import Timeline

Mode: TypeAlias = Literal["wall", "free", "step"]
MODES: tuple[Mode, ...] = get_args(Mode)
FASTEST = 1e9  # of the speeds: a year of real time stays far within a float


class Clock:
    """The mode, and who waits for a time.

    changed  set whenever mode, speed or the waiting ones change; the runner clears it
    end_ns   where time stops for good; None if it does not
    """

    def __init__(self, timeline: Timeline, mode: Mode = "step") -> None:
        self._timeline = timeline
        self._mode: Mode = mode
        self._speed = 1.0
        self._waiting: list[tuple[int, Completion]] = []
        self.end_ns: int | None = None
        self.changed = False

    @property
    def mode(self) -> Mode:
        return self._mode

    @property
    def speed(self) -> float:
        return self._speed

    @property
    def has_ended(self) -> bool:
        """Time stands still for good."""
        return self.end_ns is not None and self._timeline.now_ns >= self.end_ns

    def set_mode(self, mode: Mode) -> None:
        self._mode = mode
        self.changed = True

    def set_speed(self, speed: float) -> None:
        self._speed = speed
        self.changed = True

    def advance(self, duration_ns: int) -> Completion:
        """Wait until duration_ns more of simulated time are over; a stepping clock goes there."""
        done = Completion()
        if duration_ns == 0:
            done.complete()
            return done
        self._waiting.append((self._timeline.now_ns + duration_ns, done))
        self._waiting.sort(key=lambda item: item[0])
        self.changed = True
        return done

    def stop(self) -> None:
        """Stop for good, now. EIO for those who wait: their time will not come."""
        self.end_ns = self._timeline.now_ns
        self.changed = True
        waiting, self._waiting = self._waiting, []
        for _, done in waiting:
            done.fail(OSError(errno.EIO, "time has ended before what was waited for"))

    def next_stop_ns(self) -> int | None:
        """The earliest time that somebody waits for."""
        while self._waiting and self._waiting[0][1].done:
            del self._waiting[0]
        return self._waiting[0][0] if self._waiting else None

    def complete_waiting(self) -> None:
        """Tell those whose time has come."""
        while self._waiting and self._waiting[0][0] <= self._timeline.now_ns:
            self._waiting.pop(0)[1].complete()
