"""Reception under load has the curves that are known from machines and from papers."""

from itertools import pairwise

import pytest

from pseudokern.kernel.cost import CostModel
from tests.curves.reception import along, program_share, reception, waits

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


def test_interrupts_for_each_packet_leave_nothing_to_programs_when_they_come_fast_enough():
    """The other half of receive livelock: what is received, nobody reads."""
    shares = [program_share("interrupt per packet", hz) for hz in (100_000, 200_000, 400_000)]
    assert shares[0] == pytest.approx(0.6, abs=0.05)
    assert shares[1] == pytest.approx(0.27, abs=0.05)
    assert shares[2] == 0
    assert reception("interrupt per packet", 800_000).delivered_hz == 0


def test_napi_leaves_a_program_its_turns_with_ksoftirqd_under_any_load():
    assert program_share("NAPI", 8_000_000) == pytest.approx(0.5, abs=0.05)
    assert program_share("NAPI, rx-usecs 50", 8_000_000) == pytest.approx(0.5, abs=0.05)


def test_a_thread_that_polls_leaves_a_program_half_of_the_cpu_under_any_load():
    assert program_share("NAPI in a thread", 8_000_000) == pytest.approx(0.5, abs=0.05)
    for offered_hz in RISING_HZ:  # the program is not preempted for it, so each poll has more
        left = program_share("NAPI in a thread", offered_hz)
        assert left > program_share("NAPI", offered_hz)


def test_50_us_of_coalescing_leave_most_of_the_cpu_to_programs_below_saturation():
    for offered_hz in RISING_HZ:
        left = program_share("NAPI, rx-usecs 50", offered_hz)
        assert left > 0.75
        assert left > program_share("NAPI", offered_hz)


def test_rx_usecs_0_rx_frames_1_takes_a_frame_at_once_and_interrupts_for_nearly_each():
    seen = waits(0, 1, 100_000)
    assert seen.p50_ns == pytest.approx(2_000, rel=0.1)  # delivery to poll
    assert seen.interrupts_hz == pytest.approx(95_000, rel=0.05)


def test_50_us_50_frames_trade_latency_for_interrupts_as_long_as_frames_are_few():
    """A frame waits for up to 50 us, on average for half; from 1 M frames a second on, 50 come
    sooner, and the more frames the shorter is the wait."""
    few, more, many = (waits(50, 50, hz) for hz in (100_000, 400_000, 2_000_000))
    assert few.interrupts_hz < waits(0, 1, 100_000).interrupts_hz / 5
    assert 25_000 < more.p50_ns < few.p50_ns < 50_000
    assert few.p99_ns == pytest.approx(52_000, rel=0.05)
    assert many.p50_ns < 15_000
    assert many.interrupts_hz == pytest.approx(2_000_000 / 50, rel=0.05)


def test_latency_is_flat_up_to_saturation_and_that_of_a_full_ring_beyond_it():
    below = [waits(0, 1, offered_hz).p50_ns for offered_hz in RISING_HZ]
    assert max(below) < 2_500
    ring_ns = 1024 * CostModel().softirq_item_ns
    assert waits(0, 1, 5_000_000).p50_ns == pytest.approx(ring_ns, rel=0.1)
    assert waits(50, 50, 5_000_000).p50_ns == pytest.approx(ring_ns, rel=0.1)
