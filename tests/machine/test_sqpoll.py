"""A thread of the kernel submits the I/Os of a program that makes no system calls."""

import pytest

from pseudokern.drivers.keys import Limits
from pseudokern.fs import proc_pid
from pseudokern.fs.entries import COLLECTIONS
from pseudokern.machine.application_changes import change
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from tests.machine.test_applications import MS, SECOND_NS, cpu_times, run_for
from tests.machine.test_polling_io import ANOTHER, BOARD, interrupts

LIMITS = Limits(cpus=4, nodes=1, gsis=24)
RING = 'sqpoll = true\ncpus = "2"\nsq_thread_cpu = "3"\n'


@pytest.fixture(scope="module")
def boot(tmp_path_factory):
    def boot_machine(keys, poll_queues=2):
        path = tmp_path_factory.mktemp("machine") / "machine.toml"
        path.write_text(BOARD.format(poll_queues=poll_queues) + keys)
        return Machine(load(str(path)), 0)

    return boot_machine


def program_of(machine):
    machine.kernel.sched.update()
    web = machine.applications["db"]
    (task,) = web.threads
    return web, task, task.poller


def test_the_thread_spins_in_the_kernel_and_the_program_only_writes_into_its_ring(boot):
    machine = boot(RING)
    run_for(machine, SECOND_NS)
    program, task, poller = program_of(machine)
    served = program.counts()["served"]
    assert served > 11_000
    assert task.utime_ns == pytest.approx(served * (2_000 + 200), rel=0.01)
    assert poller.utime_ns == 0
    assert poller.stime_ns == pytest.approx(SECOND_NS, rel=0.05)
    assert cpu_times(machine)[3][2] > 90
    assert program.more_results() == {"sq_wakeups": 0}


def test_it_is_a_thread_of_the_program_in_proc(boot):
    machine = boot(RING)
    run_for(machine, SECOND_NS)
    _, task, poller = program_of(machine)
    assert proc_pid.thread_ids(machine, task) == [str(task.pid), str(poller.pid)]
    assert str(poller.pid) not in COLLECTIONS["{pid}"].names(machine)
    assert proc_pid.show_comm(machine, poller) == b"iou-sqp-%d\n" % task.pid
    status = proc_pid.show_thread_status(machine, task, poller).decode()
    assert f"Tgid:\t{task.pid}\n" in status
    assert "Threads:\t2\n" in status
    whole = proc_pid.show_stat(machine, task).split()
    alone = proc_pid.show_thread_stat(machine, task, task).split()
    assert int(whole[14]) > 90 > int(alone[14])  # stime
    assert whole[19] == alone[19] == b"2"


def test_it_sleeps_when_there_is_nothing_for_so_long_and_a_system_call_wakes_it(boot):
    machine = boot(RING + 'sq_thread_idle = "20 us"\n')  # a read takes 80 us
    run_for(machine, SECOND_NS)
    program, _, poller = program_of(machine)
    served = program.counts()["served"]
    assert program.more_results()["sq_wakeups"] == pytest.approx(served, rel=0.01)
    assert poller.stime_ns < SECOND_NS / 2
    assert poller.voluntary_switches == pytest.approx(served, rel=0.01)


def test_with_iopoll_it_looks_for_the_ends_too_and_nobody_is_interrupted(boot):
    machine = boot(RING + "iopoll = true\ndepth = 4\n")
    run_for(machine, SECOND_NS)
    program, task, _ = program_of(machine)
    assert interrupts(machine) == 0
    assert program.counts()["served"] > 44_000
    assert task.state == "D"  # it waits for the thread


def test_an_io_takes_as_long_as_the_program_had_to_wait_for_it(boot):
    alone = boot(RING + "depth = 8\n")
    behind = boot(RING + 'depth = 8\nsubmit = "50 us"\n')  # so the thread is what they wait for
    for machine in (alone, behind):
        run_for(machine, SECOND_NS // 4)
    fast, slow = (machine.applications["db"].latency for machine in (alone, behind))
    assert fast.mean_ns < 85_000
    assert slow.mean_ns == pytest.approx(8 * 50_000, rel=0.1)


def test_when_the_program_ends_its_thread_ends_too(boot):
    machine = boot(RING + "iopoll = true\ndepth = 8\n")
    run_for(machine, 10 * MS)
    program, task, poller = program_of(machine)
    change(machine, program, "off", LIMITS)
    run_for(machine, 10 * MS)
    assert (task.state, poller.state) == ("X", "X")
    counts = program.counts()
    assert counts["in_flight"] == len(poller.queued)
    assert counts["offered"] == sum(n for name, n in counts.items() if name != "offered")
    stime_ns = poller.stime_ns
    run_for(machine, 10 * MS)
    machine.kernel.sched.update()
    assert poller.stime_ns == stime_ns
    assert f"system {(task.stime_ns + stime_ns) // 1000} us" in program.show_results()


def test_on_the_cpu_of_its_program_it_takes_turns_with_it(boot):
    machine = boot('sqpoll = true\ncpus = "3"\nsq_thread_cpu = "3"\n' + ANOTHER + 'cpus = "3"\n')
    run_for(machine, SECOND_NS)
    program, _, poller = program_of(machine)
    assert poller.involuntary_switches > 50
    assert 100 < program.counts()["served"] < 6_000
    assert machine.applications["other"].counts()["served"] > 100


def test_it_has_the_policy_of_the_program_that_made_it(boot):
    machine = boot(RING + "nice = 5\n")
    run_for(machine, MS)
    _, task, poller = program_of(machine)
    assert (poller.nice, poller.policy) == (task.nice, task.policy) == (5, task.policy)
