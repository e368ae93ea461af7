"""The short way through the kernel does exactly what the long way does."""

import pytest
from hypothesis import given, settings

from pseudokern.irq.flags import IrqReturn
from pseudokern.irq.manage import disable_irq, irq_set_affinity
from pseudokern.kernel.softirq import Softirq
from pseudokern.x86.dmar import Iommu
from tests.machine_parts import INTERRUPT_NS, msix_lines, new_pc, requested, run_for
from tests.x86.workload import Workload, scripts


@given(scripts)
@settings(max_examples=150, deadline=None)
def test_both_ways_lead_to_the_same_state(script):
    short, long = Workload(gates=True).live(script), Workload(gates=False).live(script)
    assert short.state() == long.state()
    assert short.come_to_rest().state() == long.come_to_rest().state()


@given(scripts)
@settings(max_examples=60, deadline=None)
def test_both_ways_lead_to_the_same_state_behind_a_remapping_unit(script):
    short = Workload(gates=True, iommu=Iommu()).live(script)
    long = Workload(gates=False, iommu=Iommu()).live(script)
    assert short.state() == long.state()
    assert short.come_to_rest().state() == long.come_to_rest().state()


@pytest.mark.slow
@given(scripts)
@settings(max_examples=600, deadline=None)
def test_both_ways_lead_to_the_same_state_in_many_more_lives(script):
    short, long = Workload(gates=True).live(script), Workload(gates=False).live(script)
    assert short.come_to_rest().state() == long.come_to_rest().state()


def takes_short_way(line):
    return line.desc.fast_counts is not None


@pytest.fixture
def pair(pc):
    """Two requested MSI-X lines of one function, on two CPUs."""
    lines = msix_lines(pc, 2)
    requested(lines, 0)
    return lines


def test_a_quiet_line_takes_the_short_way(line):
    assert takes_short_way(line)


def test_counts_on_the_short_way_are_seen_by_every_reader(line):
    line.fire(3)
    assert line.desc.total == 3
    line.fire(2)
    assert line.counts[line.cpu] == 5


def test_a_line_that_is_disabled_or_about_to_move_takes_the_long_way(line):
    irq_set_affinity(line.desc, 1 << (line.cpu + 1) % 4)
    assert not takes_short_way(line)
    line.fire(2)
    run_for(line.pc, 10_000_000)
    assert takes_short_way(line)

    disable_irq(line.desc)
    assert not takes_short_way(line)


def test_a_line_under_suspicion_takes_a_short_way_that_judges_every_interrupt(line):
    line.on_interrupt = lambda: IrqReturn.NONE
    line.fire(3)
    assert takes_short_way(line)
    assert (line.desc.irqs_unhandled, line.desc.irq_count) == (3, 3)

    line.on_interrupt = lambda: IrqReturn.HANDLED
    line.fire(2)
    assert (line.desc.irqs_unhandled, line.desc.irq_count) == (3, 5)


def test_a_line_under_suspicion_takes_the_long_way_where_others_are_tried_for_it(pc, line):
    pc.irqs.irqfixup = 1
    line.on_interrupt = lambda: IrqReturn.NONE
    line.fire()
    assert not takes_short_way(line)


@pytest.mark.parametrize("gates", [True, False])
def test_a_storm_ends_with_its_100_000th_interrupt_whichever_way_it_takes(gates):
    pc = new_pc(1, gates=gates)
    [line] = msix_lines(pc, 1)
    line.request()
    line.on_interrupt = lambda: IrqReturn.NONE
    line.desc.irq_count = 99_998  # so that it takes no longer than it has to
    line.desc.irqs_unhandled = 99_950
    line.fire()
    assert not line.desc.is_disabled
    line.fire()
    assert line.desc.is_disabled
    assert line.desc.irqs_unhandled == 0


def test_gates_that_are_switched_off_are_not_built():
    [line] = msix_lines(new_pc(1, gates=False), 1)
    line.request()
    assert not takes_short_way(line)


def test_an_interrupt_of_ones_own_in_the_handler_waits_for_the_handlers_end(pc, line):
    line.on_interrupt = lambda: (line.handled == 1 and line.signal()) or IrqReturn.HANDLED
    line.signal()
    assert line.handled == 1
    assert pc.cpus[line.cpu].apic.irr

    run_for(pc, INTERRUPT_NS)
    assert line.handled == 2


def test_a_handler_that_makes_another_cpu_work_is_still_on_its_own(pc, pair):
    first, second = pair
    seen = []

    def signal_the_other():
        seen.append(pc.kernel.this.cpu)
        second.signal()
        seen.append(pc.kernel.this.cpu)
        pc.kernel.this.softirq_pending |= 1 << Softirq.BLOCK
        return IrqReturn.HANDLED

    first.on_interrupt = signal_the_other
    first.fire()
    assert seen == [first.cpu, first.cpu]
    assert second.handled_on == [second.cpu]
    assert pc.kernel.cpus[first.cpu].softirq_counts[Softirq.BLOCK] == 1
    assert pc.kernel.cpus[second.cpu].softirq_counts[Softirq.BLOCK] == 0


def test_a_cpu_whose_handler_failed_on_the_short_way_takes_the_next_interrupt(pc, line):
    def fail():
        raise ZeroDivisionError

    line.on_interrupt = fail
    with pytest.raises(ZeroDivisionError):
        line.signal()
    line.on_interrupt = lambda: IrqReturn.HANDLED
    run_for(pc, 10_000)
    line.fire()
    assert line.handled == 2


@pytest.mark.parametrize("gates", [True, False])
def test_an_interrupt_of_ones_own_in_a_handler_on_the_long_way_waits_too(gates):
    pc = new_pc(1, gates=gates)
    long, short = msix_lines(pc, 2)
    requested([long, short], 0)
    irq_set_affinity(long.desc, 1)  # a move that is to be made needs the long way
    long.on_interrupt = lambda: short.signal() or IrqReturn.HANDLED
    long.signal()
    assert (long.handled, short.handled) == (1, 0)
    run_for(pc, INTERRUPT_NS)
    assert (long.handled, short.handled) == (1, 1)
