"""A move happens with the next interrupt; the old vector goes after the one that follows."""

import pytest

from pseudokern.irq.desc import Irq
from pseudokern.irq.flags import IrqData, Irqf
from pseudokern.irq.manage import (
    disable_irq,
    enable_irq,
    irq_affinity_shown,
    irq_set_affinity,
    irq_set_affinity_and_hint,
    irq_update_affinity_hint,
)
from pseudokern.kernel.cpumask import cpus_of
from tests.machine_parts import TICK_NS, log_of, msi_line, msix_lines, new_pc, run_for

KINDS = ["line", "edge", "level"]


@pytest.fixture(params=KINDS)
def any_line(request):
    """A line of each kind; each of them is moved by its next interrupt."""
    return request.getfixturevalue(request.param)


def other_cpu(line, *others):
    """A CPU where the line does not go now."""
    return next(cpu for cpu in range(4) if cpu not in (line.cpu, *others))


def vectors_booked(line):
    """Where the line has vectors, as CPUs."""
    owners = [owned.values() for owned in line.pc.vectors.vector_irq]
    return [cpu for cpu, descs in enumerate(owners) if line.desc in descs]


def test_a_move_changes_what_is_shown_at_once_and_what_is_effective_not(any_line):
    line = any_line
    old, new = line.cpu, other_cpu(line)
    irq_set_affinity(line.desc, 1 << new)
    run_for(line.pc, 1_000_000_000)
    assert irq_affinity_shown(line.desc) == 1 << new
    assert line.desc.effective_affinity == 1 << old
    assert vectors_booked(line) == [old]


def test_the_interrupt_that_moves_the_line_is_counted_on_the_old_cpu(any_line):
    line = any_line
    old, new = line.cpu, other_cpu(line)
    irq_set_affinity(line.desc, 1 << new)
    line.fire()
    assert line.handled_on == [old]
    assert line.counts[old] == 1
    assert line.desc.effective_affinity == 1 << new
    assert line.desc.affinity == 1 << new

    line.fire()
    assert line.handled_on == [old, new]
    assert line.counts[new] == 1


def test_the_old_vector_is_freed_at_the_jiffy_after_the_first_interrupt_on_the_new_cpu(any_line):
    line = any_line
    old, new = line.cpu, other_cpu(line)
    irq_set_affinity(line.desc, 1 << new)
    line.fire()
    run_for(line.pc, 10 * TICK_NS)
    assert sorted(vectors_booked(line)) == sorted([old, new])

    line.fire()
    into_tick_ns = line.pc.kernel.timeline.now_ns % TICK_NS
    run_for(line.pc, TICK_NS - into_tick_ns - 1)
    assert sorted(vectors_booked(line)) == sorted([old, new])
    run_for(line.pc, 1)
    assert vectors_booked(line) == [new]


def test_of_three_moves_between_interrupts_only_the_last_is_made(any_line):
    line = any_line
    old = line.cpu
    targets = [cpu for cpu in range(4) if cpu != old]
    before = line.pc.vectors.matrix.total_allocated
    for cpu in targets:
        irq_set_affinity(line.desc, 1 << cpu)
    line.fire()
    assert line.cpu == targets[-1]
    assert line.pc.vectors.matrix.total_allocated == before + 1
    assert sorted(vectors_booked(line)) == sorted([old, targets[-1]])


def test_a_further_move_stays_pending_until_the_old_vector_is_free(any_line):
    line = any_line
    first = other_cpu(line)
    second = other_cpu(line, first)
    irq_set_affinity(line.desc, 1 << first)
    line.fire()
    irq_set_affinity(line.desc, 1 << second)
    line.fire(3)
    assert line.cpu == first
    assert irq_affinity_shown(line.desc) == 1 << second
    assert line.desc.dstate & IrqData.SETAFFINITY_PENDING

    run_for(line.pc, TICK_NS)
    line.fire()
    assert line.cpu == second
    assert not line.desc.dstate & IrqData.SETAFFINITY_PENDING


def test_a_move_back_home_before_the_first_new_interrupt_waits_too(line):
    old, new = line.cpu, other_cpu(line)
    irq_set_affinity(line.desc, 1 << new)
    line.fire()
    irq_set_affinity(line.desc, 1 << old)
    line.fire()
    assert line.cpu == new
    run_for(line.pc, TICK_NS)
    line.fire()
    assert line.cpu == old


def test_widening_a_mask_never_moves_the_line(any_line):
    line = any_line
    old = line.cpu
    before = line.pc.vectors.matrix.total_allocated
    irq_set_affinity(line.desc, 0b1111)
    line.fire(2)
    assert line.cpu == old
    assert line.desc.affinity == 0b1111
    assert line.pc.vectors.matrix.total_allocated == before


def test_the_affinity_is_what_was_asked_for_with_its_offline_cpus():
    pc = new_pc(4, online=0b0111)
    [line] = msix_lines(pc)
    line.request()
    new = next(cpu for cpu in range(3) if cpu != line.cpu)
    irq_set_affinity(line.desc, 1 << new | 0b1000)
    line.fire()
    assert line.desc.affinity == 1 << new | 0b1000
    assert line.desc.effective_affinity == 1 << new


def test_a_move_to_an_offline_cpu_is_forgotten_by_the_next_interrupt():
    pc = new_pc(4, online=0b0111)
    [line] = msix_lines(pc)
    line.request()
    old = line.cpu
    irq_set_affinity(line.desc, 0b1000)
    assert irq_affinity_shown(line.desc) == 0b1000

    line.fire()
    assert irq_affinity_shown(line.desc) == 0b0111
    assert line.cpu == old


def test_a_disabled_edge_line_is_not_moved_before_it_is_enabled(line):
    old, new = line.cpu, other_cpu(line)
    irq_set_affinity(line.desc, 1 << new)
    disable_irq(line.desc)
    line.fire()
    assert line.cpu == old

    enable_irq(line.desc)
    line.fire(2)
    assert line.cpu == new


def test_a_line_that_was_never_requested_keeps_the_mask_for_later(pc):
    [line] = msix_lines(pc)
    irq_set_affinity(line.desc, 0b1100)
    assert line.desc.effective_affinity == 0b1100
    assert vectors_booked(line) == []

    line.request()
    assert line.cpu in (2, 3)
    assert line.desc.affinity == 0b1100


def test_a_line_that_was_freed_is_not_live_any_more_and_moves_without_an_interrupt(line):
    new = other_cpu(line)
    line.free()
    irq_set_affinity(line.desc, 1 << new)
    line.request()
    assert line.cpu == new
    assert vectors_booked(line) == [new]


def test_a_line_that_waits_for_its_enable_is_moved_by_an_interrupt_all_the_same(pc):
    [line] = msix_lines(pc)
    line.request(Irqf.NO_AUTOEN)
    old, new = line.cpu, other_cpu(line)
    irq_set_affinity(line.desc, 1 << new)
    enable_irq(line.desc)
    assert line.cpu == old
    line.fire()
    assert line.cpu == new


def test_freeing_a_line_in_the_middle_of_a_move_frees_both_vectors(line):
    irq_set_affinity(line.desc, 1 << other_cpu(line))
    line.fire()
    assert len(vectors_booked(line)) == 2
    line.free()
    assert vectors_booked(line) == []

    run_for(line.pc, 2 * TICK_NS)
    assert line.pc.vectors.matrix.total_allocated == 1  # the boot timer's


def test_freeing_a_line_that_awaits_its_clean_up_frees_both_vectors(line):
    irq_set_affinity(line.desc, 1 << other_cpu(line))
    line.fire(2)
    assert len(vectors_booked(line)) == 2
    line.free()
    run_for(line.pc, 2 * TICK_NS)
    assert vectors_booked(line) == []
    assert line.pc.vectors.matrix.total_allocated == 1


def test_a_vector_that_still_waits_in_irr_is_not_freed_until_it_is_taken(pc, line):
    old, new = line.cpu, other_cpu(line)
    irq_set_affinity(line.desc, 1 << new)
    line.fire()
    old_vector = pc.vectors.data(line.desc).prev_vector
    pc.cpus[old].occupy(3 * TICK_NS)
    pc.cpus[old].apic.accept(old_vector)  # it was on its way when the line moved
    line.fire()
    run_for(pc, 2 * TICK_NS)
    assert sorted(vectors_booked(line)) == sorted([old, new])
    warning = f"Moved interrupt pending in old target APIC {line.irq}"
    assert log_of(pc).count(warning) == 1

    run_for(pc, 3 * TICK_NS)
    assert line.handled_on == [old, new, old]
    assert vectors_booked(line) == [new]


def test_an_interrupt_in_flight_during_the_move_is_handled_on_the_old_cpu(pc, line):
    old, new = line.cpu, other_cpu(line)
    irq_set_affinity(line.desc, 1 << new)
    pc.cpus[old].occupy(5_000)
    line.signal()
    run_for(pc, 100_000)
    assert line.handled_on == [old]
    line.fire()
    assert line.handled_on == [old, new]


def test_a_level_line_that_is_disabled_moves_with_the_interrupt_that_masks_it(level):
    old, new = level.cpu, other_cpu(level)
    irq_set_affinity(level.desc, 1 << new)
    disable_irq(level.desc)
    level.signal()
    assert level.desc.effective_affinity == 1 << new

    enable_irq(level.desc)
    run_for(level.pc, 100_000)
    assert level.handled_on == [new]
    assert level.counts[old] == 0


def test_the_hint_is_kept_and_followed(pc, line):
    new = other_cpu(line)
    irq_set_affinity_and_hint(line.desc, 1 << new)
    assert line.desc.affinity_hint == 1 << new
    line.fire()
    assert line.cpu == new

    irq_set_affinity_and_hint(line.desc, 0)
    assert line.desc.affinity_hint == 0
    assert line.cpu == new


def test_a_hint_that_cannot_be_followed_is_kept_without_an_error(pc):
    cascade = pc.irqs[Irq(2)]
    irq_set_affinity_and_hint(cascade, 0b10)
    assert cascade.affinity_hint == 0b10
    assert irq_affinity_shown(cascade) == 0b1111


def test_an_updated_hint_is_noted_and_not_followed(pc, line):
    irq_update_affinity_hint(line.desc, 1 << other_cpu(line))
    assert line.desc.affinity_hint == 1 << other_cpu(line)
    assert irq_affinity_shown(line.desc) == 0b1111


def test_an_msi_moves_as_an_msix_does(pc):
    line = msi_line(pc)
    line.request()
    old, new = line.cpu, other_cpu(line)
    irq_set_affinity(line.desc, 1 << new)
    line.fire(2)
    assert line.handled_on == [old, new]


def test_a_line_that_moves_in_a_circle_keeps_one_vector(pc, line):
    for step in range(40):
        irq_set_affinity(line.desc, 1 << step % 4)
        line.fire(2)
        run_for(pc, TICK_NS)
        assert vectors_booked(line) == [step % 4]
    assert line.handled == 80
    assert list(cpus_of(line.desc.effective_affinity)) == [3]
    assert not [place for place, times in pc.losses().items() if times]
