"""A program that polls hears of packets sooner, and pays for it with its CPU."""

import pytest

from tests.curves.to_program import WAYS, heard

LIGHT_HZ = (20_000, 100_000)


@pytest.mark.parametrize("offered_hz", LIGHT_HZ)
def test_the_more_one_polls_the_sooner_packets_are_there(offered_hz):
    each, coalesced, busy, polled = (heard(way, offered_hz).p50_ns for way in WAYS)
    assert polled < busy < each < coalesced
    assert polled < 100  # a look, and a packet
    assert busy < each / 3


@pytest.mark.parametrize("offered_hz", LIGHT_HZ)
def test_who_polls_takes_the_whole_cpu_and_interrupts_take_what_they_need(offered_hz):
    each, coalesced, busy, polled = (heard(way, offered_hz) for way in WAYS)
    assert polled.busy == busy.busy == 1
    assert coalesced.busy < each.busy < 0.5
    assert polled.interrupts_hz == busy.interrupts_hz == 0


def test_interrupts_for_each_packet_take_the_program_its_cpu_when_packets_are_many():
    """Receive livelock, as far as a program can see it, until ksoftirqd gives it its turns."""
    full, over = heard(WAYS[0], 400_000), heard(WAYS[0], 1_600_000)
    assert full.served_hz > 250_000
    assert over.served_hz < full.served_hz / 10
    assert heard(WAYS[0], 8_000_000).served_hz > over.served_hz


def test_a_program_that_polls_gets_as_much_under_any_load_as_it_can_work_at():
    for way, each_ns in (("SO_BUSY_POLL", 1_000 + 200 + 250), ("poll mode", 200 + 30 + 20 / 32)):
        for offered_hz in (5_000_000, 8_000_000):
            assert heard(way, offered_hz).served_hz == pytest.approx(1e9 / each_ns, rel=0.02)


def test_beyond_saturation_a_packet_waits_for_a_whole_ring_however_it_is_received():
    """There is nothing to choose any more but how long a packet of the ring takes."""
    assert heard("poll mode", 8_000_000).p50_ns == pytest.approx(1024 * 231, rel=0.02)
    assert heard("SO_BUSY_POLL", 8_000_000).p50_ns == pytest.approx(1024 * 1450, rel=0.05)
