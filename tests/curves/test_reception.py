"""Reception under load has the curves that are known from machines and from papers."""

from itertools import pairwise

import pytest

from tests.curves.reception import along, reception

RISING_HZ = (50_000, 200_000, 400_000, 800_000)


def test_without_napi_the_goodput_rises_and_then_falls_to_nothing():
    """Receive livelock, as Mogul and Ramakrishnan described it in 1997."""
    low, full, over, far_over = along("interrupt per packet", (100_000, 300_000, 400_000, 800_000))
    assert low.delivered_hz == pytest.approx(100_000, rel=0.05)
    assert full.delivered_hz == pytest.approx(300_000, rel=0.05)
    assert 0 < over.delivered_hz < 150_000
    assert far_over.delivered_hz == 0
    assert far_over.busy > 0.99


@pytest.mark.parametrize("kind", ["NAPI", "NAPI, rx-usecs 50", "NAPI in a thread"])
def test_with_napi_the_goodput_stays_at_its_height_under_any_load(kind):
    height, far_over = along(kind, (4_000_000, 8_000_000))
    assert height.delivered_hz > 3_500_000
    assert far_over.delivered_hz == pytest.approx(height.delivered_hz, rel=0.1)


def test_interrupt_rate_with_napi_rises_with_the_load_and_collapses_into_polling():
    rates = [seen.interrupts_hz for seen in along("NAPI", RISING_HZ)]
    assert all(earlier < later for earlier, later in pairwise(rates))
    assert reception("NAPI", 3_200_000).interrupts_hz < rates[-1] / 3
    assert reception("NAPI", 8_000_000).interrupts_hz == 0


def test_50_us_of_coalescing_take_most_interrupts_and_most_cpu_time_away():
    for offered_hz in RISING_HZ:
        each, coalesced = reception("NAPI", offered_hz), reception("NAPI, rx-usecs 50", offered_hz)
        assert coalesced.delivered_hz == pytest.approx(each.delivered_hz, rel=0.02)
        assert coalesced.interrupts_hz < 20_000  # one in 50 us, at the most
        assert coalesced.busy < each.busy / 2


def test_100_000_interrupts_a_second_cost_10_to_30_percent_of_a_core():
    seen = reception("NAPI", 106_000)
    assert seen.interrupts_hz == pytest.approx(100_000, rel=0.05)
    assert 0.1 < seen.busy < 0.3
