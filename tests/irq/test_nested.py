"""Lines behind a slow controller are handled in the thread of the line that it sits on."""

import errno

import pytest

from pseudokern.irq.flags import Irqf, IrqReturn, IrqState
from pseudokern.irq.irqchip import IrqChip
from pseudokern.irq.manage import disable_irq, enable_irq
from pseudokern.irq.nested import handle_nested_irq, irq_set_nested_thread
from pseudokern.irq.request import request_irq
from pseudokern.irq.resend import check_irq_resend
from pseudokern.kernel.kthread import sleep_ns
from tests.machine_parts import isa_line, log_of, run_for, software_line


@pytest.fixture
def parent(pc):
    return isa_line(pc)


@pytest.fixture
def nested(pc, parent):
    """A line of an expander whose thread asks it, which takes a while."""
    desc = software_line(pc, IrqChip())
    irq_set_nested_thread(desc, parent.desc)

    async def ask():
        await sleep_ns(100_000)
        await handle_nested_irq(desc)
        return IrqReturn.HANDLED

    request_irq(pc.irqs, parent.irq, None, Irqf.ONESHOT, "expander", "expander", thread_fn=ask)
    return desc


def test_a_nested_line_is_handled_and_counted_in_its_parents_thread(pc, parent, nested):
    ran = []

    async def button():
        await sleep_ns(50_000)
        ran.append(pc.kernel.timeline.now_ns)
        return IrqReturn.HANDLED

    request_irq(pc.irqs, nested.irq, None, Irqf.ONESHOT, "button", "button", thread_fn=button)
    assert nested.actions[0].thread is None

    parent.fire()
    assert ran == []
    run_for(pc, 1_000_000)
    assert len(ran) == 1
    assert nested.total == 1


def test_a_disabled_nested_line_becomes_pending_and_its_parent_replays_it(pc, parent, nested):
    calls = []

    def button():
        calls.append(1)
        return IrqReturn.HANDLED

    request_irq(pc.irqs, nested.irq, None, Irqf.ONESHOT, "button", "button", thread_fn=button)
    disable_irq(nested)
    parent.fire()
    run_for(pc, 1_000_000)
    assert nested.istate & IrqState.PENDING
    assert calls == []

    parent.desc.dstate &= ~(1 << 27)  # one that may be replayed in software
    enable_irq(nested)
    run_for(pc, 1_000_000)
    assert calls == [1]


def test_a_nested_line_without_a_parent_cannot_be_replayed(pc):
    desc = software_line(pc, IrqChip())
    irq_set_nested_thread(desc, None)
    desc.istate |= IrqState.PENDING
    with pytest.raises(OSError, match="no parent") as caught:
        check_irq_resend(desc)
    assert caught.value.errno == errno.EINVAL


def test_the_primary_handler_of_a_nested_line_is_never_called_without_a_warning(pc, nested):
    request_irq(pc.irqs, nested.irq, None, 0x2000, "button", "button", thread_fn=lambda: None)
    run_for(pc, 10_000)
    nested.actions[0].handler()
    assert f"Primary handler called for nested irq {nested.irq}" in log_of(pc)
