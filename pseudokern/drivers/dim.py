"""Choose how long to wait with an interrupt by trying what moves more: dynamic moderation.

Follows lib/dim/dim.c and lib/dim/net_dim.c. Every 64 interrupts the rates of bytes, packets and
interrupts are compared with those before. As long as a step through the profile made things
better, another one follows in the same direction; if not, it turns around, and parks at the best.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

EVENTS = 64  # interrupts between two decisions: DIM_NEVENTS
SIGNIFICANT_PERCENT = 10
DEFAULT_LINE = 1  # of a profile: what queues begin with
MOST_STEPS = 10  # without parking in between; tired after that
NS_PER_US = 1000
US_PER_MS = 1000

# (us, frames): wait for whichever comes first, from the first frame on (the kernel's EQE).
RX_EQE = ((1, 256), (8, 256), (64, 256), (128, 256), (256, 256))
TX_EQE = ((1, 128), (8, 128), (32, 128), (64, 128), (128, 128))
TX_ICE = ((2, 0), (8, 0), (40, 0), (128, 0), (256, 0))
RX_ICE = ((2, 0), (8, 0), (16, 0), (62, 0), (126, 0))  # ice_lib.c; 0: as many as there are

Comparison = Literal["better", "worse", "same"]


class Rates(NamedTuple):
    """What moved in a millisecond."""

    bytes: int
    packets: int
    events: int


class Dim:
    """The state of one queue.

    index  the line of the profile that it uses, or believes to use until its first step: most
           drivers begin with the second line, and count from the first
    """

    def __init__(self, profile: Sequence[tuple[int, int]], index: int = 0) -> None:
        self.profile = profile
        self.index = index
        self.state: Literal["on top", "tired", "right", "left"] = "on top"
        self._previous = Rates(0, 0, 0)
        self._start: tuple[int, int, int] | None = None
        self._events = 0
        self._left = self._right = self._tired = 0

    @property
    def moderation(self) -> tuple[int, int]:
        """Microseconds and frames to wait for."""
        return self.profile[self.index]

    def only_counts(self) -> bool:
        """Count an interrupt, if that is all there is to do. False: tell interrupted() of it."""
        if self._start is None or self._events >= EVENTS - 1:
            return False
        self._events += 1
        return True

    def interrupted(self, now_ns: int, counts: Callable[[], tuple[int, int]]) -> bool:
        """An interrupt came; counts() are packets and bytes so far. True: moderation changed."""
        if self._start is None:
            self._start, self._events = (now_ns, *counts()), 0
            return False
        self._events += 1
        if self._events < EVENTS:
            return False
        began_ns, had_packets, had_bytes = self._start
        elapsed_us = (now_ns - began_ns) // NS_PER_US
        if not elapsed_us:
            return False
        packets, size = counts()

        def per_ms(count: int) -> int:
            return -(-count * US_PER_MS // elapsed_us)

        rates = Rates(per_ms(size - had_bytes), per_ms(packets - had_packets), per_ms(EVENTS))
        changed = self.decide(rates)
        # What is being applied is not measured: it begins with the next interrupt.
        self._start = None if changed else (now_ns, packets, size)
        self._events = 0
        return changed

    def decide(self, rates: Rates) -> bool:
        """Take a step, or none, after these rates were measured. True: index has changed."""
        before, was_on_top = self.index, self.state == "on top"
        if self.state == "on top":
            if self._compare(rates) != "same":
                self._leave_parking()
        elif self.state == "tired":
            self._tired -= 1
            if self._tired <= 0:
                self._leave_parking()
        else:
            if self._compare(rates) != "better":
                self._turn()
            if self._is_on_top():
                self._park_on_top()
            else:
                self._step_on()
        if not (was_on_top and self.state == "on top"):
            self._previous = rates
        return self.index != before

    def _compare(self, now: Rates) -> Comparison:
        """More bytes are better; if those are alike more packets; else fewer interrupts."""
        previous = self._previous
        if not previous.bytes:
            return "better" if now.bytes else "same"
        if _differ(now.bytes, previous.bytes):
            return "better" if now.bytes > previous.bytes else "worse"
        if not previous.packets:
            return "better" if now.packets else "same"
        if _differ(now.packets, previous.packets):
            return "better" if now.packets > previous.packets else "worse"
        if _differ(now.events, previous.events):
            return "better" if now.events < previous.events else "worse"
        return "same"

    def _leave_parking(self) -> None:
        self.state = "left" if self.index else "right"
        self._step()

    def _turn(self) -> None:
        if self.state == "right":
            self.state, self._left = "left", 0
        else:
            self.state, self._right = "right", 0

    def _is_on_top(self) -> bool:
        """Was it better here than one step further, on the way back?"""
        if self.state == "right":
            return self._left > 1 and self._right == 1
        return self._right > 1 and self._left == 1

    def _step_on(self) -> None:
        outcome = self._step()
        if outcome == "tired":
            self._left = self._right = 0
            self.state = "tired"
        elif outcome == "edge":
            self._park_on_top()

    def _step(self) -> Literal["stepped", "tired", "edge"]:
        if self._tired == MOST_STEPS:
            return "tired"
        if self.state == "right":
            if self.index == len(self.profile) - 1:
                return "edge"
            self.index += 1
            self._right += 1
        else:
            if self.index == 0:
                return "edge"
            self.index -= 1
            self._left += 1
        self._tired += 1
        return "stepped"

    def _park_on_top(self) -> None:
        self._left = self._right = self._tired = 0
        self.state = "on top"


def _differ(now: int, previous: int) -> bool:
    return 100 * abs(now - previous) // previous > SIGNIFICANT_PERCENT
