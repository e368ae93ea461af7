"""Draw every random number from a stream named after its user.

Adding a device, or drawing once more in one of them, leaves the numbers of all others alone.
Random's seeding with a string does not depend on hash randomisation, so a name and a seed give
the same stream in every process.
"""

import math
import sys
from collections.abc import Callable, Iterator, Sequence
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
        drawn = chain.from_iterable(iter(self._gap_blocks(mean_ns), None))
        return islice(accumulate(drawn, initial=start_ns), 1, None)

    def arrival_blocks(self, start_ns: int, mean_ns: float) -> Iterator[list[int]]:
        """The same, GAPS times at a go."""
        draw, now_ns = self._gap_blocks(mean_ns), start_ns
        while True:
            block = list(accumulate(draw(), initial=now_ns))
            del block[0]
            now_ns = block[-1]
            yield block

    def _gap_blocks(self, mean_ns: float) -> Callable[[], list[int]]:
        """Draws GAPS waiting times with each call."""
        gaps, draw = _exponential_gaps(mean_ns), self.random.getrandbits
        table, missing = gaps.table, gaps.missing

        def block() -> list[int]:
            begin = draw(QUANTILE_BITS)
            row = begin // GAPS
            if missing[row] or missing[row + 1]:
                gaps.fill(row)
                gaps.fill(row + 1)
            return table[begin : begin + GAPS]

        return block

    def choices(self, items: Sequence[T]) -> Iterator[T]:
        """Items drawn evenly, for ever; at most QUANTILES of them.

        A draw beyond the largest multiple of len(items) is thrown away, so that none is favoured.
        For up to 256 items the draws are bytes: 20 ns less each than with larger ints.
        """
        if len(items) > BYTES:
            whole = QUANTILES // len(items) * len(items)
            table = [*items] * (QUANTILES // len(items))
            return map(table.__getitem__, filter(whole.__gt__, self._quantiles()))
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


class _Gaps:
    """QUANTILES waiting times with one mean, shuffled, and the first GAPS of them again.

    A row of GAPS is computed when it is first drawn from: boot, and a stream that draws seldom,
    pay for what they need.
    """

    __slots__ = ("_mean_ns", "missing", "table")

    def __init__(self, mean_ns: float) -> None:
        self._mean_ns = mean_ns
        self.table = [0] * (QUANTILES + GAPS)
        self.missing = bytearray(b"\1" * (QUANTILES // GAPS + 1))

    def fill(self, row: int) -> None:
        if not self.missing[row]:
            return
        begin, mean_ns = row * GAPS, self._mean_ns
        waits = _shuffled_waits()[begin % QUANTILES :][:GAPS]
        self.table[begin : begin + GAPS] = [max(1, round(wait * mean_ns)) for wait in waits]
        self.missing[row] = False


@cache
def _exponential_gaps(mean_ns: float) -> _Gaps:
    return _Gaps(mean_ns)


@cache
def _shuffled_waits() -> list[float]:
    """The middles of QUANTILES equal slices of the exponential distribution with mean 1."""
    waits = [-math.log(1.0 - (i + 0.5) / QUANTILES) for i in range(QUANTILES)]
    scale = QUANTILES / sum(waits, 0.0)
    draw = Random("the same for everybody").random
    return [wait * scale for wait in sorted(waits, key=lambda _: draw())]
