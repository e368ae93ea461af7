"""A CPU ticks HZ times a second while it works, and sleeps through what is not its own."""

import pytest

from pseudokern.kernel.softirq import Softirq
from pseudokern.kernel.timer import Timer
from tests.machine_parts import HZ, TICK_NS, new_pc, run_for

SECOND_NS = 1_000_000_000


@pytest.fixture
def pc():
    return new_pc(2)


def ticks(pc, cpu):
    return pc.kernel.cpus[cpu].counts.apic_timer


def begin_work(pc, cpu):
    this = pc.kernel.cpus[cpu]
    this.user_since_ns = pc.kernel.timeline.now_ns
    pc.apic_timers.ticks.leave_idle(this)


def test_a_busy_cpu_ticks_250_times_a_second(pc):
    begin_work(pc, 1)
    run_for(pc, SECOND_NS)
    assert ticks(pc, 1) == HZ


def test_an_idle_cpu_without_timers_never_ticks(pc):
    begin_work(pc, 1)
    run_for(pc, 10 * SECOND_NS)
    assert ticks(pc, 0) == 0


def test_an_idle_cpu_ticks_once_for_each_of_its_timers(pc):
    called = []
    for jiffy in (10, 20, 300):
        pc.timers.mod_timer(Timer(lambda j=jiffy: called.append(pc.kernel.jiffies)), jiffy, 0)
    run_for(pc, SECOND_NS)
    assert called == [10, 20]
    assert ticks(pc, 0) == 2

    run_for(pc, SECOND_NS)
    assert called == [10, 20, 300]
    assert ticks(pc, 0) == 3
    assert pc.kernel.cpus[0].softirq_counts[Softirq.TIMER] == 3


def test_a_cpu_that_becomes_idle_ticks_once_more(pc):
    begin_work(pc, 0)
    run_for(pc, 10 * TICK_NS)
    assert ticks(pc, 0) == 10

    pc.kernel.cpus[0].user_since_ns = -1
    run_for(pc, SECOND_NS)
    assert ticks(pc, 0) == 11


def test_an_earlier_timer_wakes_an_idle_cpu_earlier(pc):
    called = []
    pc.timers.mod_timer(Timer(lambda: called.append("late")), 100, 0)
    pc.timers.mod_timer(Timer(lambda: called.append("soon")), 5, 0)
    run_for(pc, 6 * TICK_NS)
    assert called == ["soon"]


def test_a_context_switch_makes_the_next_tick_raise_rcu(pc):
    begin_work(pc, 0)
    run_for(pc, 2 * TICK_NS)
    before = pc.kernel.cpus[0].softirq_counts[Softirq.RCU]

    pc.kernel.cpus[0].context_switches += 1
    run_for(pc, 5 * TICK_NS)
    assert pc.kernel.cpus[0].softirq_counts[Softirq.RCU] == before + 1
