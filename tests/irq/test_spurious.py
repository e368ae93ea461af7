"""A line that nobody handles is switched off, one that misbehaves now and then is not."""

import pytest

from pseudokern.irq.flags import Irqf, IrqReturn, IrqState
from pseudokern.irq.request import request_irq
from pseudokern.irq.spurious import note_interrupt
from tests.machine_parts import MS, intx_lines, log_of, msix_line, new_pc, run_for


def unhandled(line, times):
    for _ in range(times):
        note_interrupt(line.desc, IrqReturn.NONE)


def handled(line, times):
    for _ in range(times):
        note_interrupt(line.desc, IrqReturn.HANDLED)


def is_stuck(line):
    return bool(line.desc.istate & IrqState.SPURIOUS_DISABLED)


def test_line_nobody_handles_is_disabled_after_100_000_interrupts(pc, line):
    unhandled(line, 99_999)
    assert not is_stuck(line)
    assert line.desc.irq_count == 99_999

    unhandled(line, 1)
    assert is_stuck(line)
    assert line.desc.depth == 1
    assert line.desc.is_disabled
    assert log_of(pc)[-1] == f"Disabling IRQ #{line.irq}"
    assert f'irq {line.irq}: nobody cared (try booting with the "irqpoll" option)' in log_of(pc)


@pytest.mark.slow
def test_a_real_line_nobody_handles_is_disabled_after_100_000_interrupts(pc, line):
    line.on_interrupt = lambda: IrqReturn.NONE
    line.fire(99_999)
    assert not is_stuck(line)

    line.fire(3)
    assert is_stuck(line)
    assert line.handled == 100_000


@pytest.mark.parametrize(("good", "stuck"), [(99, True), (100, False)])
def test_more_than_99_900_of_100_000_have_to_be_unhandled(line, good, stuck):
    unhandled(line, 1)
    handled(line, good)
    unhandled(line, 99_999 - good)
    assert is_stuck(line) == stuck
    assert (line.desc.irq_count, line.desc.irqs_unhandled) == (0, 0)


def test_a_pause_of_more_than_100_ms_starts_the_count_of_unhandled_ones_over(pc, line):
    unhandled(line, 5)
    run_for(pc, 100 * MS)
    unhandled(line, 1)
    assert line.desc.irqs_unhandled == 6

    run_for(pc, 104 * MS)
    unhandled(line, 1)
    assert line.desc.irqs_unhandled == 1
    assert line.desc.irq_count == 7


def test_interrupts_every_101_ms_never_disable_a_line(pc, line):
    line.desc.irq_count = 99_990
    for _ in range(20):
        run_for(pc, 104 * MS)
        unhandled(line, 1)
    assert not is_stuck(line)


def test_a_healthy_line_counts_nothing(line):
    handled(line, 1_000)
    assert line.desc.irq_count == 0


def test_handled_interrupts_count_while_there_are_unhandled_ones(line):
    unhandled(line, 1)
    handled(line, 10)
    assert (line.desc.irq_count, line.desc.irqs_unhandled) == (11, 1)


def test_the_time_of_the_last_unhandled_one_is_kept_in_jiffies(pc, line):
    run_for(pc, 400 * MS)
    unhandled(line, 1)
    assert line.desc.last_unhandled == 100


def test_a_handler_that_joins_a_line_that_was_disabled_enables_it(pc):
    one, other = intx_lines(pc, 2)
    one.request(Irqf.SHARED)
    unhandled(one, 100_000)
    assert one.desc.is_disabled

    other.request(Irqf.SHARED)
    assert not one.desc.is_disabled
    assert not is_stuck(one)
    other.fire()
    assert other.served == 1


def test_a_stuck_level_line_is_masked_by_its_next_interrupt(pc, level):
    level.on_interrupt = lambda: IrqReturn.NONE
    unhandled(level, 99_999)
    level.signal()
    run_for(pc, 1_000_000)
    assert is_stuck(level)
    assert level.desc.is_masked
    assert level.handled == 1


def test_impossible_answers_are_reported_100_times_in_the_life_of_the_machine(pc, line):
    for _ in range(150):
        note_interrupt(line.desc, 0x7)
    reports = [text for text in log_of(pc) if "bogus return value 7" in text]
    assert len(reports) == 100
    assert reports[0] == f"irq event {line.irq}: bogus return value 7"
    assert not is_stuck(line)


def test_a_report_names_every_handler_of_the_line(pc):
    def first_handler():
        return IrqReturn.NONE

    def second_handler():
        return IrqReturn.NONE

    desc = intx_lines(pc)[0].desc
    for handler in (first_handler, second_handler):
        request_irq(pc.irqs, desc.irq, handler, Irqf.SHARED, "test", handler)
    for _ in range(100_000):
        note_interrupt(desc, IrqReturn.NONE)
    report = [text for text in log_of(pc) if text.startswith("[<")]
    assert [text.split()[1] for text in report] == ["first_handler", "second_handler"]


@pytest.mark.parametrize("gates", [True, False])
def test_waking_a_thread_that_is_not_there_is_told_once(gates):
    pc = new_pc(1, gates=gates)
    line = msix_line(pc)
    line.on_interrupt = lambda: IrqReturn.WAKE_THREAD
    line.fire(3)
    told = [text for text in log_of(pc) if "IRQ_WAKE_THREAD" in text]
    assert told == [
        f"IRQ {line.irq} device test returned IRQ_WAKE_THREAD but no thread function available."
    ]
