"""Make events at random times, evenly among several targets.

The arrivals of n targets at one rate are one Poisson process of n times the rate, each arrival
going to a target drawn evenly: the same in law as n processes, and one event source instead of n.
Times and targets are drawn in blocks (sim/chance.py), and a run of arrivals before anybody
else's next event is made in one call.
"""

from collections.abc import Callable, Iterator

from pseudokern.sim.chance import QUANTILES, Chance
from pseudokern.sim.timeline import SOURCE_BITS, Timeline

NS_PER_S = 1_000_000_000
LONGEST_RUN = 64

Target = Callable[[int], None]


class PoissonTraffic:
    """Calls targets, each rate_hz times a second on average, with the time in ns."""

    def __init__(self, timeline: Timeline, chance: Chance) -> None:
        self._timeline = timeline
        self._chance = chance
        self._source = timeline.add_source(self._arrive)
        self._due_ns = -1
        self._times: Iterator[int] = iter(())
        self._targets: Iterator[Target] = iter(())

    def set(self, rate_hz: float, targets: list[Target]) -> None:
        """Begin anew with this rate and these targets; a rate of 0 stops.

        The process has no memory, so what was drawn before can be dropped.
        """
        self._due_ns = -1
        self._times = iter(())
        self._timeline.close_run(0)  # it may be a target that calls this
        if not rate_hz or not targets:
            return
        if len(targets) > QUANTILES:
            raise ValueError(f"one stream has at most {QUANTILES} targets")
        mean_ns = NS_PER_S / rate_hz / len(targets)
        self._times = self._chance.arrivals(self._timeline.now_ns, mean_ns)
        self._targets = self._chance.choices(targets)
        self._due_ns = self._timeline.schedule(self._source, next(self._times))

    def _arrive(self, now_ns: int) -> int:
        """Hot path: one call of this handles up to LONGEST_RUN arrivals."""
        if now_ns != self._due_ns:
            return 0
        timeline, times, next_target = self._timeline, self._times, self._targets.__next__
        timeline.open_run()
        handled = 0
        try:
            next_target()(now_ns)
            for due_ns in times:
                if due_ns >= timeline.horizon_ns or handled == LONGEST_RUN:
                    break
                timeline.now_ns = due_ns
                handled += 1
                next_target()(due_ns)
        except BaseException:
            # A target failed. Its event is gone, the process goes on.
            if self._times is times:
                self._due_ns = timeline.schedule(self._source, next(times))
            raise
        timeline.close_run(handled)
        if self._times is not times:
            return 0
        self._due_ns = due_ns
        return due_ns << SOURCE_BITS | self._source
