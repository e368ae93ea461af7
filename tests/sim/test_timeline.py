"""Events happen in the order of their times, and of their sources' numbers where times tie."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudokern.sim.timeline import FOREVER_NS, SOURCE_BITS, SOURCE_MASK, Timeline

MANY = 1_000_000
times = st.integers(1, 50)


@pytest.fixture
def timeline():
    return Timeline()


def recorder(timeline, seen, name, then=lambda: 0):
    """A source that notes when it is called."""

    def gate(now_ns):
        assert now_ns == timeline.now_ns
        seen.append((now_ns, name))
        return then()

    return timeline.add_source(gate)


@given(st.lists(st.tuples(times, st.integers(0, 5)), max_size=40))
def test_events_happen_by_time_and_then_by_source(events):
    timeline, seen = Timeline(), []
    sources = [recorder(timeline, seen, name) for name in range(6)]
    for at_ns, name in events:
        timeline.schedule(sources[name], at_ns)

    assert timeline.run(100, MANY)
    assert seen == sorted(events)
    assert timeline.now_ns == 100


@given(st.lists(st.tuples(times, times), min_size=1, max_size=20))
def test_events_that_events_ask_for_are_in_order_too(events):
    timeline, seen = Timeline(), []
    last = recorder(timeline, seen, "last")
    for at_ns, later_ns in events:
        source = recorder(
            timeline, seen, "first", lambda later=later_ns: timeline.schedule(last, later) and 0
        )
        timeline.schedule(source, at_ns)

    timeline.run(1_000, MANY)
    assert [at_ns for at_ns, _ in seen] == sorted(at_ns for at_ns, _ in seen)
    assert len(seen) == 2 * len(events)


def test_a_source_that_returns_its_next_event_goes_on(timeline):
    seen = []

    def every_ten(now_ns):
        seen.append(now_ns)
        return now_ns + 10 << SOURCE_BITS | source

    source = timeline.add_source(every_ten)
    timeline.schedule(source, 10)
    timeline.run(45, MANY)
    assert seen == [10, 20, 30, 40]


def test_what_is_due_in_the_past_happens_a_nanosecond_from_now(timeline):
    seen = []
    source = recorder(timeline, seen, "late")
    timeline.run(100, MANY)

    assert timeline.schedule(source, 7) == 101
    timeline.run(101, MANY)
    assert seen == [(101, "late")]


def test_run_includes_the_last_nanosecond_and_nothing_after_it(timeline):
    seen = []
    source = recorder(timeline, seen, "event")
    timeline.schedule(source, 50)
    timeline.schedule(source, 51)

    timeline.run(50, MANY)
    assert seen == [(50, "event")]
    assert timeline.next_ns() == 51


def test_run_stops_after_the_most_events_and_can_go_on(timeline):
    seen = []
    source = recorder(timeline, seen, "event")
    for at_ns in (10, 20, 30):
        timeline.schedule(source, at_ns)

    assert not timeline.run(100, 2)
    assert timeline.now_ns == 20
    assert timeline.run(100, 2)
    assert timeline.now_ns == 100


def test_an_event_that_raises_is_gone_and_the_others_still_happen(timeline):
    seen = []

    def broken(_now_ns):
        raise ZeroDivisionError

    timeline.schedule(timeline.add_source(broken), 10)
    timeline.schedule(recorder(timeline, seen, "healthy"), 10)

    with pytest.raises(ZeroDivisionError):
        timeline.run(100, MANY)
    assert timeline.now_ns == 10
    assert timeline.run(100, MANY)
    assert seen == [(10, "healthy")]


def test_an_event_that_schedules_another_and_raises_takes_only_itself_away(timeline):
    seen = []
    other = recorder(timeline, seen, "other")

    def broken(_now_ns):
        timeline.schedule(other, 5)
        raise ZeroDivisionError

    timeline.schedule(timeline.add_source(broken), 10)
    with pytest.raises(ZeroDivisionError):
        timeline.run(100, MANY)
    timeline.run(100, MANY)
    assert seen == [(11, "other")]


def test_a_run_of_events_ends_before_the_next_event_of_another_source(timeline):
    seen = []

    def burst(now_ns):
        timeline.open_run()
        at_ns, handled = now_ns, 0
        while at_ns < timeline.horizon_ns:
            timeline.now_ns = at_ns
            seen.append(at_ns)
            at_ns, handled = at_ns + 10, handled + 1
        timeline.close_run(handled)
        return at_ns << SOURCE_BITS | source

    source = timeline.add_source(burst)
    timeline.schedule(source, 10)
    timeline.schedule(recorder(timeline, seen, "other"), 35)
    timeline.run(60, MANY)
    assert seen == [10, 20, 30, (35, "other"), 40, 50, 60]


def test_scheduling_during_a_run_moves_its_end_forward(timeline):
    source = recorder(timeline, [], "other")
    ends = []

    def burst(_now_ns):
        timeline.open_run()
        ends.append(timeline.horizon_ns)
        timeline.schedule(source, 15)
        ends.append(timeline.horizon_ns)
        timeline.close_run(0)
        return 0

    timeline.schedule(timeline.add_source(burst), 10)
    timeline.run(60, MANY)
    assert ends == [61, 15]


def test_nothing_is_due_for_ever_on_an_empty_timeline(timeline):
    assert timeline.next_ns() == FOREVER_NS
    assert timeline.run(10, MANY)


def test_the_65537th_source_is_refused(timeline):
    for _ in range(SOURCE_MASK + 1):
        timeline.add_source(lambda _now_ns: 0)
    with pytest.raises(OverflowError, match="65,536"):
        timeline.add_source(lambda _now_ns: 0)
