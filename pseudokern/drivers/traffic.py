"""Make events at random times, evenly among several targets.

The arrivals of n targets at one rate are one Poisson process of n times the rate, each arrival
going to a target drawn evenly: the same in law as n processes, and one event source instead of n.
Times and targets are drawn in blocks (sim/chance.py), and a run of arrivals before anybody
else's next event is made in one call.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from pseudokern.sim.chance import QUANTILES, Chance
from pseudokern.sim.timeline import SOURCE_BITS, Timeline

NS_PER_S = 1_000_000_000
LONGEST_RUN: Final = 64


class Receiver(Protocol):
    """A target that says anew for each arrival what to call, as x86/gate.py changes that."""

    @property
    def arrive(self) -> Callable[[int], None]:
        """Called with the time of the arrival, in ns."""


class _Fixed:
    """A target that is a function."""

    __slots__ = ("arrive",)

    def __init__(self, function: Callable[[int], None]) -> None:
        self.arrive = function


Target = Callable[[int], None] | Receiver


class PoissonTraffic:
    """Calls targets, each rate_hz times a second on average, with the time in ns."""

    def __init__(self, timeline: Timeline, chance: Chance) -> None:
        self._timeline = timeline
        self._chance = chance
        self._source = timeline.add_source(self._arrive)
        self._due_ns = -1
        self._mean_ns = 1
        self._arrivals: Iterator[tuple[int, Receiver]] = iter(())
        self._target: Receiver = _NOBODY

    def set(self, rate_hz: float, targets: Sequence[Target]) -> None:
        """Begin anew with this rate and these targets; a rate of 0 stops.

        The process has no memory, so what was drawn before can be dropped.
        """
        self._due_ns = -1
        self._arrivals = iter(())
        self._timeline.close_run(0)  # it may be a target that calls this
        if not rate_hz or not targets:
            return
        if len(targets) > QUANTILES:
            raise ValueError(f"one stream has at most {QUANTILES} targets")
        mean_ns = NS_PER_S / rate_hz / len(targets)
        self._mean_ns = max(1, round(mean_ns))
        times = self._chance.arrivals(self._timeline.now_ns, mean_ns)
        receivers = [_Fixed(target) if callable(target) else target for target in targets]
        self._arrivals = zip(times, self._chance.choices(receivers), strict=False)
        self._due_ns, self._target = next(self._arrivals)
        self._timeline.schedule(self._source, self._due_ns)

    def _arrive(self, now_ns: int) -> int:
        """Hot path: one call of this handles about LONGEST_RUN arrivals, or as many as it may.

        The loop counts nothing: how many there were follows from the time. A run is opened only
        when this stream is found to come next again, which among sixteen is not the rule. With
        the blocks of chance.py, 212 -> 114 ns for one arrival, without what it brings about.
        """
        if now_ns != self._due_ns:
            return 0
        timeline, arrivals = self._timeline, self._arrivals
        heap, timeline.horizon_ns = timeline.heap, 0
        try:
            arrive = self._target.arrive
            arrive(now_ns)
            for due_ns, target in arrivals:
                if due_ns >= timeline.horizon_ns:
                    if self._arrivals is not arrivals:
                        return 0  # it was a target that called set()
                    self._due_ns, self._target = due_ns, target
                    if timeline.horizon_ns:
                        if not timeline.do_soon(due_ns):
                            break
                    else:
                        key = due_ns << SOURCE_BITS | self._source
                        if key > heap[1] or key > heap[2]:
                            return key
                        timeline.open_run(now_ns + LONGEST_RUN * self._mean_ns)
                        if due_ns >= timeline.horizon_ns:
                            break
                timeline.now_ns = due_ns
                arrive = target.arrive
                arrive(due_ns)
        except BaseException:
            if self._arrivals is arrivals:
                self._go_on()
            raise
        if self._arrivals is not arrivals:
            return 0
        timeline.close_run((due_ns - now_ns) // self._mean_ns)
        return due_ns << SOURCE_BITS | self._source

    def _go_on(self) -> None:
        """Something failed amid a run, and is gone. If that was an arrival, the next one is due."""
        if self._due_ns <= self._timeline.now_ns:
            self._due_ns, self._target = next(self._arrivals)
        self._timeline.schedule(self._source, self._due_ns)


_NOBODY = _Fixed(lambda _now_ns: None)  # the target of a stream that was never set
