"""Disabling is lazy: the controller hears of it with the next interrupt, which is replayed."""

import pytest

from pseudokern.irq.flags import IrqData, IrqSetting
from pseudokern.irq.manage import disable_irq, enable_irq
from pseudokern.x86.ioapic_chip import pin_of
from pseudokern.x86.msi_chip import message_of
from tests.machine_parts import log_of, run_for


def test_a_disabled_line_is_masked_by_the_first_interrupt_and_not_before(pc, line):
    disable_irq(line.desc)
    assert not line.desc.is_masked

    line.fire()
    assert line.desc.is_masked
    assert line.pending_in_core
    assert line.handled == 0
    assert line.desc.total == 0


def test_a_line_that_is_disabled_unlazily_is_masked_at_once(line):
    line.desc.settings |= IrqSetting.DISABLE_UNLAZY
    disable_irq(line.desc)
    assert line.desc.is_masked


@pytest.mark.parametrize("kind", ["line", "edge"])
@pytest.mark.parametrize("times", [1, 2, 7])
def test_interrupts_of_a_disabled_line_are_replayed_once_when_it_is_enabled(
    pc, kind, times, request
):
    line = request.getfixturevalue(kind)
    disable_irq(line.desc)
    line.fire(times)
    assert line.handled == 0

    enable_irq(line.desc)
    run_for(pc, 1_000_000)
    assert line.handled == 1
    assert line.desc.total == 1
    assert not line.pending_in_core


def test_a_line_without_interrupts_meanwhile_is_not_replayed(pc, line):
    disable_irq(line.desc)
    enable_irq(line.desc)
    run_for(pc, 1_000_000)
    assert line.handled == 0


def test_a_level_line_needs_no_replay_because_its_wire_says_so(pc, level):
    disable_irq(level.desc)
    level.signal()
    run_for(pc, 10_000)
    assert level.desc.is_masked
    assert level.handled == 0

    enable_irq(level.desc)
    run_for(pc, 1_000_000)
    assert (level.handled, level.served) == (1, 1)
    assert not level.pending_in_core


def test_edges_at_a_pin_that_the_lazy_disable_masked_are_lost_and_counted(pc, edge):
    disable_irq(edge.desc)
    edge.fire(5)
    assert pc.losses()["edge at a masked I/O APIC pin"] == 4


def test_disables_nest(pc, line):
    disable_irq(line.desc)
    disable_irq(line.desc)
    assert line.desc.depth == 2
    line.fire()

    enable_irq(line.desc)
    assert line.desc.is_disabled
    enable_irq(line.desc)
    run_for(pc, 1_000_000)
    assert not line.desc.is_disabled
    assert line.handled == 1


def test_one_enable_too_many_is_told_and_changes_nothing(pc, line):
    enable_irq(line.desc)
    assert f"Unbalanced enable for IRQ {line.irq}" in log_of(pc)
    assert line.desc.depth == 0
    line.fire()
    assert line.handled == 1


def test_a_disabled_line_that_is_freed_and_requested_again_is_enabled(pc, line):
    disable_irq(line.desc)
    line.fire()
    line.free()
    assert line.desc.depth == 1

    line.request()
    run_for(pc, 1_000_000)
    assert line.desc.depth == 0
    assert line.handled == 1  # what was pending


def test_the_controller_is_open_again_after_the_replay(pc, line, edge):
    for each in (line, edge):
        disable_irq(each.desc)
        each.fire(3)
        enable_irq(each.desc)
        run_for(pc, 1_000_000)
        each.fire(4)
        assert each.handled == 5
    assert not message_of(line.desc).masked
    pin = pin_of(edge.desc)
    assert not pin.ioapic.entries[pin.number].masked


def test_after_a_replay_the_line_takes_the_short_way_again(pc, line):
    disable_irq(line.desc)
    line.fire()
    assert line.desc.fast_counts is None

    enable_irq(line.desc)
    run_for(pc, 1_000_000)
    assert line.desc.fast_counts is not None


def test_a_handler_may_disable_its_own_line(pc, line):
    def disable():
        disable_irq(line.desc)
        return 1

    line.on_interrupt = disable
    line.fire(3)
    assert line.handled == 1
    assert line.desc.dstate & IrqData.IRQ_DISABLED
    assert line.pending_in_core
