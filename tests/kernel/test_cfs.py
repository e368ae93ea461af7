"""Linux 6.1 shares CPUs as 6.12 does, but favours those who sleep."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pseudokern.kernel.kthread import Policy
from tests.kernel.test_sched import MS, SECOND_NS, Busy, Sleeper, new_pc_with_sched, started
from tests.machine_parts import on_cpu, run_for


def waited_ns(kernel):
    """How long a task that has slept waits for a CPU on which another one never sleeps."""
    pc = new_pc_with_sched(kernel)
    started(pc, Busy, 0b10)
    sleeper = started(pc, Sleeper, 0b10)
    run_for(pc, 100 * MS)
    assert sleeper.state == "S"
    had_ns, began_ns = sleeper.utime_ns, pc.kernel.timeline.now_ns
    with on_cpu(pc, 1):
        pc.kernel.sched.wake(sleeper)
    while sleeper.state != "S":
        run_for(pc, MS // 10)
    assert sleeper.utime_ns == had_ns + sleeper.burst_ns
    return pc.kernel.timeline.now_ns - began_ns - sleeper.burst_ns


def test_a_task_that_wakes_runs_at_once_by_cfs_and_after_a_slice_by_eevdf():
    assert waited_ns("6.1") < MS // 5
    assert waited_ns("6.12") > 1 * MS


@settings(max_examples=10, deadline=None)
@given(nices=st.lists(st.integers(-20, 19), min_size=1, max_size=5))
def test_tasks_share_a_cpu_by_their_weights(nices):
    pc = new_pc_with_sched("6.1")
    tasks = [Busy(100, "task", 0b10, 0) for _ in nices]
    for task, nice in zip(tasks, nices, strict=True):
        pc.kernel.sched.set_scheduler(task, Policy.OTHER, nice=nice)
        pc.kernel.sched.start(task)
    run_for(pc, 2 * SECOND_NS)
    pc.kernel.sched.update()
    total_ns = sum(task.utime_ns + task.stime_ns for task in tasks)
    weights = sum(task.weight for task in tasks)
    for task in tasks:
        due_ns = total_ns * task.weight / weights
        assert abs(task.utime_ns + task.stime_ns - due_ns) < 40 * MS


def test_two_tasks_take_turns_of_half_the_latency():
    pc = new_pc_with_sched("6.1")
    for _ in range(2):
        started(pc, Busy, 0b10)
    run_for(pc, SECOND_NS)
    # The latency is 18 ms on four CPUs; a tick of 4 ms notices the end of 9 ms after 12 ms.
    assert pc.kernel.cpus[1].context_switches == pytest.approx(1000 / 12, abs=4)


def test_a_batch_task_does_not_preempt_and_an_idle_one_is_preempted():
    pc = new_pc_with_sched("6.1")
    busy = started(pc, Busy, 0b10)
    sleeper = started(pc, Sleeper, 0b10)
    pc.kernel.sched.set_scheduler(sleeper, Policy.BATCH)
    run_for(pc, 100 * MS)
    with on_cpu(pc, 1):
        pc.kernel.sched.wake(sleeper)
    assert not pc.kernel.sched.queues[1].fair.preempts(sleeper, busy)
    pc.kernel.sched.set_scheduler(busy, Policy.IDLE)
    assert pc.kernel.sched.queues[1].fair.preempts(sleeper, busy)
