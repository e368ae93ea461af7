"""Draw every random number from a stream named after its user.

Adding a device, or drawing once more in one of them, leaves the numbers of all others alone.
Random's seeding with a string does not depend on hash randomisation, so a name and a seed give
the same stream in every process.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import accumulate, chain
from random import Random
from typing import TypeVar

T = TypeVar("T")

BLOCK = 256  # draws made at a time: about 20 us of work, so nothing waits long for it
QUANTILES = 4096
_QUANTILE_MASK = int.from_bytes(b"\xff\x0f" * BLOCK, "little")  # twelve bits of every sixteen


class Chance:
    """A named stream of random numbers."""

    __slots__ = ("random",)

    def __init__(self, seed: int, name: str) -> None:
        self.random = Random(f"{seed}/{name}")

    def exponential_ns(self, mean_ns: float) -> int:
        """A waiting time with this mean, at least 1 ns."""
        return max(1, round(-math.log(1.0 - self.random.random()) * mean_ns))

    def arrivals(self, start_ns: int, mean_ns: float) -> Iterator[int]:
        """Times of a Poisson process after start_ns, in blocks of BLOCK."""
        gaps = _exponential_gaps(mean_ns)
        last_ns = start_ns

        def block() -> list[int]:
            nonlocal last_ns
            times = list(accumulate(map(gaps.__getitem__, self._quantiles()), initial=last_ns))
            last_ns = times[-1]
            del times[0]
            return times

        return chain.from_iterable(iter(block, None))

    def choices(self, items: Sequence[T]) -> Iterator[T]:
        """Items drawn evenly, for ever; at most QUANTILES of them.

        A draw beyond the largest multiple of len(items) is thrown away, so that none is favoured.
        """
        whole = QUANTILES // len(items)
        table: list[T | None] = [*items] * whole + [None] * (QUANTILES - whole * len(items))

        def block() -> Iterator[T]:
            drawn = map(table.__getitem__, self._quantiles())
            return (item for item in drawn if item is not None)

        return chain.from_iterable(iter(block, None))

    def _quantiles(self) -> Sequence[int]:
        """BLOCK even draws from 0 to QUANTILES - 1, made without a loop in Python."""
        bits = self.random.getrandbits(16 * BLOCK) & _QUANTILE_MASK
        return memoryview(bits.to_bytes(2 * BLOCK, sys.byteorder)).cast("H")


@cache
def _exponential_gaps(mean_ns: float) -> list[int]:
    """The middles of QUANTILES equal slices of the exponential distribution, scaled to its mean."""
    raw = [-math.log(1.0 - (i + 0.5) / QUANTILES) for i in range(QUANTILES)]
    scale = mean_ns * QUANTILES / sum(raw)
    return [max(1, round(x * scale)) for x in raw]
