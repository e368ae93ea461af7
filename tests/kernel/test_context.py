"""Code knows in which context it runs, and is told off when it does there what it must not."""

import ast
import re
from pathlib import Path

import pytest

from pseudokern.irq.flags import IrqReturn
from pseudokern.kernel import context
from pseudokern.kernel.context import (
    in_atomic,
    in_hardirq,
    in_interrupt,
    in_nmi,
    in_serving_softirq,
    in_softirq,
    in_task,
    irqs_disabled,
    local_bh_disable,
    local_bh_enable,
    local_irq_disable,
    local_irq_enable,
    local_irq_restore,
    local_irq_save,
    preempt_count,
    preempt_disable,
    preempt_enable,
)
from pseudokern.kernel.kthread import sleep_ns
from pseudokern.kernel.sleep import might_sleep, msleep
from pseudokern.kernel.softirq import Softirq
from pseudokern.kernel.timer import Timer
from tests.machine_parts import MS, intx_lines, log_of, msix_line, new_pc, run_for


@pytest.fixture(params=[True, False], ids=["short way", "general way"])
def pc(request):
    return new_pc(4, gates=request.param)


def seen(pc):
    kernel = pc.kernel
    return preempt_count(kernel), irqs_disabled(kernel)


def in_handler(pc, action):
    """Call action in a hard handler; what it returned."""
    line = msix_line(pc, slot=2 + len(pc.pci.functions))
    answers = []
    line.on_interrupt = lambda: (answers.append(action()), IrqReturn.HANDLED)[1]
    line.fire()
    return answers[0]


def in_timer(pc, action, cpu=2):
    """Call action in a timer callback, in the TIMER softirq."""
    answers = []
    timer = Timer(lambda: answers.append(action()))
    pc.timers.mod_timer(timer, pc.kernel.jiffies + 1, cpu)
    run_for(pc, 20 * MS)
    return answers[0]


def in_thread(pc, action):
    """Call action in a kernel thread."""
    answers = []

    async def body():
        answers.append(action())

    pc.irqs.kthreads.create("worker", body())
    run_for(pc, MS)
    return answers[0]


def plain(lines):
    return [re.sub(r"\+0x[0-9a-f]+/0x[0-9a-f]+", "", line) for line in lines]


def test_a_hard_handler_counts_in_the_hardirq_field_with_interrupts_off(pc):
    assert in_handler(pc, lambda: seen(pc)) == (0x10000, True)
    assert in_handler(new_pc(1), lambda: None) is None
    assert seen(pc) == (0, False)


def test_the_handler_of_a_line_under_suspicion_counts_as_any_other(pc):
    line, found = msix_line(pc), []
    line.on_interrupt = lambda: (found.append(seen(pc)), IrqReturn.NONE)[1]
    line.fire(3)
    assert found == [(0x10000, True)] * 3


def test_a_level_line_s_handler_counts_as_any_other(pc):
    (line,) = intx_lines(pc)
    line.request(0x80)
    found = []
    line.on_interrupt = lambda: (found.append(seen(pc)), line.let_go())[1]
    line.fire()
    assert found == [(0x10000, True)]


def test_a_timer_callback_counts_in_the_softirq_field_with_interrupts_on(pc):
    assert in_timer(pc, lambda: seen(pc)) == (0x100, False)


def test_a_thread_counts_nothing(pc):
    assert in_thread(pc, lambda: seen(pc)) == (0, False)


def test_an_interrupt_that_a_timer_callback_raises_on_another_cpu_is_no_softirq(pc):
    line = msix_line(pc)
    found = []
    line.on_interrupt = lambda: (found.append(seen(pc)), IrqReturn.HANDLED)[1]
    in_timer(pc, line.signal, cpu=(line.cpu + 1) % 4)
    assert found == [(0x10000, True)]


def test_an_interrupt_of_the_cpu_that_a_thread_uses_comes_on_top_of_what_the_thread_counts(pc):
    line = msix_line(pc)
    found = []
    line.on_interrupt = lambda: (found.append(preempt_count(pc.kernel)), IrqReturn.HANDLED)[1]

    def locked():
        preempt_disable(pc.kernel)
        line.signal()
        preempt_enable(pc.kernel)

    async def body():
        locked()

    pc.irqs.kthreads.create("worker", body(), cpus_allowed=1 << line.cpu)
    run_for(pc, MS)
    assert found == [0x10001]


def test_the_predicates_are_masks_of_the_count(pc):
    def ask():
        predicates = (in_hardirq, in_softirq, in_serving_softirq, in_nmi, in_interrupt, in_task)
        return [predicate.__name__ for predicate in predicates if predicate(pc.kernel)]

    assert in_handler(pc, ask) == ["in_hardirq", "in_interrupt"]
    assert in_timer(pc, ask) == ["in_softirq", "in_serving_softirq", "in_interrupt"]
    assert in_thread(pc, ask) == ["in_task"]

    local_bh_disable(pc.kernel)
    assert ask() == ["in_softirq", "in_interrupt", "in_task"]
    assert preempt_count(pc.kernel) == 0x200
    local_bh_enable(pc.kernel)
    assert not in_atomic(pc.kernel)


def test_preemption_is_disabled_until_it_was_enabled_as_often(pc):
    preempt_disable(pc.kernel)
    preempt_disable(pc.kernel)
    preempt_enable(pc.kernel)
    assert preempt_count(pc.kernel) == 1
    preempt_enable(pc.kernel)
    assert preempt_count(pc.kernel) == 0


def test_interrupts_wait_while_a_cpu_has_them_off(pc):
    line = msix_line(pc)
    pc.kernel.this = pc.kernel.cpus[line.cpu]
    local_irq_disable(pc.kernel)
    line.fire()
    assert (line.handled, irqs_disabled(pc.kernel)) == (0, True)

    local_irq_enable(pc.kernel)
    run_for(pc, MS)
    assert (line.handled, irqs_disabled(pc.kernel)) == (1, False)


def test_restoring_flags_leaves_interrupts_off_if_they_were(pc):
    local_irq_disable(pc.kernel)
    local_irq_restore(pc.kernel, local_irq_save(pc.kernel))
    assert irqs_disabled(pc.kernel)
    local_irq_enable(pc.kernel)
    local_irq_restore(pc.kernel, local_irq_save(pc.kernel))
    assert not irqs_disabled(pc.kernel)


def test_softirqs_wait_while_bottom_halves_are_disabled(pc):
    ran = []
    pc.kernel.softirqs.open_softirq(Softirq.BLOCK, lambda this, now: (ran.append(this.cpu), now)[1])
    line = msix_line(pc)

    def raise_it():
        pc.kernel.this.softirq_pending |= 1 << Softirq.BLOCK
        return IrqReturn.HANDLED

    line.on_interrupt = raise_it
    pc.kernel.this = pc.kernel.cpus[line.cpu]
    local_bh_disable(pc.kernel)
    local_bh_disable(pc.kernel)
    line.fire()
    local_bh_enable(pc.kernel)
    run_for(pc, MS)
    assert (line.handled, ran) == (1, [])

    local_bh_enable(pc.kernel)
    run_for(pc, MS)
    assert ran == [line.cpu]
    line.fire()
    assert ran == [line.cpu] * 2


def test_bottom_halves_that_a_thread_left_disabled_run_again_when_it_is_told_off(pc):
    ran = []
    pc.kernel.softirqs.open_softirq(Softirq.BLOCK, lambda this, now: (ran.append(this.cpu), now)[1])

    async def body():
        local_bh_disable(pc.kernel)
        pc.kernel.softirqs.raise_from_process(pc.kernel.this, 1 << Softirq.BLOCK)
        await sleep_ns(MS)

    pc.irqs.kthreads.create("worker", body(), cpus_allowed=1 << 3)
    run_for(pc, 10 * MS)
    assert ran == [3]
    assert any("scheduling while atomic: worker" in line for line in log_of(pc))


# -- sleeping -------------------------------------------------------------------------------------


def test_sleeping_in_a_handler_is_reported_with_the_place_and_the_count(pc):
    in_handler(pc, lambda: might_sleep(pc.kernel, "kernel/locking/mutex.c:283"))
    lines = plain(log_of(pc))
    start = lines.index(
        "BUG: sleeping function called from invalid context at kernel/locking/mutex.c:283"
    )
    assert lines[start + 1 : start + 4] == [
        "in_atomic(): 1, irqs_disabled(): 1, non_block: 0, pid: 0, name: swapper/1",
        "preempt_count: 10000, expected: 0",
        "CPU: 1 UID: 0 PID: 0 Comm: swapper/1 Not tainted 6.12.0 #1",
    ]
    assert " __might_resched" in lines[start:]
    assert pc.kernel.taint == {"W"}


def test_the_place_is_the_caller_s_unless_it_is_given(pc):
    in_handler(pc, lambda: might_sleep(pc.kernel))
    first = next(line for line in log_of(pc) if line.startswith("BUG"))
    assert re.fullmatch(r".*invalid context at test_context\.py:[0-9]+", first)


def test_sleeping_is_reported_once_a_second(pc):
    preempt_disable(pc.kernel)
    for _ in range(3):
        might_sleep(pc.kernel)
    assert sum(line.startswith("BUG") for line in log_of(pc)) == 1
    run_for(pc, 1_000 * MS)
    might_sleep(pc.kernel)
    assert sum(line.startswith("BUG") for line in log_of(pc)) == 2


def test_a_thread_may_sleep(pc):
    in_thread(pc, lambda: might_sleep(pc.kernel))
    assert not any("BUG" in line for line in log_of(pc))


def test_msleep_in_a_timer_callback_is_scheduling_while_atomic(pc):
    in_timer(pc, lambda: msleep(pc.kernel, 10))
    assert "BUG: scheduling while atomic: swapper/2/0/0x00000101" in log_of(pc)
    assert "Modules linked in:" in log_of(pc)


def test_a_thread_that_sleeps_with_preemption_disabled_is_told_and_goes_on_without(pc):
    counts = []

    async def body():
        preempt_disable(pc.kernel)
        await sleep_ns(MS)
        counts.append(preempt_count(pc.kernel))

    thread = pc.irqs.kthreads.create("worker", body())
    run_for(pc, 10 * MS)
    text = f"BUG: scheduling while atomic: worker/{thread.pid}/0x00000002"
    assert (text in log_of(pc), counts) == (True, [0])


def test_a_thread_that_sleeps_with_interrupts_off_has_them_on_afterwards(pc):
    async def body():
        local_irq_disable(pc.kernel)
        await sleep_ns(MS)

    pc.irqs.kthreads.create("worker", body(), cpus_allowed=1)
    run_for(pc, 10 * MS)
    assert (pc.cpus[0].interrupt_flag, irqs_disabled(pc.kernel)) == (True, False)


# -- contexts that are left otherwise than they were entered --------------------------------------


def test_a_softirq_that_keeps_preemption_disabled_is_told_of_and_put_right(pc):
    def action(this, now_ns):
        preempt_disable(pc.kernel)
        return now_ns

    pc.kernel.softirqs.open_softirq(Softirq.BLOCK, action)
    pc.kernel.softirqs.raise_from_process(pc.kernel.cpus[1], 1 << Softirq.BLOCK)
    run_for(pc, MS)
    pattern = (
        r"huh, entered softirq 4 BLOCK [0-9a-f]{16} with preempt_count 00000100,"
        r" exited with 00000101\?"
    )
    assert re.fullmatch(pattern, log_of(pc)[-1])
    assert pc.kernel.cpus[1].preempt_count == 0


def test_a_timer_that_keeps_preemption_disabled_is_warned_of_once(pc):
    def leak():
        preempt_disable(pc.kernel)

    in_timer(pc, leak)
    in_timer(pc, leak)
    warnings = [line for line in plain(log_of(pc)) if "preempt leak" in line]
    assert len(warnings) == 1
    assert re.fullmatch(r"timer: .* preempt leak: 00000100 -> 00000101", warnings[0])
    assert [this.preempt_count for this in pc.kernel.cpus] == [0] * 4


def test_a_softirq_that_puts_the_count_right_itself_is_not_told_of(pc):
    in_timer(pc, lambda: (preempt_disable(pc.kernel), preempt_enable(pc.kernel)))
    assert not any("preempt" in line for line in log_of(pc))


def test_a_handler_that_enables_interrupts_is_warned_of_once(pc):
    line = msix_line(pc)
    line.on_interrupt = lambda: (local_irq_enable(pc.kernel), IrqReturn.HANDLED)[1]
    line.fire(3)
    lines = plain(log_of(pc))
    assert lines.count(f"irq {line.irq} handler handle enabled interrupts") == 1
    (where,) = [text for text in lines if text.startswith("WARNING")]
    assert where == (
        f"WARNING: CPU: {line.cpu} PID: 0 at kernel/irq/handle.c:161 __handle_irq_event_percpu"
    )
    assert line.counts[line.cpu] == 3


def test_another_line_nests_in_a_handler_that_enables_interrupts(pc):
    outer, inner = msix_line(pc), msix_line(pc, slot=3)
    inner.desc.table.kernel.this = pc.kernel.cpus[0]
    order = []

    def enable():
        order.append("in")
        inner.signal()
        assert inner.handled == 0 or inner.cpu != outer.cpu
        local_irq_enable(pc.kernel)
        order.append("out")
        return IrqReturn.HANDLED

    from pseudokern.irq.manage import irq_set_affinity

    for line in (outer, inner):
        irq_set_affinity(line.desc, 1 << 2)
        line.fire()
    order.clear()
    outer.on_interrupt = enable
    inner.on_interrupt = lambda: (order.append(hex(preempt_count(pc.kernel))), IrqReturn.HANDLED)[1]
    inner.handled_on.clear()
    outer.fire()
    assert order == ["in", "0x20000", "out"]


def test_a_line_does_not_nest_in_its_own_handler_but_is_handled_once_more(pc):
    line = msix_line(pc)
    depth = []

    def enable():
        depth.append(preempt_count(pc.kernel) >> 16)
        if len(depth) == 1:
            local_irq_enable(pc.kernel)
            line.signal()
            local_irq_disable(pc.kernel)
        return IrqReturn.HANDLED

    line.on_interrupt = enable
    line.fire()
    assert depth == [1, 1]
    line.fire()
    assert depth == [1, 1, 1]


def test_every_place_where_a_context_is_entered_is_there():
    package = Path(__file__).resolve().parents[2] / "pseudokern"
    found = set()
    for file in [f for layer in ("kernel", "x86") for f in (package / layer).glob("*.py")]:
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef):
                found |= {f"{node.name}.{n.name}" for n in node.body if hasattr(n, "name")}
    assert set(context._ENTRIES) <= found
