"""Timers are called once, in order, on the CPU and at the jiffy that were set last."""

import pytest

from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.timer import NEVER, Timer, TimerWheel


@pytest.fixture
def wheel():
    return TimerWheel(2)


@pytest.fixture
def called():
    return []


def test_timers_are_called_in_order_when_their_jiffy_has_come(wheel, called):
    for name, expires in (("late", 9), ("soon", 3), ("sooner", 2)):
        wheel.mod_timer(Timer(lambda name=name: called.append(name)), expires, 0)

    assert wheel.run(PerCpu(0), 1) == 0
    assert wheel.run(PerCpu(0), 5) == 2
    assert called == ["sooner", "soon"]
    assert wheel.next_expiry(0) == 9


def test_a_timer_that_was_set_again_is_called_at_the_new_jiffy_only(wheel, called):
    timer = Timer(lambda: called.append("timer"))
    wheel.mod_timer(timer, 3, 0)
    wheel.mod_timer(timer, 7, 0)
    wheel.run(PerCpu(0), 6)
    assert called == []

    wheel.run(PerCpu(0), 7)
    assert called == ["timer"]
    assert wheel.next_expiry(0) == NEVER


def test_a_deleted_timer_is_not_called(wheel, called):
    timer = Timer(lambda: called.append("timer"))
    wheel.mod_timer(timer, 3, 0)
    wheel.del_timer(timer)
    wheel.run(PerCpu(0), 9)
    assert called == []


def test_a_timer_moved_to_another_cpu_is_called_there_and_nowhere_else(wheel, called):
    timer = Timer(lambda: called.append("timer"))
    wheel.mod_timer(timer, 3, 0)
    wheel.mod_timer(timer, 3, 1)

    assert wheel.next_expiry(0) == NEVER
    assert wheel.run(PerCpu(0), 3) == 0
    assert wheel.run(PerCpu(1), 3) == 1


def test_a_timer_may_arm_itself_again(wheel, called):
    def again():
        called.append("timer")
        wheel.mod_timer(timer, 5, 0)

    timer = Timer(again)
    wheel.mod_timer(timer, 3, 0)
    wheel.run(PerCpu(0), 4)
    assert called == ["timer"]
    assert wheel.next_expiry(0) == 5


def test_the_cpu_hears_of_a_timer_that_becomes_its_first(wheel):
    heard = []
    wheel.on_earlier = heard.append
    wheel.mod_timer(Timer(lambda: None), 9, 1)
    wheel.mod_timer(Timer(lambda: None), 12, 1)
    assert heard == [1]

    wheel.mod_timer(Timer(lambda: None), 3, 1)
    assert heard == [1, 1]


def test_the_timers_of_a_cpu_that_goes_down_are_called_by_another(wheel, called):
    wheel.mod_timer(Timer(lambda: called.append("timer")), 3, 1)
    wheel.migrate(1, 0)
    wheel.run(PerCpu(1), 9)
    assert called == []

    wheel.run(PerCpu(0), 9)
    assert called == ["timer"]
