"""High-resolution timers are due to the nanosecond, and leave the tick as it was."""

import pytest

from pseudokern.kernel.hrtimer import HrTimer
from pseudokern.kernel.softirq import Softirq
from tests.machine_parts import MS, TICK_NS, new_pc, run_for


@pytest.fixture
def pc():
    return new_pc(2)


def timer(pc, *, soft=False):
    """A timer that notes where and when it is called."""
    called = []

    def call():
        called.append((pc.kernel.this.cpu, pc.kernel.timeline.now_ns))

    return HrTimer(call, is_soft=soft), called


def test_hard_timer_is_called_at_its_time_in_the_interrupt_of_its_cpu(pc):
    one, called = timer(pc)
    pc.kernel.this = pc.kernel.cpus[1]
    pc.apic_timers.hrtimers.start(one, 1_234_567)
    pc.kernel.this = pc.kernel.cpus[0]
    run_for(pc, 2 * MS)
    assert called == [(1, 1_234_567)]
    assert pc.kernel.cpus[1].counts.apic_timer == 1
    assert not one.is_armed


def test_soft_timer_is_called_in_the_hrtimer_softirq(pc):
    one, called = timer(pc, soft=True)
    pc.apic_timers.hrtimers.start(one, MS)
    run_for(pc, 2 * MS)
    assert called == [(0, MS)]
    assert pc.kernel.cpus[0].softirq_counts[Softirq.HRTIMER] == 1


def test_timers_are_called_in_the_order_of_their_times(pc):
    hrtimers = pc.apic_timers.hrtimers
    (late, late_calls), (early, early_calls) = timer(pc), timer(pc)
    hrtimers.start(late, 2 * MS)
    hrtimers.start(early, MS)
    run_for(pc, 3 * MS)
    assert (early_calls, late_calls) == ([(0, MS)], [(0, 2 * MS)])


def test_cancelled_timer_is_not_called_and_one_that_is_set_again_only_at_its_new_time(pc):
    hrtimers = pc.apic_timers.hrtimers
    (gone, gone_calls), (moved, moved_calls) = timer(pc), timer(pc)
    hrtimers.start(gone, MS)
    hrtimers.start(moved, MS)
    assert hrtimers.cancel(gone)
    assert not hrtimers.cancel(gone)
    hrtimers.start(moved, 3 * MS)
    run_for(pc, 5 * MS)
    assert (gone_calls, moved_calls) == ([], [(0, 3 * MS)])


def test_busy_cpu_ticks_as_often_as_without_such_timers(pc):
    plain = new_pc(2)
    for each in (plain, pc):
        each.kernel.cpus[0].user_since_ns = 0
        each.apic_timers.ticks.leave_idle(each.kernel.cpus[0])
    run_for(pc, TICK_NS // 2)  # the tick is programmed when the first timer comes
    one, called = timer(pc)
    pc.apic_timers.hrtimers.start(one, 5 * TICK_NS // 4)
    run_for(pc, 10 * TICK_NS)
    run_for(plain, 10 * TICK_NS + TICK_NS // 2)
    ticks = [each.kernel.cpus[0].counts.apic_timer for each in (plain, pc)]
    assert ticks == [10, 11]
    assert called == [(0, 5 * TICK_NS // 4)]


def test_timer_of_a_cpu_that_goes_down_is_called_elsewhere(pc):
    one, called = timer(pc)
    pc.kernel.this = pc.kernel.cpus[1]
    pc.apic_timers.hrtimers.start(one, MS)
    pc.kernel.this = pc.kernel.cpus[0]
    pc.hotplug.down(1)
    run_for(pc, 2 * MS)
    assert called == [(0, MS)]
