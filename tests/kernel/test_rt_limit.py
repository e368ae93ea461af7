"""Real-time tasks that never sleep leave fair tasks 50 ms of a second, or pause for as long."""

import pytest

from pseudokern.kernel.kthread import Policy
from tests.kernel.test_sched import MS, SECOND_NS, Busy, Sleeper, new_pc_with_sched, started
from tests.machine_parts import run_for

TOLD = "sched: RT throttling activated"


def machine(kernel):
    return new_pc_with_sched(kernel)


def hog(pc, cpus=0b10):
    task = started(pc, Busy, cpus)
    pc.kernel.sched.set_scheduler(task, Policy.FIFO, rt_priority=50)
    return task


def used(pc, task):
    pc.kernel.sched.update()
    return task.utime_ns


def told(pc):
    return sum(TOLD in str(record) for record in pc.kernel.log)


@pytest.mark.parametrize("kernel", ["6.12", "6.18"])
def test_a_fair_task_gets_50_ms_of_each_second_from_the_fair_server(kernel):
    pc = machine(kernel)
    fair, fifo = started(pc, Busy, 0b10), hog(pc)
    run_for(pc, 940 * MS)
    assert used(pc, fair) < 5 * MS  # as late as it can be
    run_for(pc, 4060 * MS)
    # A tick of 4 ms notices that the 50 ms are over.
    assert used(pc, fair) == pytest.approx(5 * 52 * MS, abs=10 * MS)
    assert used(pc, fifo) + used(pc, fair) == pytest.approx(5 * SECOND_NS, rel=0.001)
    assert told(pc) == 0


def test_with_a_fair_server_a_real_time_task_without_rivals_has_its_cpu_for_ever():
    pc = machine("6.12")
    fifo = hog(pc)
    run_for(pc, 5 * SECOND_NS)
    assert used(pc, fifo) == pytest.approx(5 * SECOND_NS, rel=0.001)


def test_the_fair_server_counts_what_fair_tasks_got_otherwise():
    pc = machine("6.12")
    fair = started(pc, Busy, 0b10)
    fifo = started(pc, Sleeper, 0b10)
    pc.kernel.sched.set_scheduler(fifo, Policy.FIFO, rt_priority=50)
    fifo.burst_ns = 400 * MS
    for _ in range(4):
        pc.kernel.sched.wake(fifo)
        run_for(pc, 500 * MS)
    # 100 ms of each half second are enough: the server never has to step in.
    assert used(pc, fair) == pytest.approx(400 * MS, rel=0.02)
    assert fair.involuntary_switches <= 5


def test_up_to_6_11_a_real_time_task_pauses_for_50_ms_even_if_its_cpu_is_idle_then():
    pc = machine("6.1")
    fifo = hog(pc)
    run_for(pc, 940 * MS)
    assert told(pc) == 0
    run_for(pc, 4060 * MS)
    assert used(pc, fifo) == pytest.approx(5 * 950 * MS, rel=0.01)
    assert told(pc) == 1


def test_up_to_6_11_fair_tasks_run_while_real_time_ones_are_throttled():
    pc = machine("6.1")
    fair = started(pc, Busy, 0b10)
    hog(pc)
    run_for(pc, 5 * SECOND_NS)
    assert used(pc, fair) == pytest.approx(5 * 50 * MS, abs=25 * MS)


def test_without_a_limit_nothing_is_left_for_fair_tasks_of_6_1():
    pc = machine("6.1")
    pc.kernel.rt_runtime_us = -1
    fair = started(pc, Busy, 0b10)
    hog(pc)
    run_for(pc, 3 * SECOND_NS)
    assert used(pc, fair) < 5 * MS
    assert told(pc) == 0


def test_the_fair_server_of_a_cpu_that_does_not_tick_for_a_fifo_task_ends_in_time():
    pc = machine("6.12")
    pc.kernel.nohz_full = 0b10
    pc.apic_timers.ticks.keep_time()
    fair, _ = started(pc, Busy, 0b10), hog(pc)
    run_for(pc, 5 * SECOND_NS)
    assert used(pc, fair) == pytest.approx(5 * 52 * MS, abs=15 * MS)


def test_a_fair_server_gives_what_it_is_told_to_and_nothing_if_that_is_0():
    pc = machine("6.12")
    pc.kernel.fair_servers = {1: (20 * MS, 100 * MS)}
    fair = started(pc, Busy, 0b10)
    hog(pc)
    run_for(pc, 2 * SECOND_NS)
    assert used(pc, fair) == pytest.approx(2 * 200 * MS, rel=0.2)
    pc.kernel.fair_servers = {1: (0, 100 * MS)}
    pc.kernel.sched.restart_limit(1)
    had_ns = used(pc, fair)
    run_for(pc, 2 * SECOND_NS)
    assert used(pc, fair) - had_ns < 5 * MS
