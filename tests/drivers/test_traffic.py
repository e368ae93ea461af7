"""Streams of events reach each target at its rate, in order, and can be changed at any time."""

import pytest

from pseudokern.drivers.traffic import PoissonTraffic
from pseudokern.sim.chance import Chance
from pseudokern.sim.timeline import Timeline

SECOND_NS = 1_000_000_000
MANY = 10_000_000


class Stream:
    """A stream on a timeline of its own, and what its targets heard."""

    def __init__(self):
        self.timeline = Timeline()
        self.traffic = PoissonTraffic(self.timeline, Chance(1, "eth0/1"))
        self.heard = []

    def target(self, name):
        def hear(now_ns):
            assert now_ns == self.timeline.now_ns
            self.heard.append((now_ns, name))

        return hear

    def run(self, until_ns):
        while not self.timeline.run(until_ns, MANY):
            continue


@pytest.fixture
def stream():
    return Stream()


def test_each_target_hears_its_rate(stream):
    stream.traffic.set(20_000, [stream.target(n) for n in range(4)])
    stream.run(SECOND_NS)
    for name in range(4):
        heard = sum(who == name for _, who in stream.heard)
        assert heard == pytest.approx(20_000, rel=0.03)


def test_events_come_in_order_and_not_at_the_same_time(stream):
    stream.traffic.set(1_000_000, [stream.target(n) for n in range(2)])
    stream.run(SECOND_NS // 100)
    times = [now_ns for now_ns, _ in stream.heard]
    assert times == sorted(set(times))
    assert len(times) > 15_000


def test_events_of_two_streams_are_merged_by_time(stream):
    other = PoissonTraffic(stream.timeline, Chance(1, "eth1/1"))
    stream.traffic.set(100_000, [stream.target("one")])
    other.set(300_000, [stream.target("two")])
    stream.run(SECOND_NS // 100)
    times = [now_ns for now_ns, _ in stream.heard]
    assert times == sorted(times)


def test_a_stream_does_not_care_in_how_many_steps_time_passes(stream):
    stream.traffic.set(50_000, [stream.target("x")])
    stream.run(10_000_000)
    whole, stepped = stream.heard, Stream()
    stepped.traffic.set(50_000, [stepped.target("x")])
    for until_ns in range(0, 10_000_001, 9_999):
        stepped.run(until_ns)
    stepped.run(10_000_000)
    assert stepped.heard == whole


def test_a_rate_of_zero_stops_a_stream(stream):
    stream.traffic.set(50_000, [stream.target("x")])
    stream.run(10_000_000)
    heard = len(stream.heard)
    stream.traffic.set(0, [stream.target("x")])
    stream.run(20_000_000)
    assert len(stream.heard) == heard


def test_a_new_rate_replaces_the_old_one(stream):
    stream.traffic.set(1_000, [stream.target("slow")])
    stream.traffic.set(10_000, [stream.target("fast")])
    stream.run(SECOND_NS)
    assert {who for _, who in stream.heard} == {"fast"}
    assert len(stream.heard) == pytest.approx(10_000, rel=0.05)


@pytest.mark.parametrize("rate", [0, 100_000])
def test_a_target_may_change_its_own_stream(stream, rate):
    def change(now_ns):
        stream.heard.append((now_ns, "before"))
        stream.traffic.set(rate, [stream.target("after")])

    stream.traffic.set(1_000_000, [change])
    stream.run(SECOND_NS // 10)
    names = [who for _, who in stream.heard]
    assert names.count("before") == 1
    assert names.count("after") == pytest.approx(rate / 10, rel=0.05)


def test_a_target_that_fails_loses_its_event_and_the_stream_goes_on(stream):
    def sometimes(now_ns):
        stream.heard.append((now_ns, "x"))
        if len(stream.heard) in (1, 7):
            raise ZeroDivisionError

    stream.traffic.set(100_000, [sometimes])
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            stream.run(10_000_000)
    stream.run(10_000_000)
    assert len(stream.heard) == pytest.approx(1_000, rel=0.15)
    times = [now_ns for now_ns, _ in stream.heard]
    assert times == sorted(set(times))


def test_a_stream_has_at_most_4096_targets(stream):
    with pytest.raises(ValueError, match="at most 4096 targets"):
        stream.traffic.set(1, [print] * 4_097)
