"""A host takes CPUs of a virtual machine away: what they were at goes on later."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pseudokern.drivers.keys import Limits
from pseudokern.drivers.nic import Nic
from pseudokern.drivers.programs import Programs
from pseudokern.drivers.steal import STEAL_KEYS, Steal
from pseudokern.fs.stat import _times_ns
from pseudokern.kernel.cputime import irq_time
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from pseudokern.machine.problems import DescriptionErrors
from tests.drivers.plugging import plugged
from tests.kernel.test_sched import Busy, Sleeper, new_pc_with_sched, started
from tests.machine_parts import new_pc, run_for

MS = 1_000_000
SECOND_NS = 1_000_000_000


def stolen_pc(pc, share=0.3, cpus=0b10, burst_ns=5 * MS):
    pc.steal = Steal(pc)
    pc.steal.set({"cpus": cpus, "share": share, "burst": burst_ns})
    return pc


def steal_ns(pc, cpu):
    return irq_time(pc.kernel, pc.kernel.cpus[cpu]).steal_ns


def test_a_busy_cpu_loses_the_share_that_the_host_takes():
    pc = stolen_pc(new_pc_with_sched())
    task = started(pc, Busy, 0b10)
    run_for(pc, 10 * SECOND_NS)
    pc.kernel.sched.update()
    assert steal_ns(pc, 1) == pytest.approx(3 * SECOND_NS, rel=0.15)
    this = pc.kernel.cpus[1]
    assert task.utime_ns + steal_ns(pc, 1) + this.hardirq_ns + this.softirq_ns == pytest.approx(
        10 * SECOND_NS, rel=0.002
    )


def test_an_idle_cpu_loses_next_to_nothing():
    pc = stolen_pc(new_pc(4))
    run_for(pc, 10 * SECOND_NS)
    assert steal_ns(pc, 1) < 0.02 * SECOND_NS


def test_only_the_cpus_that_are_named_are_taken_away():
    pc = stolen_pc(new_pc_with_sched())
    for cpu in range(4):
        started(pc, Busy, 1 << cpu)
    run_for(pc, SECOND_NS)
    assert [steal_ns(pc, cpu) > 0 for cpu in range(4)] == [False, True, False, False]


def test_an_interrupt_of_an_idle_cpu_that_is_away_waits_until_it_is_back():
    pc = new_pc(4)
    nic = plugged(pc, Nic, "eth0", rate="0 Hz", affinity=["1"])
    for _ in range(2):  # the first one moves the interrupt to its CPU
        nic.queues[0].receive(pc.kernel.timeline.now_ns)
        run_for(pc, MS)
    stolen_pc(pc, share=0.5, burst_ns=50 * MS)
    this = pc.kernel.cpus[1]
    while not this.away_until_ns:
        run_for(pc, MS)
    pc.fold_counts()
    back_ns, before = this.away_until_ns, nic.queues[0].packets
    asked_ns = pc.kernel.timeline.now_ns
    nic.queues[0].receive(asked_ns)
    run_for(pc, back_ns - asked_ns - 1)
    assert nic.queues[0].packets == before
    run_for(pc, 10_000)
    pc.fold_counts()
    assert nic.queues[0].packets == before + 1
    assert this.steal_ns == back_ns - asked_ns


def test_a_task_that_is_woken_there_runs_when_the_cpu_is_back():
    pc = stolen_pc(new_pc_with_sched(), share=0.5, burst_ns=50 * MS)
    task = started(pc, Sleeper, 0b10)
    run_for(pc, 200 * MS)
    this = pc.kernel.cpus[1]
    while not this.away_until_ns or task.state != "S":
        run_for(pc, MS)
    back_ns, had_ns = this.away_until_ns, task.utime_ns
    pc.kernel.sched.wake(task)
    run_for(pc, back_ns - pc.kernel.timeline.now_ns - 1)
    pc.kernel.sched.update()
    assert task.utime_ns == had_ns


def test_programs_of_a_machine_without_applications_are_stolen_from_as_well():
    pc = new_pc(4)
    Programs(pc, user=0.5, burst_ns=3 * MS, wakeups=0.0, tlb_hz=0.0, call_hz=0.0)
    stolen_pc(pc, share=0.4, cpus=0b1111)
    run_for(pc, 5 * SECOND_NS)
    for this in pc.kernel.cpus:
        assert 0.2 < steal_ns(pc, this.cpu) / (5 * SECOND_NS) < 0.4


def test_a_share_can_change_and_end():
    pc = stolen_pc(new_pc_with_sched())
    started(pc, Busy, 0b10)
    assert str(pc.steal) == "cpus=1 share=0.3 burst=5ms\n"
    run_for(pc, SECOND_NS)
    pc.steal.off()
    had_ns = steal_ns(pc, 1)
    run_for(pc, SECOND_NS)
    assert steal_ns(pc, 1) == had_ns
    assert str(pc.steal) == "off\n"


@pytest.mark.parametrize("burst", ["0", "1 ns", "9999 ns"])
def test_bursts_are_not_so_short_that_time_stands_still(burst):
    [problem] = STEAL_KEYS["burst"].parse(burst, Limits(cpus=1, nodes=1, gsis=24), {})
    assert problem.hint == 'use at least "10 us"'


BOARD = """
[machine]
cpus = 4

[[device]]
name = "eth0"
driver = "pseudokern.drivers.nic"
queues = 4

[[load]]
user = "20%"

[[load]]
device = "eth0"
rate = "{rate} kHz"
flows = 16

[[steal]]
cpus = "1-2"
share = "{share}%"
burst = "{burst} us"
"""


@settings(max_examples=20, deadline=None)
@given(
    rate=st.integers(1, 300),
    share=st.integers(1, 90),
    burst=st.integers(10, 20_000),
    steps=st.lists(st.integers(1, 40 * MS), max_size=6),
    cpu=st.integers(1, 3),
    kind=st.sampled_from(["", "server"]),
)
def test_times_never_run_backwards_and_add_up(
    tmp_path_factory, rate, share, burst, steps, cpu, kind
):
    path = tmp_path_factory.mktemp("stolen") / "machine.toml"
    text = BOARD.format(rate=rate, share=share, burst=burst)
    if kind:
        text += '[[application]]\nname = "web"\nkind = "server"\ndevice = "eth0"\nthreads = 2\n'
    path.write_text(text)
    machine = Machine(load(str(path)), 0)
    before = [[0] * 10 for _ in machine.kernel.cpus]
    for number, step_ns in enumerate(steps):
        until_ns = machine.timeline.now_ns + step_ns
        while not machine.timeline.run(until_ns, 1_000_000):
            continue
        if number == 2:
            machine.pc.hotplug.down(cpu)
        if number == 3:
            machine.pc.hotplug.up(cpu)
        for this in machine.kernel.cpus:
            times_ns = _times_ns(machine, this)
            off_ns = this.offline_ns
            if not machine.kernel.is_online(this.cpu):
                off_ns += max(0, machine.timeline.now_ns - this.offline_since_ns)
            assert sum(times_ns) == machine.timeline.now_ns - off_ns
            columns = zip(before[this.cpu], times_ns, strict=True)
            assert all(then <= now for then, now in columns), (before[this.cpu], times_ns)
            before[this.cpu] = times_ns


def test_the_same_seed_steals_the_same_time(tmp_path):
    path = tmp_path / "machine.toml"
    path.write_text(BOARD.format(rate=50, share=30, burst=3000))
    texts = []
    for _ in range(2):
        machine = Machine(load(str(path)), 0)
        while not machine.timeline.run(2 * SECOND_NS, 1_000_000):
            continue
        texts.append([_times_ns(machine, this) for this in machine.kernel.cpus])
    assert texts[0] == texts[1]
    assert [times[7] > 0 for times in texts[0]] == [False, True, True, False]


def test_a_host_that_leaves_nothing_is_refused(tmp_path):
    path = tmp_path / "machine.toml"
    path.write_text(BOARD.format(rate=50, share=96, burst=3000))
    with pytest.raises(DescriptionErrors, match='share is "96%"; use 95% or less'):
        load(str(path))
