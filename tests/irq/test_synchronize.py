"""Code that may sleep can wait until nobody handles a line any more."""

import pytest

from pseudokern.irq.flags import Irqf, IrqReturn
from pseudokern.irq.manage import disable_hardirq, disable_irq, enable_irq, synchronize_irq
from pseudokern.irq.request import free_irq, request_irq
from pseudokern.kernel.kthread import sleep_ns
from tests.machine_parts import isa_line, log_of, run_for

THREAD_NS = 500_000


@pytest.fixture
def slow(pc):
    """An ISA line whose thread takes half a millisecond."""
    line = isa_line(pc)
    line.ends = []

    async def work():
        await sleep_ns(THREAD_NS)
        line.ends.append(pc.kernel.timeline.now_ns)
        return IrqReturn.HANDLED

    request_irq(pc.irqs, line.irq, None, Irqf.ONESHOT, "slow", line, thread_fn=work)
    return line


def waiter(pc, wait):
    """A thread that awaits what wait() returns; when it went on is in the list."""
    went_on = []

    async def body():
        await wait()
        went_on.append(pc.kernel.timeline.now_ns)

    pc.irqs.kthreads.create("waiter", body())
    return went_on


@pytest.mark.parametrize("wait", [synchronize_irq, disable_irq])
def test_a_thread_waits_until_the_lines_thread_is_done(pc, slow, wait):
    slow.fire()
    went_on = waiter(pc, lambda: wait(slow.desc))
    run_for(pc, THREAD_NS // 2)
    assert went_on == []

    run_for(pc, THREAD_NS)
    assert went_on > slow.ends
    assert len(slow.ends) == 1


def test_nobody_waits_for_a_line_that_is_quiet(pc, slow):
    went_on = waiter(pc, lambda: synchronize_irq(slow.desc))
    run_for(pc, 10_000)
    assert len(went_on) == 1


def test_several_threads_may_wait(pc, slow):
    slow.fire()
    waits = [waiter(pc, lambda: synchronize_irq(slow.desc)) for _ in range(3)]
    run_for(pc, 2 * THREAD_NS)
    assert all(waits)


def test_disable_takes_effect_before_anybody_waits(pc, slow):
    slow.fire()
    disable_irq(slow.desc)
    assert slow.desc.is_disabled
    enable_irq(slow.desc)


def test_a_freed_line_is_quiet_when_its_thread_has_ended(pc, slow):
    slow.fire()
    free_irq(slow.desc, slow)
    went_on = waiter(pc, lambda: synchronize_irq(slow.desc))
    run_for(pc, THREAD_NS // 2)
    assert went_on == []
    run_for(pc, THREAD_NS)
    assert len(went_on) == 1


def test_disable_hardirq_waits_for_nobody_and_says_whether_a_thread_runs(pc, slow):
    assert disable_hardirq(slow.desc)
    enable_irq(slow.desc)
    slow.fire()
    assert not disable_hardirq(slow.desc)


def test_a_handler_that_waits_gets_the_kernels_complaint(pc, line):
    line.on_interrupt = lambda: disable_irq(line.desc) and IrqReturn.HANDLED
    line.fire()
    text = "BUG: sleeping function called from invalid context at kernel/irq/manage.c:733"
    assert text in log_of(pc)
