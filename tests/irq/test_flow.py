"""What each kind of line does with an interrupt."""

import errno

import pytest

from pseudokern.irq.chip import (
    handle_edge_irq,
    handle_fasteoi_irq,
    handle_level_irq,
    handle_percpu_irq,
    handle_simple_irq,
)
from pseudokern.irq.desc import handle_bad_irq
from pseudokern.irq.domain import IrqDomain
from pseudokern.irq.flags import IrqData, IrqReturn, IrqState
from pseudokern.irq.generic import generic_handle_domain_irq, generic_handle_irq
from pseudokern.irq.irqchip import IrqChip
from pseudokern.irq.manage import disable_irq, disable_irq_nosync
from pseudokern.irq.request import free_irq, request_irq
from pseudokern.irq.resend import irq_inject_interrupt
from pseudokern.kernel.softirq import Softirq
from tests.machine_parts import MessageLine, log_of, msix_lines, run_for, software_line


class NotingChip(IrqChip):
    """A controller that can do everything and writes down what it was told."""

    name = "noting"

    def __init__(self):
        self.told = []

    def mask(self, desc):
        self.told.append("mask")

    def unmask(self, desc):
        self.told.append("unmask")

    def ack(self, desc):
        self.told.append("ack")

    def eoi(self, desc):
        self.told.append("eoi")

    def retrigger(self, desc):
        self.told.append("retrigger")
        return True


class SoftwareLine(MessageLine):
    """A line whose flow handler is called directly."""

    def __init__(self, pc, flow):
        desc = pc.irqs.alloc_descs(1, node=-1)[0]
        self.chip = NotingChip()
        IrqDomain("noting", 1).associate(desc, 0, self.chip, None, flow, "")
        super().__init__(pc, desc)
        self.request()
        self.chip.told.clear()

    def signal(self):
        self.desc.handle_irq(self.desc)


@pytest.mark.parametrize(
    ("flow", "told"),
    [
        (handle_simple_irq, []),
        (handle_edge_irq, ["ack"]),
        (handle_fasteoi_irq, ["eoi"]),
        (handle_level_irq, ["mask", "ack", "unmask"]),
        (handle_percpu_irq, ["ack", "eoi"]),
    ],
)
def test_each_flow_counts_once_and_tells_its_controller(pc, flow, told):
    line = SoftwareLine(pc, flow)
    line.signal()
    assert line.handled == 1
    assert line.desc.total == 1
    assert line.chip.told == told


@pytest.mark.parametrize(
    ("flow", "told"),
    [
        (handle_simple_irq, []),
        (handle_edge_irq, ["mask", "ack"]),
        (handle_fasteoi_irq, ["mask", "eoi"]),
        (handle_level_irq, ["mask", "ack"]),
    ],
)
def test_a_disabled_line_is_not_counted_and_stays_masked(pc, flow, told):
    line = SoftwareLine(pc, flow)
    disable_irq(line.desc)
    line.signal()
    assert line.handled == 0
    assert line.desc.total == 0
    assert line.chip.told == told
    assert line.pending_in_core


@pytest.mark.parametrize(
    ("flow", "told"),
    [
        (handle_simple_irq, []),
        (handle_edge_irq, ["mask", "ack"]),
        (handle_fasteoi_irq, ["eoi"]),
        (handle_level_irq, ["mask", "ack"]),
    ],
)
def test_an_interrupt_during_its_own_handler_is_refused_as_its_flow_says(pc, flow, told):
    line = SoftwareLine(pc, flow)
    line.desc.dstate |= IrqData.IRQ_INPROGRESS
    line.signal()
    assert line.handled == 0
    assert line.chip.told == told
    assert line.pending_in_core == (flow is handle_edge_irq)


def test_edges_that_arrive_during_their_own_handler_are_one_more_call_and_no_more_counts(pc):
    line = SoftwareLine(pc, handle_edge_irq)

    def two_more_on_another_cpu():
        if line.handled == 1:
            line.signal()
            line.signal()
        return IrqReturn.HANDLED

    line.on_interrupt = two_more_on_another_cpu
    line.signal()
    assert line.handled == 2
    assert line.desc.total == 1
    assert line.chip.told == ["ack", "mask", "ack", "ack", "unmask"]
    assert pc.losses()["collapsed in a line's pending bit"] == 1


def test_fasteoi_with_resend_replays_what_came_during_its_handler(pc):
    line = SoftwareLine(pc, handle_fasteoi_irq)
    line.desc.dstate |= IrqData.RESEND_WHEN_IN_PROGRESS

    def one_more():
        if line.handled == 1:
            line.signal()
        return IrqReturn.HANDLED

    line.on_interrupt = one_more
    line.signal()
    assert line.chip.told == ["eoi", "eoi", "retrigger"]
    assert line.desc.istate & IrqState.REPLAY


def test_a_level_line_that_its_handler_disabled_stays_masked(pc):
    line = SoftwareLine(pc, handle_level_irq)
    line.on_interrupt = lambda: disable_irq_nosync(line.desc) or IrqReturn.HANDLED
    line.signal()
    assert line.chip.told == ["mask", "ack"]


def test_an_edge_line_whose_handler_frees_itself_is_over(pc):
    line = SoftwareLine(pc, handle_edge_irq)
    line.on_interrupt = lambda: line.free() or IrqReturn.HANDLED
    line.signal()
    assert line.handled == 1
    assert not line.desc.actions


def test_a_line_without_a_flow_counts_and_complains(pc):
    [desc] = pc.irqs.alloc_descs(1, node=-1)
    desc.handle_irq(desc)
    assert desc.total == 1
    assert log_of(pc)[-1] == f"unexpected IRQ trap at vector {desc.irq:02x}"


def test_the_answers_of_all_handlers_are_judged_together(pc, level):
    other = type(level)(pc, level.desc, level.wire).request(0x80)
    level.on_interrupt = lambda: IrqReturn.NONE
    other.signal()
    run_for(pc, 10_000)
    assert level.desc.irqs_unhandled == 0


def test_level_interrupt_fires_again_while_the_line_stays_high(pc, level):
    level.on_interrupt = lambda: level.let_go() if level.handled == 4 else IrqReturn.HANDLED
    level.fire()
    assert level.handled == 4
    assert level.desc.total == 4

    run_for(pc, 1_000_000)
    assert level.handled == 4


def test_an_edge_is_handled_once_however_long_the_pin_stays_high(pc, edge):
    pin = pc.gsis.pin_of_irq(edge.irq)
    pin.ioapic.set_pin(pin.number, True)
    run_for(pc, 1_000_000)
    assert edge.handled == 1


def test_counts_are_kept_for_each_cpu(pc):
    one, other = msix_lines(pc, 2)
    for line in (one, other):
        line.request()
    assert one.cpu != other.cpu
    one.fire(3)
    other.fire(2)
    assert one.counts[one.cpu] == 3
    assert other.counts[other.cpu] == 2
    assert sum(one.counts) + sum(other.counts) == 5


def test_a_line_that_its_chip_cannot_replay_is_replayed_in_a_tasklet(pc):
    calls = []
    desc = software_line(pc, IrqChip(), handle_edge_irq)
    request_irq(pc.irqs, desc.irq, lambda: calls.append(1) or IrqReturn.HANDLED, 0, "soft", "soft")
    irq_inject_interrupt(desc)
    assert calls == []

    run_for(pc, 1_000_000)
    assert calls == [1]
    assert pc.kernel.cpus[0].softirq_counts[Softirq.TASKLET] == 1


def test_a_replay_in_software_is_forgotten_when_the_line_is_shut_down(pc):
    desc = software_line(pc, IrqChip(), handle_edge_irq)
    request_irq(pc.irqs, desc.irq, lambda: IrqReturn.HANDLED, 0, "soft", "soft")
    irq_inject_interrupt(desc)
    free_irq(desc, "soft")
    run_for(pc, 1_000_000)
    assert not pc.irqs[desc.irq].istate & IrqState.PENDING


def test_an_interrupt_that_nobody_can_handle_describes_its_line_and_is_ended(pc, line):
    line.desc.handle_irq = handle_bad_irq
    line.desc.changed()
    line.fire()
    *_, first, flow, chip, action, handler, trap = log_of(pc)
    assert first.startswith(f"irq {line.irq}, desc: ")
    assert first.endswith("depth: 0, count: 0, unhandled: 0")
    assert flow.startswith("->handle_irq():  ")
    assert "handle_bad_irq+0x0/" in flow
    assert chip.startswith("->irq_data.chip(): ")
    assert action.startswith("->action(): ")
    assert handler.startswith("->action->handler(): ")
    assert trap == f"unexpected IRQ trap at vector {line.irq:02x}"
    assert (line.handled, line.desc.total) == (0, 1)
    assert all(cpu.apic.isr == 0 for cpu in pc.cpus)


def test_only_ten_bad_interrupts_in_five_seconds_are_told_of_and_five_described(pc, line):
    line.desc.handle_irq = handle_bad_irq
    line.desc.changed()
    line.fire(30)
    assert sum(text.startswith("unexpected IRQ trap") for text in log_of(pc)) == 10
    assert sum(text.startswith("->handle_irq()") for text in log_of(pc)) == 5
    assert line.desc.total == 30


def test_a_line_behind_another_is_handled_by_its_number(pc, line):
    calls = []
    desc = software_line(pc, IrqChip(), handle_simple_irq)
    request_irq(pc.irqs, desc.irq, lambda: calls.append(1) or IrqReturn.HANDLED, 0, "soft")
    line.on_interrupt = lambda: generic_handle_irq(pc.irqs, desc.irq) or IrqReturn.HANDLED
    line.fire()
    assert (calls, desc.total) == ([1], 1)

    generic_handle_domain_irq(desc.domain, 0)
    assert desc.total == 2


def test_a_line_with_a_vector_is_not_handled_outside_of_an_interrupt_and_that_is_told_once(
    pc, line
):
    for _ in range(2):
        with pytest.raises(OSError, match="hardware only") as refused:
            generic_handle_irq(pc.irqs, line.irq)
        assert refused.value.errno == errno.EPERM
    assert sum(text.startswith("WARNING: ") for text in log_of(pc)) == 1
    assert line.handled == 0


def test_a_number_that_nobody_has_is_einval(pc):
    for call in (
        lambda: generic_handle_irq(pc.irqs, 999),
        lambda: generic_handle_domain_irq(pc.domains.by_name["IO-APIC-0"], 99),
    ):
        with pytest.raises(OSError, match="no ") as refused:
            call()
        assert refused.value.errno == errno.EINVAL
