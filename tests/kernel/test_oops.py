"""A fault in the kernel ends a thread or the whole machine, and says so as Linux does."""

import re

import pytest

from pseudokern.irq.flags import IrqReturn
from pseudokern.kernel.context import local_irq_disable, preempt_disable
from pseudokern.kernel.kthread import sleep_ns
from pseudokern.kernel.oops import Fault, TaskDiesError, die, oops, page_fault
from pseudokern.kernel.panic import KernelPanicError, KernelStopsError, panic
from pseudokern.kernel.stack_depth import local_variables, with_local_variables
from tests.machine_parts import MS, log_of, msix_line, new_pc, run_for


@pytest.fixture
def pc():
    pc = new_pc(4)
    pc.kernel.hardware_name = "pseudokern q4"
    return pc


def plain(pc):
    return [re.sub(r"\+0x[0-9a-f]+/0x[0-9a-f]+", "", line) for line in log_of(pc)]


def raised_in_handler(pc, action):
    """Call action in a hard handler; what it raised."""
    line = msix_line(pc, slot=2 + len(pc.pci.functions))
    line.on_interrupt = lambda: (action(), IrqReturn.HANDLED)[1]
    with pytest.raises((Exception, KernelStopsError)) as caught:
        line.fire()
    return caught.value


def thread(pc, action):
    async def body():
        action()

    worker = pc.irqs.kthreads.create("worker", body(), cpus_allowed=1 << 2)
    run_for(pc, MS)
    return worker


def test_a_fault_of_a_thread_kills_it_and_the_machine_goes_on(pc):
    worker = thread(pc, lambda: die(pc.kernel, Fault("divide error")))
    lines = plain(pc)
    start = lines.index("Oops: divide error: 0000 [#1] PREEMPT SMP NOPTI")
    assert lines[start + 1 :] == [
        f"CPU: 2 UID: 0 PID: {worker.pid} Comm: worker Not tainted 6.12.0 #1",
        "Hardware name: pseudokern q4",
        "RIP: 0010:kthread",
        "Call Trace:",
        " <TASK>",
        " ret_from_fork",
        " ret_from_fork_asm",
        " </TASK>",
        "Modules linked in:",
        "---[ end trace 0000000000000000 ]---",
        "RIP: 0010:kthread",
    ]
    assert pc.kernel.taint == {"D"}
    assert worker.pid not in pc.irqs.kthreads.by_pid
    assert not pc.kernel.has_panicked


def test_what_a_dead_thread_leaves_disabled_is_noted(pc):
    def fail():
        preempt_disable(pc.kernel)
        local_irq_disable(pc.kernel)
        die(pc.kernel, Fault("divide error"))

    worker = thread(pc, fail)
    assert plain(pc)[-2:] == [
        f"note: worker[{worker.pid}] exited with irqs disabled",
        f"note: worker[{worker.pid}] exited with preempt_count 1",
    ]
    assert (pc.kernel.cpus[2].preempt_count, pc.cpus[2].interrupt_flag) == (0, True)


def test_a_fault_in_an_interrupt_is_the_end(pc):
    error = raised_in_handler(pc, lambda: die(pc.kernel, page_fault(0)))
    assert isinstance(error, KernelPanicError)
    lines = plain(pc)
    start = lines.index("BUG: kernel NULL pointer dereference, address: 0000000000000000")
    assert lines[start + 1 : start + 5] == [
        "#PF: supervisor read access in kernel mode",
        "#PF: error_code(0x0000) - not-present page",
        "PGD 0 P4D 0 ",
        "Oops: Oops: 0000 [#1] PREEMPT SMP NOPTI",
    ]
    assert lines[-3:] == [
        "Kernel panic - not syncing: Fatal exception in interrupt",
        "Kernel Offset: disabled",
        "---[ end Kernel panic - not syncing: Fatal exception in interrupt ]---",
    ]


def test_nothing_happens_after_a_panic(pc):
    line = msix_line(pc, slot=4)
    raised_in_handler(pc, lambda: panic(pc.kernel, "enough"))
    messages = len(log_of(pc))
    run_for(pc, 1_000 * MS)
    assert (len(log_of(pc)), line.handled) == (messages, 0)
    assert pc.kernel.timeline.next_ns() > 1 << 60


def test_a_panic_without_an_oops_shows_the_way_to_it(pc):
    with pytest.raises(KernelPanicError):
        panic(pc.kernel, "enough")
    assert plain(pc)[-7:-2] == ["Call Trace:", " <TASK>", " dump_stack_lvl", " panic", " </TASK>"]


def test_the_time_to_the_reboot_is_said_when_there_is_one(pc):
    pc.kernel.panic_timeout_s = 5
    with pytest.raises(KernelPanicError):
        panic(pc.kernel, "enough")
    assert log_of(pc)[-1] == "Rebooting in 5 seconds.."


def test_linux_6_1_has_no_oops_before_the_name_and_6_18_no_preempt_behind_it(pc):
    for release, text in (
        ("6.1.0", "divide error: 0000 [#1] PREEMPT SMP NOPTI"),
        ("6.18.0", "Oops: divide error: 0000 [#2] SMP NOPTI"),
    ):
        pc.kernel.release = release
        thread(pc, lambda: die(pc.kernel, Fault("divide error")))
        assert text in log_of(pc)


def test_with_panic_on_oops_the_fault_of_a_thread_is_the_end_too(pc):
    pc.kernel.panic_on_oops = 1
    with pytest.raises(KernelPanicError, match=r"Fatal exception$"):
        thread(pc, lambda: die(pc.kernel, Fault("divide error")))


def test_the_idle_task_cannot_be_killed(pc):
    with pytest.raises(KernelPanicError, match="Attempted to kill the idle task!"):
        die(pc.kernel, Fault("divide error"))


def test_task_dies_error_is_no_exception_that_a_driver_could_catch():
    assert not issubclass(TaskDiesError, Exception)


# -- exceptions of Python ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        (lambda: 1 // 0, "Oops: divide error: 0000 [#1] PREEMPT SMP NOPTI"),
        (lambda: None.ring, "Oops: Oops: 0000 [#1] PREEMPT SMP NOPTI"),
        (lambda: {}["ring"], "Oops: Oops: 0000 [#1] PREEMPT SMP NOPTI"),
    ],
)
def test_a_mistake_in_python_is_the_fault_that_it_is_in_c(pc, mistake, text):
    error = raised_in_handler(pc, mistake)
    oops(pc.kernel, error)
    assert text in log_of(pc)
    assert not pc.kernel.has_panicked


def test_a_failed_assertion_is_a_kernel_bug(pc):
    def check():
        assert pc is None

    oops(pc.kernel, raised_in_handler(pc, check))
    lines = log_of(pc)
    assert any(re.fullmatch(r"kernel BUG at test_oops\.py:[0-9]+!", line) for line in lines)
    assert "Oops: invalid opcode: 0000 [#1] PREEMPT SMP NOPTI" in lines


def test_the_oops_says_where_in_python_and_how_the_kernel_got_there(pc):
    def ring():
        return 1 // 0

    oops(pc.kernel, raised_in_handler(pc, ring))
    lines = plain(pc)
    pattern = (
        r"python: ZeroDivisionError: .*, at"
        r" test_oops\.py:[0-9]+ ring < test_oops\.py:[0-9]+ <lambda> < .*"
    )
    assert any(re.fullmatch(pattern, line) for line in lines)
    assert "RIP: 0010:ring" in lines
    assert " asm_common_interrupt" in lines


def test_an_exception_is_reported_once(pc):
    error = raised_in_handler(pc, lambda: 1 // 0)
    oops(pc.kernel, error)
    oops(pc.kernel, error)
    assert pc.kernel.oopses == 1


def test_with_panic_on_oops_a_mistake_in_a_handler_is_the_end(pc):
    pc.kernel.panic_on_oops = 1
    error = raised_in_handler(pc, lambda: 1 // 0)
    with pytest.raises(KernelPanicError, match="Fatal exception in interrupt"):
        oops(pc.kernel, error)


def test_a_thread_that_raises_dies_with_an_oops(pc):
    async def body():
        await sleep_ns(1000)
        raise KeyError("ring")

    worker = pc.irqs.kthreads.create("worker", body())
    with pytest.raises(KeyError):
        run_for(pc, MS)
    assert f"PID: {worker.pid} Comm: worker" in "\n".join(log_of(pc))
    assert worker.pid not in pc.irqs.kthreads.by_pid


def test_the_oops_of_a_thread_shows_every_function_up_to_the_fork(pc):
    async def outer():
        await inner()

    async def inner():
        await sleep_ns(1000)
        raise KeyError("ring")

    pc.irqs.kthreads.create("worker", outer())
    with pytest.raises(KeyError):
        run_for(pc, MS)
    log = log_of(pc)
    begin = log.index("Call Trace:")
    shown = [line.split("+")[0] for line in log[begin + 1 : begin + 7]]
    assert shown == [
        " <TASK>",
        " outer",
        " kthread",
        " ret_from_fork",
        " ret_from_fork_asm",
        " </TASK>",
    ]
    assert any(line.startswith("RIP: 0010:inner+") for line in log)


# -- stacks -----------------------------------------------------------------------------------


def test_a_handler_that_needs_more_than_the_irq_stack_has_ends_the_machine(pc):
    line = msix_line(pc)
    line.on_interrupt = with_local_variables(pc.kernel, lambda: IrqReturn.HANDLED, 15_000)
    line.fire()
    assert line.counts[line.cpu] == 1

    line.on_interrupt = with_local_variables(pc.kernel, lambda: IrqReturn.HANDLED, 17_000)
    with pytest.raises(KernelPanicError):
        line.fire()
    lines = plain(pc)
    (hit,) = [n for n, text in enumerate(lines) if "guard page was hit" in text]
    pattern = (
        r"BUG: IRQ stack guard page was hit at [0-9a-f]{16}"
        r" \(stack is [0-9a-f]{16}\.\.[0-9a-f]{16}\)"
    )
    assert re.fullmatch(pattern, lines[hit])
    assert lines[hit + 1] == "Oops: stack guard page: 0000 [#1] PREEMPT SMP NOPTI"
    assert lines[-3] == "Kernel panic - not syncing: Fatal exception in interrupt"


def test_the_calls_of_a_handler_count_as_well_as_what_it_declares(pc):
    def nest(depth):
        if depth:
            return nest(depth - 1)
        with local_variables(pc.kernel, 8_000):
            return None

    line = msix_line(pc)
    line.on_interrupt = lambda: (nest(40), IrqReturn.HANDLED)[1]
    line.fire()
    line.on_interrupt = lambda: (nest(100), IrqReturn.HANDLED)[1]
    with pytest.raises(KernelPanicError):
        line.fire()


def test_a_thread_has_a_stack_of_its_own(pc):
    def use():
        with local_variables(pc.kernel, 20_000):
            raise AssertionError("nobody gets here")

    with pytest.raises(KernelPanicError):
        thread(pc, use)
    assert any("BUG: TASK stack guard page was hit" in line for line in log_of(pc))


def test_endless_recursion_in_a_handler_hits_the_guard_page(pc):
    def recurse():
        recurse()

    error = raised_in_handler(pc, recurse)
    with pytest.raises(KernelPanicError):
        oops(pc.kernel, error)
    assert any("BUG: IRQ stack guard page was hit" in line for line in log_of(pc))


def test_what_a_handler_kept_on_the_stack_is_free_again(pc):
    line = msix_line(pc)
    line.on_interrupt = with_local_variables(pc.kernel, lambda: IrqReturn.HANDLED, 12_000)
    line.fire(3)
    assert pc.kernel.cpus[line.cpu].stack_used == [0, 0]
