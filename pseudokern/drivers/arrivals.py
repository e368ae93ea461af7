"""Draw when the frames of one queue arrive, a block of times at a go.

The frames of all flows of a queue are one stream: at random it is one Poisson process with the
sum of their rates; evenly spaced, the queue has its flows' turns of those of the whole card.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from pseudokern.kernel.feed import Blocks
from pseudokern.sim.chance import Chance

NS_PER_S = 1_000_000_000
BLOCK = 64


class Pattern(NamedTuple):
    """How frames come, from start_ns on.

    rate_hz  of all flows together, which are `flows`
    on_ns, off_ns  how long bursts and the pauses between them last; 0, 0: there are no pauses
    until_ns  none at or after that; None: for ever
    """

    start_ns: int
    rate_hz: float
    flows: int
    is_constant: bool = False
    on_ns: int = 0
    off_ns: int = 0
    until_ns: int | None = None


def arrivals(pattern: Pattern, own: Sequence[int], chance: Chance) -> Blocks:
    """Times of the frames of a queue. own: the numbers of its flows, in ascending order."""
    if not own:
        return iter(())
    if pattern.is_constant:
        blocks = _in_turn(pattern, own)
    else:
        mean_ns = NS_PER_S / pattern.rate_hz * pattern.flows / len(own)
        blocks = chance.arrival_blocks(pattern.start_ns, mean_ns)
        if pattern.on_ns or pattern.off_ns:
            blocks = _in_bursts(pattern, blocks)
    return blocks if pattern.until_ns is None else _before(pattern.until_ns, blocks)


def _in_turn(pattern: Pattern, own: Sequence[int]) -> Blocks:
    """One flow after the other, evenly."""
    first_ns, rate_hz = pattern.start_ns + 1, pattern.rate_hz

    def times() -> Iterator[int]:
        begin = 0
        while True:
            # From the beginning, so that a rate that is no whole number of nanoseconds is kept.
            for flow in own:
                yield first_ns + int((begin + flow) * NS_PER_S / rate_hz)
            begin += pattern.flows

    drawn = times()
    while True:
        yield list(islice(drawn, BLOCK))


def _in_bursts(pattern: Pattern, blocks: Blocks) -> Blocks:
    """A process without memory goes on after a pause where it was before."""
    start_ns, on_ns = pattern.start_ns, pattern.on_ns
    if not on_ns:
        return
    for block in blocks:
        yield [time_ns + (time_ns - start_ns) // on_ns * pattern.off_ns for time_ns in block]


def _before(until_ns: int, blocks: Blocks) -> Blocks:
    for block in blocks:
        if block[-1] >= until_ns:
            yield [time_ns for time_ns in block if time_ns < until_ns]
            return
        yield block
