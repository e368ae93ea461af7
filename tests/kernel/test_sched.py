"""Programs share CPUs, one at a time, and get what interrupts leave."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pseudokern.drivers.nic import Nic
from pseudokern.drivers.programs import Programs
from pseudokern.kernel.cputime import unclaimed
from pseudokern.kernel.kthread import Policy
from pseudokern.kernel.sched import Scheduler
from pseudokern.kernel.sched_task import SchedTask
from tests.drivers.plugging import at_once, plugged
from tests.machine_parts import HZ, MS, log_of, new_pc, on_cpu, run_for

SECOND_NS = 1_000_000_000


class Busy(SchedTask):
    """A program that never sleeps."""

    def step(self):
        self.compute(user_ns=100_000)


class Sleeper(SchedTask):
    """A program that computes for a while each time that it is woken."""

    burst_ns = 1 * MS
    done = False

    def step(self):
        if self.done:
            self.state = "S"
        else:
            self.compute(user_ns=self.burst_ns)
        self.done = not self.done


def new_pc_with_sched(kernel="6.12"):
    pc = new_pc(4, kernel=kernel)
    pc.kernel.sched = Scheduler(pc.kernel, pc.smp.send_reschedule, pc.apic_timers.ticks.leave_idle)
    return pc


@pytest.fixture
def pc():
    return new_pc_with_sched()


def started(pc, kind, cpus=0b1111):
    task = kind(100, "task", cpus, pc.kernel.timeline.now_ns)
    pc.kernel.sched.start(task)
    return task


def test_tasks_of_one_cpu_get_the_same_time(pc):
    tasks = [started(pc, Busy, 0b10) for _ in range(3)]
    run_for(pc, 3 * SECOND_NS)
    pc.kernel.sched.update()
    for task in tasks:
        assert task.utime_ns == pytest.approx(SECOND_NS, rel=0.02)


def test_a_slice_ends_at_the_first_tick_after_it_is_used_up(pc):
    started(pc, Busy, 0b10)
    started(pc, Busy, 0b10)
    run_for(pc, SECOND_NS)
    # A slice is 2.25 ms on four CPUs, a tick comes every 4 ms. Who has had a little less by then
    # may go on.
    assert HZ - 10 <= pc.kernel.cpus[1].context_switches <= HZ + 2


def test_new_tasks_spread_over_the_cpus(pc):
    assert [started(pc, Busy).cpu for _ in range(5)] == [0, 1, 2, 3, 0]


def test_user_time_is_what_interrupts_leave(pc):
    task = started(pc, Busy, 0b10)
    at_once(plugged(pc, Nic, "eth0", rate="100 kHz", affinity=["1"]))
    run_for(pc, SECOND_NS)
    pc.kernel.sched.update()
    this = pc.kernel.cpus[1]
    taken_ns = this.hardirq_ns + this.softirq_ns
    assert taken_ns > 0.2 * SECOND_NS
    idle_ns, _ = unclaimed(pc.kernel, this)
    assert idle_ns < 2  # the first nanosecond
    assert task.utime_ns == pytest.approx(SECOND_NS - taken_ns, rel=0.001)


def test_a_task_that_is_woken_from_another_cpu_is_a_reschedule_interrupt(pc):
    task = started(pc, Sleeper, 0b1000)
    run_for(pc, 10 * MS)
    before = pc.kernel.cpus[3].counts.reschedule
    with on_cpu(pc, 0):
        pc.kernel.sched.wake(task)
    run_for(pc, 10 * MS)
    assert pc.kernel.cpus[3].counts.reschedule == before + 1
    with on_cpu(pc, 3):
        pc.kernel.sched.wake(task)
    run_for(pc, 10 * MS)
    assert pc.kernel.cpus[3].counts.reschedule == before + 1


def test_a_task_wakes_on_an_idle_cpu_if_its_own_is_busy(pc):
    task = started(pc, Sleeper)
    run_for(pc, 10 * MS)
    assert task.cpu == 0
    started(pc, Busy, 0b1)
    with on_cpu(pc, 0):
        pc.kernel.sched.wake(task)
    assert task.cpu == 1


def test_a_cpu_that_becomes_idle_pulls_a_task_that_waits(pc):
    started(pc, Busy, 0b1)
    waits = started(pc, Busy, 0b1)
    sleeper = started(pc, Sleeper, 0b10)
    waits.cpus_allowed = 0b11
    run_for(pc, 10 * MS)
    assert sleeper.state == "S"
    assert waits.cpu == 1


def test_a_cpu_that_becomes_idle_looks_at_the_next_higher_cpus_first(pc):
    below = [started(pc, Busy, 0b0001) for _ in range(2)]
    above = [started(pc, Busy, 0b1000) for _ in range(2)]
    for task in (*below, *above):
        task.cpus_allowed |= 0b0100
    started(pc, Sleeper, 0b0100)
    run_for(pc, 2 * MS)
    assert [task.cpu for task in below] == [0, 0]
    assert sorted(task.cpu for task in above) == [2, 3]


def test_tasks_of_a_cpu_that_goes_down_run_elsewhere(pc):
    task = started(pc, Busy, 0b10)
    run_for(pc, 10 * MS)
    pc.hotplug.down(1)
    used_ns = task.utime_ns
    run_for(pc, 10 * MS)
    pc.kernel.sched.update()
    assert task.cpu != 1
    assert task.utime_ns == pytest.approx(used_ns + 10 * MS, rel=0.01)


@pytest.mark.parametrize("kind", [Busy, Sleeper])
def test_a_task_whose_last_cpu_goes_down_may_run_anywhere_from_then_on(pc, kind):
    task = started(pc, kind, 0b10)
    run_for(pc, 10 * MS)
    pc.hotplug.down(1)
    pc.kernel.sched.wake(task)  # if it sleeps
    assert task.cpus_allowed == 0b1111
    assert "process 100 (task) no longer affine to cpu1" in log_of(pc)
    pc.hotplug.up(1)
    run_for(pc, 10 * MS)
    assert task.cpus_allowed == 0b1111


def test_the_background_of_a_cpu_that_goes_down_is_no_process_to_tell_of(pc):
    Programs(pc, user=0.9, burst_ns=30 * MS, wakeups=0.0, tlb_hz=0.0, call_hz=0.0)
    for _ in range(5):
        run_for(pc, 20 * MS)
        pc.hotplug.down(1)
        run_for(pc, 20 * MS)
        pc.hotplug.up(1)
    assert not any("no longer affine" in text for text in log_of(pc))


def test_a_cpu_of_nohz_full_ticks_only_while_two_tasks_are_runnable(pc):
    pc.kernel.nohz_full = 0b1110
    pc.apic_timers.ticks.keep_time()
    this = pc.kernel.cpus[2]
    started(pc, Busy, 0b100)
    run_for(pc, SECOND_NS)
    assert this.counts.apic_timer <= 1
    second = started(pc, Sleeper, 0b100)
    second.burst_ns = 100 * MS
    run_for(pc, 100 * MS)
    assert this.counts.apic_timer > 20
    run_for(pc, 400 * MS)
    before = this.counts.apic_timer
    run_for(pc, SECOND_NS)
    assert this.counts.apic_timer <= before + 1


def test_an_idle_cpu_does_not_tick_once_its_task_sleeps(pc):
    started(pc, Sleeper, 0b100)
    run_for(pc, 20 * MS)
    before = pc.kernel.cpus[2].counts.apic_timer
    run_for(pc, SECOND_NS)
    assert pc.kernel.cpus[2].counts.apic_timer <= before + 1


def test_a_step_of_nice_is_a_quarter_more_cpu_time(pc):
    tasks = [started(pc, Busy, 0b10) for _ in range(2)]
    pc.kernel.sched.set_scheduler(tasks[1], Policy.OTHER, nice=1)
    run_for(pc, 4 * SECOND_NS)
    pc.kernel.sched.update()
    assert tasks[0].utime_ns / tasks[1].utime_ns == pytest.approx(1024 / 820, rel=0.02)


@settings(max_examples=15, deadline=None)
@given(nices=st.lists(st.integers(-20, 19), min_size=1, max_size=5), idle=st.booleans())
def test_tasks_share_a_cpu_by_their_weights(nices, idle):
    pc = new_pc_with_sched()
    tasks = [started(pc, Busy, 0b10) for _ in nices]
    for task, nice in zip(tasks, nices, strict=True):
        pc.kernel.sched.set_scheduler(task, Policy.OTHER, nice=nice)
    if idle:
        tasks.append(started(pc, Busy, 0b10))
        pc.kernel.sched.set_scheduler(tasks[-1], Policy.IDLE)
    run_for(pc, 5 * SECOND_NS)
    pc.kernel.sched.update()
    total_ns = sum(task.utime_ns + task.stime_ns for task in tasks)
    weights = sum(task.weight for task in tasks)
    for task in tasks:
        # The lag of EEVDF is at most what is between two looks: a tick, and a slice.
        due_ns = total_ns * task.weight / weights
        assert abs(task.utime_ns + task.stime_ns - due_ns) < 12 * MS


def test_user_time_of_a_nice_value_above_0_is_nice_time(pc):
    task = started(pc, Busy, 0b10)
    run_for(pc, 100 * MS)
    pc.kernel.sched.update()
    this = pc.kernel.cpus[1]
    assert this.nice_ns == 0
    pc.kernel.sched.set_scheduler(task, Policy.OTHER, nice=5)
    run_for(pc, 100 * MS)
    pc.kernel.sched.update()
    assert this.nice_ns == pytest.approx(this.user_ns / 2, rel=0.01)


def test_a_fifo_task_runs_as_soon_as_it_is_woken_and_until_it_sleeps(pc):
    fair = started(pc, Busy, 0b10)
    fifo = started(pc, Sleeper, 0b10)
    fifo.burst_ns = 100 * MS
    pc.kernel.sched.set_scheduler(fifo, Policy.FIFO, rt_priority=1)
    run_for(pc, 200 * MS)
    assert fifo.state == "S"
    pc.kernel.sched.update()
    had_ns = fair.utime_ns
    with on_cpu(pc, 1):
        pc.kernel.sched.wake(fifo)
    run_for(pc, 99 * MS)
    pc.kernel.sched.update()
    assert fair.utime_ns - had_ns < 1 * MS
    assert fair.involuntary_switches == 1


def test_of_two_fifo_tasks_the_higher_priority_preempts_and_the_equal_waits(pc):
    low, equal, high = (started(pc, Busy, 0b10) for _ in range(3))
    for task, priority in ((low, 10), (equal, 10)):
        pc.kernel.sched.set_scheduler(task, Policy.FIFO, rt_priority=priority)
    run_for(pc, 100 * MS)
    pc.kernel.sched.update()
    ran = {task: task.utime_ns for task in (low, equal)}
    assert min(ran.values()) < 5 * MS < 90 * MS < max(ran.values())
    pc.kernel.sched.set_scheduler(high, Policy.FIFO, rt_priority=11)
    run_for(pc, 100 * MS)
    pc.kernel.sched.update()
    assert high.utime_ns > 95 * MS


def test_rr_tasks_of_one_priority_take_turns_of_100_ms(pc):
    tasks = [started(pc, Busy, 0b10) for _ in range(2)]
    for task in tasks:
        pc.kernel.sched.set_scheduler(task, Policy.RR, rt_priority=5)
    switches = pc.kernel.cpus[1].context_switches
    run_for(pc, SECOND_NS)
    pc.kernel.sched.update()
    for task in tasks:
        assert task.utime_ns == pytest.approx(SECOND_NS / 2, abs=60 * MS)
    assert 9 <= pc.kernel.cpus[1].context_switches - switches <= 11


def test_real_time_tasks_spread_over_the_cpus_as_far_as_they_may(pc):
    tasks = [started(pc, Busy, 0b1111) for _ in range(3)]
    for task in tasks:
        pc.kernel.sched.set_scheduler(task, Policy.FIFO, rt_priority=50)
    pinned = [started(pc, Busy, 0b1) for _ in range(2)]
    for task in pinned:
        pc.kernel.sched.set_scheduler(task, Policy.FIFO, rt_priority=60)
    run_for(pc, 100 * MS)
    assert sorted(task.cpu for task in tasks) == [1, 2, 3]
    assert [task.cpu for task in pinned] == [0, 0]


def test_a_task_that_may_not_run_where_it_runs_goes_on_elsewhere(pc):
    task = started(pc, Busy, 0b10)
    run_for(pc, 10 * MS)
    pc.kernel.sched.set_cpus_allowed(task, 0b1000)
    run_for(pc, 10 * MS)
    pc.kernel.sched.update()
    assert task.cpu == 3
    assert task.utime_ns == pytest.approx(20 * MS, rel=0.01)
    assert pc.kernel.cpus[1].is_idle


def test_a_task_that_is_stopped_leaves_its_cpu_idle(pc):
    task = started(pc, Busy, 0b10)
    run_for(pc, 10 * MS)
    pc.kernel.sched.stop(task)
    run_for(pc, 10 * MS)
    assert task.utime_ns == pytest.approx(10 * MS, rel=0.01)
    assert pc.kernel.cpus[1].is_idle
    assert pc.kernel.sched.running == 0


def test_a_task_of_policy_idle_gives_way_at_once_and_counts_as_an_idle_cpu(pc):
    for cpu in range(4):
        idle = started(pc, Busy, 1 << cpu)
        pc.kernel.sched.set_scheduler(idle, Policy.IDLE)
    task = started(pc, Sleeper, 0b1111)
    run_for(pc, 100 * MS)
    before = pc.kernel.timeline.now_ns
    with on_cpu(pc, 2):
        pc.kernel.sched.wake(task)
    while task.state != "S":
        run_for(pc, MS // 10)
    assert pc.kernel.timeline.now_ns - before < task.burst_ns + MS // 5
