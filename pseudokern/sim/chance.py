"""Draw every random number from a stream named after its user.

Adding a device, or drawing once more in one of them, leaves the numbers of all others alone.
Random's seeding with a string does not depend on hash randomisation, so a name and a seed give
the same stream in every process.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import accumulate, chain, islice
from random import Random
from typing import TypeVar

T = TypeVar("T")

BLOCK = 256  # draws made at a time: about 20 us of work, so nothing waits long for it
QUANTILE_BITS = 12
QUANTILES = 1 << QUANTILE_BITS
GAPS = 64  # waiting times in a row from one drawn place in a shuffled list: a fifth less each
BYTES = 256
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
        """Times of a Poisson process after start_ns."""
        gaps, draw = _exponential_gaps(mean_ns), self.random.getrandbits

        def block() -> list[int]:
            begin = draw(QUANTILE_BITS)
            return gaps[begin : begin + GAPS]

        drawn = chain.from_iterable(iter(block, None))
        return islice(accumulate(drawn, initial=start_ns), 1, None)

    def choices(self, items: Sequence[T]) -> Iterator[T]:
        """Items drawn evenly, for ever; at most QUANTILES of them.

        A draw beyond the largest multiple of len(items) is thrown away, so that none is favoured.
        For up to 256 items the draws are bytes: 20 ns less each than with larger ints.
        """
        if len(items) > BYTES:
            whole = QUANTILES // len(items) * len(items)
            table = [*items] * (QUANTILES // len(items))
            return (table[number] for number in self._quantiles() if number < whole)
        table = [*items] * (BYTES // len(items))
        excess = bytes(range(len(table), BYTES))
        blocks = iter(lambda: self.random.randbytes(BLOCK).translate(None, excess), None)
        return map(table.__getitem__, chain.from_iterable(blocks))

    def _quantiles(self) -> Iterator[int]:
        """Even draws from 0 to QUANTILES - 1, for ever, made without a loop in Python."""

        def block() -> Sequence[int]:
            bits = self.random.getrandbits(16 * BLOCK) & _QUANTILE_MASK
            return memoryview(bits.to_bytes(2 * BLOCK, sys.byteorder)).cast("H")

        return chain.from_iterable(iter(block, None))


@cache
def _exponential_gaps(mean_ns: float) -> list[int]:
    """QUANTILES waiting times with this mean, shuffled, and the first GAPS of them again."""
    gaps = [max(1, round(wait * mean_ns)) for wait in _shuffled_waits()]
    return gaps + gaps[:GAPS]


@cache
def _shuffled_waits() -> list[float]:
    """The middles of QUANTILES equal slices of the exponential distribution with mean 1."""
    waits = [-math.log(1.0 - (i + 0.5) / QUANTILES) for i in range(QUANTILES)]
    scale = QUANTILES / sum(waits)
    random = Random("the same for everybody")
    return [wait * scale for wait in sorted(waits, key=lambda _: random.random())]
