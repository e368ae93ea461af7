"""Programs that look for the end of their I/Os take a CPU, and no interrupt."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pseudokern.fs.stat import _times_ns
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from tests.machine.test_applications import MS, SECOND_NS, cpu_times, run_for

BOARD = """
[machine]
cpus = 4

[[device]]
name = "nvme0"
driver = "pseudokern.drivers.nvme"
poll_queues = {poll_queues}

[[load]]
user = "0%"

[[application]]
name = "db"
kind = "io"
device = "nvme0"
"""
ANOTHER = """
[[application]]
name = "other"
kind = "io"
device = "nvme0"
"""


@pytest.fixture(scope="module")
def boot(tmp_path_factory):
    def boot_machine(keys, poll_queues=2):
        path = tmp_path_factory.mktemp("machine") / "machine.toml"
        path.write_text(BOARD.format(poll_queues=poll_queues) + keys)
        return Machine(load(str(path)), 0)

    return boot_machine


def interrupts(machine):
    return sum(desc.total for desc in machine.irqs if desc.actions and desc.irq >= 24)


def test_a_program_that_polls_is_never_interrupted_and_has_its_cpu_for_itself(boot):
    machine = boot('iopoll = true\ncpus = "3"\n')
    run_for(machine, SECOND_NS)
    user, _, system, idle, iowait, irq, _ = cpu_times(machine)[3][:7]
    assert interrupts(machine) == 0
    assert irq == iowait == 0
    assert user + system == pytest.approx(100, abs=2)
    assert idle == pytest.approx(100, abs=2)  # the second of the boot
    assert machine.applications["db"].counts()["served"] > 11_000


def test_who_polls_waits_less_than_who_is_interrupted(boot):
    polled, interrupted = boot('iopoll = true\ncpus = "3"\n'), boot('cpus = "3"\n')
    for machine in (polled, interrupted):
        run_for(machine, SECOND_NS)
    with_poll, without = (m.applications["db"] for m in (polled, interrupted))
    assert with_poll.counts()["served"] > 1.02 * without.counts()["served"]
    assert with_poll.latency.mean_ns < without.latency.mean_ns


def test_to_spin_costs_no_event_for_each_look(boot):
    machine = boot('iopoll = true\ncpus = "3"\n')
    run_for(machine, 100 * MS)
    before, served = machine.timeline.events, machine.applications["db"].counts()["served"]
    run_for(machine, SECOND_NS)
    served = machine.applications["db"].counts()["served"] - served
    assert machine.timeline.events - before < 8 * served


def test_two_programs_of_one_cpu_find_the_ends_of_each_other_and_share_it(boot):
    same = 'iopoll = true\ncpus = "3"\n'
    machine = boot(same + ANOTHER + same)
    run_for(machine, SECOND_NS)
    machine.kernel.sched.update()
    (one,), (other,) = (app.tasks for app in machine.applications.values())
    assert one.stime_ns == pytest.approx(other.stime_ns, rel=0.1)
    assert one.involuntary_switches > 50


def test_iopoll_without_poll_queues_is_refused_in_one_line_of_the_log(boot):
    machine = boot("iopoll = true\n", poll_queues=0)
    assert not machine.applications
    (line,) = [record.text for record in machine.kernel.log if "db:" in record.text]
    assert line == "db: cannot start: nvme0 has no poll queues; boot with nvme.poll_queues=N"


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_no_polled_io_is_lost_and_the_times_of_each_cpu_add_up(boot, data):
    keys = f"iopoll = true\ndepth = {data.draw(st.integers(1, 8))}\n"
    keys += f"threads = {data.draw(st.integers(1, 3))}\n"
    keys += f'cpus = "{data.draw(st.sampled_from(["3", "1-3", "0-3"]))}"\n'
    other = data.draw(st.sampled_from(["", "iopoll = true\n"]))
    machine = boot(keys + ANOTHER + other, poll_queues=data.draw(st.integers(1, 3)))
    for _ in range(data.draw(st.integers(1, 6))):
        cpu = data.draw(st.integers(1, 3))
        if data.draw(st.booleans()):
            (machine.pc.hotplug.down if machine.kernel.is_online(cpu) else machine.pc.hotplug.up)(
                cpu
            )
        run_for(machine, data.draw(st.integers(1, 3_000_000)))
        machine.pc.fold_counts()
        machine.kernel.sched.update()
        for app in machine.applications.values():
            counts = app.counts()
            assert counts["offered"] == sum(n for name, n in counts.items() if name != "offered")
        for this in machine.kernel.cpus:
            if not this.offline_ns and machine.kernel.is_online(this.cpu):
                assert sum(_times_ns(machine, this)) == machine.timeline.now_ns
