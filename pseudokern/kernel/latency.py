"""Measure how long frames take from the wire to the handler, to NAPI and to an application.

Not every poll is measured, but of those that are each frame: one in `stride`, drawn at random, so
that nothing periodic is always missed. A frame counts for as many then, so a load may change.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pseudokern.sim.histogram import Histogram

if TYPE_CHECKING:
    from pseudokern.sim.chance import Chance

MEASURED_HZ = 2_000  # frames of one card: what measuring costs does not grow with the load


class Latency:
    """The frames of one queue.

    handler      until the hard interrupt's handler is entered that announces it; a frame that
                 comes while the queue is polled has none
    napi         until the poll begins that takes it
    application  until a program has it: for who hands frames on, with reached_application()
    """

    __slots__ = ("_chance", "_left", "application", "handler", "napi", "stride")

    def __init__(self, chance: "Chance") -> None:
        self.handler = Histogram()
        self.napi = Histogram()
        self.application = Histogram()
        self.stride = 1
        self._chance = chance
        self._left = 1

    def set_rate(self, rate_hz: float) -> None:
        """So many frames come to the card from now on."""
        self.stride = max(1, round(rate_hz / MEASURED_HZ))

    def gap(self, stride: int = 0) -> int:
        """How many polls from one that is measured to the next, by chance.

        stride: on average, instead of the one that the rate makes best
        """
        return 1 + int(self._chance.random.random() * (2 * (stride or self.stride) - 1))

    def is_next(self) -> bool:
        """Whether the present one is measured."""
        self._left -= 1
        if self._left > 0:
            return False
        self._left = self.gap()
        return True

    def measure(self, histogram: Histogram, arrived_ns: Iterable[int], now_ns: int) -> None:
        """Frames that arrived then have got there now."""
        for arrival_ns in arrived_ns:
            histogram.count(now_ns - arrival_ns, self.stride)

    def reached_application(self, arrived_ns: Iterable[int], now_ns: int) -> None:
        """A program has these frames now; of one poll or some, at its pleasure."""
        for arrival_ns in arrived_ns:
            self.application.count(now_ns - arrival_ns)
