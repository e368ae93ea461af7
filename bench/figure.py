"""What a benchmark found, and what it had to reach."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    measured, must_reach  in `unit`; less is better; without must_reach it is there for honesty
    note                  what it was made from
    """

    name: str
    measured: float
    unit: str
    must_reach: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.must_reach is None:
            return ""
        return "ok" if self.measured <= self.must_reach else "MISSED"


@dataclass(frozen=True, slots=True)
class Skipped:
    """Figures that this machine cannot have, and why."""

    name: str
    why: str


Result = Figure | Skipped


Times = dict[str, list[float]]


def interleaved(repeats: int, **measures: Callable[[], float]) -> Times:
    """What each measure found. They take turns, so that other load disturbs all alike."""
    found: Times = {name: [] for name in measures}
    for _ in range(repeats):
        for name, measure in measures.items():
            found[name].append(measure())
    return found


def ratio(times: Times, name: str, unit: str) -> float:
    """The median of a measure in terms of another, which was taken in the same turn.

    Not the ratio of the medians: a virtual CPU may run at half its speed for a second.
    """
    return median(one / other for one, other in zip(times[name], times[unit], strict=True))


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of all are."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]
