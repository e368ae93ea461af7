"""Tasklets run once for each time they are scheduled, in a softirq of the CPU that did."""

import pytest

from pseudokern.kernel.softirq import Softirq
from pseudokern.kernel.tasklet import Tasklet, Tasklets
from tests.machine_parts import MS, new_pc, run_for


@pytest.fixture
def pc():
    return new_pc(2)


@pytest.fixture
def tasklets(pc):
    return Tasklets(pc.kernel)


def test_tasklet_that_is_scheduled_twice_runs_once(pc, tasklets):
    ran = []
    tasklet = Tasklet(lambda: ran.append(pc.kernel.this.cpu))
    tasklets.schedule(tasklet)
    tasklets.schedule(tasklet)
    assert ran == []
    run_for(pc, MS)
    assert ran == [0]
    tasklets.schedule(tasklet)
    run_for(pc, MS)
    assert ran == [0, 0]
    assert pc.kernel.cpus[0].softirq_counts[Softirq.TASKLET] == 2


def test_tasklet_runs_on_the_cpu_that_scheduled_it(pc, tasklets):
    ran = []
    pc.kernel.this = pc.kernel.cpus[1]
    tasklets.schedule(Tasklet(lambda: ran.append(pc.kernel.this.cpu)))
    pc.kernel.this = pc.kernel.cpus[0]
    run_for(pc, MS)
    assert ran == [1]


def test_tasklet_of_high_priority_runs_first(pc, tasklets):
    ran = []
    tasklets.schedule(Tasklet(lambda: ran.append("low")))
    tasklets.schedule(Tasklet(lambda: ran.append("high")), high=True)
    run_for(pc, MS)
    assert ran == ["high", "low"]


def test_tasklet_that_schedules_itself_runs_again(pc, tasklets):
    ran = []

    def again():
        ran.append(pc.kernel.timeline.now_ns)
        if len(ran) < 5:
            tasklets.schedule(tasklet)

    tasklet = Tasklet(again)
    tasklets.schedule(tasklet)
    run_for(pc, MS)
    assert len(ran) == 5


def test_disabled_tasklet_waits_until_it_is_enabled_as_often(pc, tasklets):
    ran = []
    tasklet = Tasklet(lambda: ran.append(1))
    tasklets.disable(tasklet)
    tasklets.disable(tasklet)
    tasklets.schedule(tasklet)
    run_for(pc, MS)
    tasklets.enable(tasklet)
    run_for(pc, MS)
    assert ran == []
    tasklets.enable(tasklet)
    run_for(pc, MS)
    assert ran == [1]


def test_killed_tasklet_does_not_run(pc, tasklets):
    ran = []
    tasklet = Tasklet(lambda: ran.append(1))
    tasklets.schedule(tasklet)
    tasklets.kill(tasklet)
    run_for(pc, MS)
    assert ran == []
    tasklets.schedule(tasklet)
    run_for(pc, MS)
    assert ran == [1]


def test_tasklets_of_a_cpu_that_goes_down_run_elsewhere(pc, tasklets):
    ran = []
    pc.kernel.this = pc.kernel.cpus[1]
    tasklets.schedule(Tasklet(lambda: ran.append(pc.kernel.this.cpu)))
    pc.kernel.this = pc.kernel.cpus[0]
    pc.hotplug.down(1)
    run_for(pc, MS)
    assert ran == [0]


def test_tasklet_that_raises_takes_no_other_with_it(pc, tasklets):
    ran = []

    def fail():
        raise ZeroDivisionError

    tasklets.schedule(Tasklet(fail))
    tasklets.schedule(Tasklet(lambda: ran.append(1)))
    with pytest.raises(ZeroDivisionError):
        run_for(pc, MS)
    tasklets.schedule(Tasklet(lambda: ran.append(2)))
    run_for(pc, MS)
    assert ran == [1, 2]
