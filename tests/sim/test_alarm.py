"""An alarm rings once, at the time that was set last."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudokern.sim.alarm import Alarm
from pseudokern.sim.timeline import Timeline

MANY = 1_000_000


class Clock:
    """A timeline with one alarm, and when it rang."""

    def __init__(self):
        self.timeline = Timeline()
        self.rang = []
        self.alarm = Alarm(self.timeline, lambda: self.rang.append(self.timeline.now_ns))

    def run(self, until_ns):
        self.timeline.run(until_ns, MANY)


@pytest.fixture
def clock():
    return Clock()


def test_an_alarm_rings_once_at_its_time(clock):
    clock.alarm.set(10)
    clock.run(9)
    assert clock.rang == []
    assert clock.alarm.is_set

    clock.run(100)
    assert clock.rang == [10]
    assert not clock.alarm.is_set


def test_setting_an_alarm_again_replaces_the_time(clock):
    clock.alarm.set(10)
    clock.alarm.set(50)
    clock.run(100)
    assert clock.rang == [50]


def test_an_alarm_can_be_set_earlier(clock):
    clock.alarm.set(50)
    clock.alarm.set(10)
    clock.run(100)
    assert clock.rang == [10]


def test_a_cancelled_alarm_does_not_ring(clock):
    clock.alarm.set(10)
    clock.alarm.cancel()
    clock.run(100)
    assert clock.rang == []


def test_an_alarm_cancelled_and_set_to_the_same_time_rings_once(clock):
    clock.alarm.set(10)
    clock.alarm.cancel()
    clock.alarm.set(10)
    clock.run(100)
    assert clock.rang == [10]


def test_an_alarm_set_to_the_past_rings_a_nanosecond_from_now(clock):
    clock.run(20)
    clock.alarm.set(5)
    clock.run(21)
    assert clock.rang == [21]


def test_an_alarm_may_be_set_by_its_own_callback():
    timeline, rang = Timeline(), []

    def ring():
        rang.append(timeline.now_ns)
        if len(rang) < 3:
            alarm.set(timeline.now_ns + 10)

    alarm = Alarm(timeline, ring)
    alarm.set(10)
    timeline.run(100, MANY)
    assert rang == [10, 20, 30]


def test_an_alarm_whose_callback_raises_can_be_set_again():
    timeline, rang = Timeline(), []

    def ring():
        rang.append(timeline.now_ns)
        if len(rang) == 1:
            raise ZeroDivisionError

    alarm = Alarm(timeline, ring)
    alarm.set(10)
    with pytest.raises(ZeroDivisionError):
        timeline.run(100, MANY)
    alarm.set(20)
    timeline.run(100, MANY)
    assert rang == [10, 20]


settings_and_waits = st.lists(
    st.tuples(st.sampled_from(["set", "cancel", "wait"]), st.integers(0, 30)), max_size=40
)


@given(settings_and_waits)
def test_an_alarm_rings_exactly_when_a_single_due_time_says(steps):
    clock, due_ns, expected = Clock(), None, []
    for what, number in steps:
        now_ns = clock.timeline.now_ns
        if what == "set":
            due_ns = max(number, now_ns + 1)
            clock.alarm.set(number)
        elif what == "cancel":
            due_ns = None
            clock.alarm.cancel()
        else:
            if due_ns is not None and due_ns <= now_ns + number:
                expected.append(due_ns)
                due_ns = None
            clock.run(now_ns + number)
        assert clock.rang == expected
