"""Posted messages: many of them come with one interrupt, and each is handled and counted."""

import pytest

from pseudokern.irq.flags import IrqReturn
from pseudokern.irq.manage import disable_irq, enable_irq, irq_set_affinity
from pseudokern.x86.dmar import Iommu
from tests.machine_parts import MS, isa_line, log_of, msix_lines, new_pc, requested, run_for


@pytest.fixture
def pc():
    return new_pc(2, iommu=Iommu(posts_messages=True))


@pytest.fixture
def lines(pc):
    """Three messages, all to CPU 0."""
    lines = msix_lines(pc, 3)
    requested(lines, 0)
    for line in lines:
        irq_set_affinity(line.desc, 1)
    run_for(pc, 20 * MS)
    return lines


def notifications(pc):
    return [this.counts.posted_msi for this in pc.kernel.cpus]


def test_each_message_is_counted_as_its_line_and_as_a_notification(pc, lines):
    for line in lines:
        line.fire(2)
    assert [line.counts for line in lines] == [[2, 0]] * 3
    assert notifications(pc) == [6, 0]


def test_messages_that_come_while_the_cpu_is_busy_are_one_notification(pc, lines):
    pc.cpus[0].occupy(100_000)
    for line in lines:
        line.signal()
    run_for(pc, MS)
    assert [line.handled for line in lines] == [1, 1, 1]
    assert notifications(pc) == [1, 0]
    assert pc.cpus[0].apic.isr == 0


def test_a_message_that_a_handler_brings_about_needs_no_second_notification(pc, lines):
    first, second, _ = lines
    first.on_interrupt = lambda: second.signal() or IrqReturn.HANDLED
    first.fire()
    assert second.handled == 1
    assert notifications(pc) == [1, 0]


def test_the_same_message_twice_is_one_and_the_other_is_counted_as_lost(pc, lines):
    pc.cpus[0].occupy(100_000)
    lines[0].signal()
    lines[0].signal()
    run_for(pc, MS)
    assert lines[0].handled == 1
    assert pc.losses()["collapsed in a posted-interrupt descriptor"] == 1


def test_a_move_takes_the_message_to_the_other_cpus_descriptor(pc, lines):
    irq_set_affinity(lines[0].desc, 2)
    lines[0].fire()
    assert lines[0].counts == [0, 1]
    assert notifications(pc) == [0, 1]


def test_a_replay_comes_at_the_lines_own_vector_and_is_ended_there(pc, lines):
    disable_irq(lines[0].desc)
    lines[0].fire()
    assert lines[0].handled == 0
    enable_irq(lines[0].desc)
    run_for(pc, MS)
    assert lines[0].handled == 1
    assert pc.cpus[0].apic.isr == 0


def test_what_is_posted_to_a_cpu_that_goes_down_happens_on_another(pc, lines):
    irq_set_affinity(lines[0].desc, 2)
    irq_set_affinity(lines[1].desc, 2)
    pc.cpus[1].occupy(MS)
    lines[0].signal()
    pc.hotplug.down(1)
    run_for(pc, 2 * MS)
    assert lines[0].counts == [1, 0]
    assert "No irq handler" not in " ".join(log_of(pc))


def test_pins_are_not_posted(pc):
    edge = isa_line(pc).request()
    edge.fire()
    assert edge.handled == 1
    assert notifications(pc) == [0, 0]


def test_the_chip_behind_the_messages_has_a_name_of_its_own(pc):
    assert pc.dmar.ir.chip.name == "INTEL-IR-POST"
