"""Random numbers belong to a name, and have the distribution that they should."""

from collections import Counter
from itertools import islice, pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pseudokern.sim.chance import BYTES, QUANTILES, Chance

seeds = st.integers(0, 2**64)


@given(seeds)
@settings(max_examples=20)
def test_the_same_seed_and_name_give_the_same_stream(seed):
    first, second = Chance(seed, "eth0/1"), Chance(seed, "eth0/1")
    assert list(islice(first.arrivals(0, 1e6), 1_000)) == list(
        islice(second.arrivals(0, 1e6), 1_000)
    )
    assert first.exponential_ns(1e6) == second.exponential_ns(1e6)


@given(seeds)
@settings(max_examples=20)
def test_another_name_gives_another_stream(seed):
    first, second = Chance(seed, "eth0/1"), Chance(seed, "eth0/2")
    assert list(islice(first.arrivals(0, 1e6), 100)) != list(islice(second.arrivals(0, 1e6), 100))


def test_drawing_from_one_stream_leaves_another_alone():
    alone = list(islice(Chance(1, "b").arrivals(0, 1e6), 600))
    busy, other = Chance(1, "a"), Chance(1, "b").arrivals(0, 1e6)
    drawn = []
    for _ in range(600):
        busy.exponential_ns(10)
        drawn.append(next(other))
    assert drawn == alone


@pytest.mark.parametrize("mean_ns", [500, 20_000, 1e9])
def test_arrivals_have_their_mean_within_one_percent(mean_ns):
    count = 200_000
    last_ns = next(islice(Chance(3, "eth0").arrivals(0, mean_ns), count - 1, None))
    assert last_ns / count == pytest.approx(mean_ns, rel=0.01)


def test_arrivals_are_spread_as_those_of_a_poisson_process():
    times = list(islice(Chance(3, "eth0").arrivals(0, 1_000), 100_000))
    gaps = [later - earlier for earlier, later in pairwise(times)]
    short = sum(gap < 693 for gap in gaps) / len(gaps)
    long = sum(gap > 3_000 for gap in gaps) / len(gaps)
    assert short == pytest.approx(0.5, abs=0.01)  # the median is ln 2 of the mean
    assert long == pytest.approx(0.0498, abs=0.005)  # e ** -3


@given(seeds, st.integers(0, 10**15), st.floats(1, 1e12))
@settings(max_examples=30)
def test_arrivals_come_after_their_start_and_never_together(seed, start_ns, mean_ns):
    times = [start_ns, *islice(Chance(seed, "x").arrivals(start_ns, mean_ns), 600)]
    assert all(earlier < later for earlier, later in pairwise(times))


class EveryNumberInTurn(Random):
    """Perfect chance: every byte and every 16-bit word as often as any other."""

    drawn = 0

    def getrandbits(self, k):
        first, self.drawn = self.drawn, self.drawn + k // 16
        words = range(first, self.drawn)
        return int.from_bytes(b"".join(n.to_bytes(2, "little") for n in words), "little")

    def randbytes(self, n):
        return bytes(number % 256 for number in range(n))


@given(st.integers(1, 1_000))
def test_choices_draw_every_item_equally_often_from_perfect_chance(items):
    chance = Chance(1, "x")
    chance.random = EveryNumberInTurn()
    each = (BYTES if items <= BYTES else QUANTILES) // items
    drawn = Counter(islice(chance.choices(range(items)), each * items))
    assert drawn == dict.fromkeys(range(items), each)


def test_choices_are_even_within_two_percent():
    counts = Counter(islice(Chance(5, "x").choices("abc"), 300_000))
    assert all(count == pytest.approx(100_000, rel=0.02) for count in counts.values())


@given(seeds, st.floats(0, 1e9))
@settings(max_examples=50)
def test_an_exponential_waiting_time_is_at_least_a_nanosecond(seed, mean_ns):
    assert Chance(seed, "x").exponential_ns(mean_ns) >= 1
