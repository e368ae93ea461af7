"""Work items run in kworkers, may sleep there, and never run twice at a time."""

import pytest

from pseudokern.kernel.kthread import sleep_ns
from pseudokern.kernel.wait import Completion, WaitQueue
from pseudokern.kernel.workqueue import Work, Workqueues
from tests.machine_parts import HZ, MS, TICK_NS, new_pc, run_for


@pytest.fixture
def pc():
    return new_pc(2)


@pytest.fixture
def queues(pc):
    return Workqueues(pc.kernel, pc.irqs.kthreads, pc.timers)


def comms(pc):
    return [thread.comm for thread in pc.irqs.kthreads.by_pid.values()]


def test_work_runs_once_in_a_worker_of_the_cpu_that_queued_it(pc, queues):
    ran = []
    work = Work(lambda: ran.append((pc.kernel.this.cpu, pc.kernel.this.current.comm)))
    pc.kernel.this = pc.kernel.cpus[1]
    assert queues.queue_work(queues.system_wq, work)
    assert not queues.queue_work(queues.system_wq, work)
    pc.kernel.this = pc.kernel.cpus[0]
    run_for(pc, MS)
    assert ran == [(1, "kworker/1:0+events")]
    assert comms(pc) == ["kworker/1:0-events"]
    assert not work.is_busy


def test_second_worker_goes_on_while_the_first_one_sleeps(pc, queues):
    ran = []

    async def slow():
        await sleep_ns(10 * MS)
        ran.append("slow")

    queues.queue_work(queues.system_wq, Work(slow))
    run_for(pc, MS)
    queues.queue_work(queues.system_wq, Work(lambda: ran.append("quick")))
    run_for(pc, 20 * MS)
    assert ran == ["quick", "slow"]
    assert comms(pc) == ["kworker/0:0-events", "kworker/0:1-events"]
    queues.queue_work(queues.system_wq, Work(lambda: ran.append("third")))
    run_for(pc, MS)
    assert len(comms(pc)) == 2


def test_work_that_is_queued_while_it_runs_runs_again_afterwards(pc, queues):
    running, most = [], []

    async def slow():
        running.append(1)
        most.append(len(running))
        await sleep_ns(10 * MS)
        running.pop()

    work = Work(slow)
    queues.queue_work(queues.system_wq, work)
    run_for(pc, MS)
    assert queues.queue_work(queues.system_wq, work)
    run_for(pc, 50 * MS)
    assert most == [1, 1]


def test_ordered_queue_runs_its_items_one_after_the_other(pc, queues):
    ran = []
    queue = queues.alloc_workqueue("ordered", is_unbound=True, max_active=1)

    def item(number):
        async def run():
            ran.append(f"{number} begins")
            await sleep_ns(MS)
            ran.append(f"{number} ends")

        return Work(run)

    for number in range(3):
        queues.queue_work(queue, item(number))
    run_for(pc, 20 * MS)
    assert ran == [f"{n} {what}" for n in range(3) for what in ("begins", "ends")]
    assert comms(pc)[0] == "kworker/u0:0-ordered"
    assert queue.is_empty


def test_delayed_work_waits_for_its_jiffy(pc, queues):
    ran = []
    work = Work(lambda: ran.append(pc.kernel.jiffies))
    assert queues.queue_delayed_work(queues.system_wq, work, HZ)
    assert not queues.queue_work(queues.system_wq, work)
    run_for(pc, 2 * HZ * TICK_NS)
    assert ran == [HZ]


def test_cancelled_work_does_not_run(pc, queues):
    ran = []
    soon, later = Work(lambda: ran.append(1)), Work(lambda: ran.append(2))
    queues.queue_work(queues.system_wq, soon)
    queues.queue_delayed_work(queues.system_wq, later, 1)
    assert queues.cancel_work(soon)
    assert queues.cancel_work(later)
    assert not queues.cancel_work(later)
    run_for(pc, 10 * TICK_NS)
    assert ran == []
    assert queues.system_wq.is_empty


def test_cancelled_work_makes_room_in_its_queue(pc, queues):
    ran = []
    queue = queues.alloc_workqueue("one", max_active=1)
    first, second = Work(lambda: ran.append(1)), Work(lambda: ran.append(2))
    queues.queue_work(queue, first)
    queues.queue_work(queue, second)
    queues.cancel_work(first)
    run_for(pc, MS)
    assert ran == [2]


def test_flush_waits_until_the_work_is_done(pc, queues):
    ran = []

    async def slow():
        await sleep_ns(10 * MS)
        ran.append("done")

    work = Work(slow)
    queues.queue_work(queues.system_wq, work)

    async def flusher():
        await queues.flush_work(work)
        ran.append("flushed")

    pc.irqs.kthreads.create("flusher", flusher())
    run_for(pc, 5 * MS)
    assert ran == []
    run_for(pc, 10 * MS)
    assert ran == ["done", "flushed"]


def waiters(pc, make, count=3):
    ran = []
    for number in range(count):

        async def wait(number=number):
            await make()
            ran.append(number)

        pc.irqs.kthreads.create(f"waiter{number}", wait())
    run_for(pc, MS)
    return ran


def test_each_complete_lets_one_go_on_in_the_order_in_which_they_came(pc):
    done = Completion()
    ran = waiters(pc, done.wait)
    done.complete()
    run_for(pc, MS)
    assert ran == [0]
    done.complete()
    done.complete()
    run_for(pc, MS)
    assert ran == [0, 1, 2]


def test_complete_all_lets_everybody_go_on_for_ever(pc):
    done = Completion()
    ran = waiters(pc, done.wait)
    done.complete_all()
    run_for(pc, MS)
    assert ran == [0, 1, 2]
    assert waiters(pc, done.wait) == [0, 1, 2]


def test_complete_before_anybody_waits_is_not_forgotten(pc):
    done = Completion()
    done.complete()
    assert waiters(pc, done.wait) == [0]


def test_wait_event_goes_on_only_when_its_condition_holds(pc):
    queue, ready = WaitQueue(), []
    ran = waiters(pc, lambda: queue.wait_event(lambda: bool(ready)))
    queue.wake_up()
    run_for(pc, MS)
    assert ran == []
    ready.append(1)
    queue.wake_up()
    run_for(pc, MS)
    assert ran == [0, 1, 2]
