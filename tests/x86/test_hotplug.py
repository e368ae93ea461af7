"""A CPU that goes down takes nothing with it that was raised."""

import errno

import pytest

from pseudokern.irq.manage import irq_set_affinity
from pseudokern.x86.pci import Spread
from tests.machine_parts import (
    TICK_NS,
    intx_lines,
    log_of,
    msix_line,
    msix_lines,
    new_pc,
    requested,
    run_for,
)


def line_on(pc, cpu):
    """An MSI-X line that goes to cpu, and may go anywhere else."""
    line = next(line for line in msix_lines(pc, 4) if line.request().cpu == cpu)
    assert line.desc.affinity == 0b1111
    return line


def test_an_interrupt_that_a_dying_cpu_had_not_taken_yet_is_handled_elsewhere(pc):
    line = line_on(pc, 2)
    pc.cpus[2].occupy(1_000_000)
    line.signal()
    assert line.handled == 0

    pc.hotplug.down(2)
    run_for(pc, 10_000)
    assert line.handled_on == [line.cpu]
    assert line.cpu != 2


def test_a_level_that_a_dying_cpu_had_not_taken_yet_goes_on_elsewhere(pc):
    [level] = intx_lines(pc)
    level.request(0x80)
    irq_set_affinity(level.desc, 0b0100)
    level.fire()
    assert level.cpu == 2

    pc.cpus[2].occupy(1_000_000)
    level.signal()
    pc.hotplug.down(2)
    run_for(pc, 10_000)
    assert level.served == 2
    level.fire(3)
    assert level.served == 5


def test_a_line_whose_cpus_are_all_gone_may_go_to_all_that_are_left(pc):
    line = msix_line(pc)
    old = line.cpu
    irq_set_affinity(line.desc, 1 << old)
    line.fire()
    pc.hotplug.down(old)
    assert line.desc.affinity == 0b1111 & ~(1 << old)
    pc.hotplug.up(old)
    assert line.desc.affinity == 0b1111 & ~(1 << old)


def test_a_managed_line_is_shut_down_with_its_last_cpu_and_comes_back_with_it(pc):
    lines = msix_lines(pc, 4, spread=Spread())
    requested(lines, 0)
    pc.hotplug.down(3)
    assert lines[3].desc.affinity == 0b1000
    lines[3].fire(2)
    assert lines[3].handled == 0

    pc.hotplug.up(3)
    run_for(pc, 10_000)
    assert lines[3].handled_on == [3]


def test_a_move_that_was_pending_is_made_when_the_old_cpu_goes_down(pc):
    line = line_on(pc, 2)
    irq_set_affinity(line.desc, 0b1000)
    pc.hotplug.down(2)
    assert line.cpu == 3
    line.fire()
    assert line.handled_on == [3]


@pytest.mark.parametrize("gone", ["old", "new"])
def test_a_cpu_may_go_down_in_the_middle_of_a_move(pc, gone):
    line = line_on(pc, 2)
    irq_set_affinity(line.desc, 0b1000)
    line.fire()
    pc.hotplug.down(2 if gone == "old" else 3)
    line.fire(2)
    run_for(pc, 2 * TICK_NS)
    assert line.handled == 3
    booked = sum(line.desc in owned.values() for owned in pc.vectors.vector_irq)
    assert booked == 1


def test_the_boot_cpu_stays(pc):
    with pytest.raises(OSError, match="boot CPU") as caught:
        pc.hotplug.down(0)
    assert caught.value.errno == errno.EPERM


def test_a_cpu_whose_vectors_fit_nowhere_else_stays():
    pc = new_pc(2)
    lines = msix_lines(pc, pc.vectors.matrix.global_available)
    for line in lines:
        line.request()
    with pytest.raises(OSError, match="Cannot disable CPU") as caught:
        pc.hotplug.down(1)
    assert caught.value.errno == errno.ENOSPC
    assert log_of(pc)[-1] == "CPU 1 has 201 vectors, 0 available. Cannot disable CPU"


def test_a_replay_on_its_way_to_a_dying_cpu_is_handled_elsewhere(pc):
    line = line_on(pc, 2)
    pc.cpus[2].occupy(1_000_000)
    line.signal()
    pc.hotplug.down(2)
    pc.hotplug.down(line.cpu)
    run_for(pc, 10_000)
    assert line.handled_on == [line.cpu]


def test_calls_that_a_cpu_had_not_taken_are_made_when_it_goes_down(pc):
    called = []
    pc.cpus[1].occupy(1_000_000)
    pc.smp.call_function(0b0010, lambda _this: called.append("before"))
    run_for(pc, 1_000)
    pc.hotplug.down(1)
    assert called == ["before"]

    pc.hotplug.up(1)
    pc.smp.call_function(0b0010, lambda _this: called.append("after"))
    run_for(pc, 2_000_000)
    assert called == ["before", "after"]
