"""Exceptions kill programs by signal, processes by oops, and the machine by panic."""

import re

import pytest

from pseudokern.kernel.panic import KernelPanicError
from pseudokern.x86.provoke import Provoker
from tests.machine_parts import MS, log_of, new_pc, run_for

PROG = r"ip:[0-9a-f]{6} sp:7ff[0-9a-f]{9}"
VMA = r" in prog\[[0-9a-f]{6},401000\+1000\]"


@pytest.fixture
def pc():
    return new_pc(4)


@pytest.fixture
def provoke(pc):
    """Carry out a command; what came of it, and what was logged."""
    provoker = Provoker(pc)

    def command(text):
        before = len(log_of(pc))
        provoker.command(text)
        run_for(pc, MS)
        return provoker.outcome, log_of(pc)[before:]

    return command


@pytest.mark.parametrize(
    ("command", "signal", "what"),
    [
        ("divide_error", "SIGFPE", "trap divide error"),
        ("int3 cpu 2", "SIGTRAP", "trap int3"),
        ("overflow", "SIGSEGV", "trap overflow"),
        ("int 4", "SIGSEGV", "trap overflow"),
        ("bounds", "SIGSEGV", "trap bounds"),
        ("invalid_op", "SIGILL", "trap invalid opcode"),
        ("stack_segment", "SIGBUS", "trap stack segment"),
        ("segment_not_present", "SIGBUS", "trap segment not present"),
        ("invalid_tss", "SIGSEGV", "trap invalid TSS"),
        ("alignment_check", "SIGBUS", "trap alignment check"),
        ("general_protection", "SIGSEGV", "general protection fault"),
    ],
)
def test_a_program_is_killed_by_a_signal_and_the_log_says_why(provoke, command, signal, what):
    outcome, lines = provoke(command)
    assert re.fullmatch(rf"prog\[[0-9]+\] was killed by {signal}", outcome)
    (line,) = lines
    assert re.fullmatch(rf"traps: prog\[[0-9]+\] {what} {PROG} error:0{VMA}", line)


def test_a_program_may_not_int_a_gate_of_the_kernel(provoke):
    outcome, (line,) = provoke("int 0x30")
    assert outcome.endswith("was killed by SIGSEGV")
    pattern = rf"traps: prog\[[0-9]+\] general protection fault {PROG} error:182{VMA}"
    assert re.fullmatch(pattern, line)


def test_a_program_may_int_0x80_which_is_a_system_call(provoke):
    assert provoke("int 0x80") == ("nothing happened", [])


def test_a_segfault_has_a_line_of_its_own_form(provoke):
    outcome, (line,) = provoke("page_fault 0x10 cpu 3")
    assert outcome.endswith("was killed by SIGSEGV")
    pattern = (
        r"prog\[[0-9]+\]: segfault at 10 ip 0000000000401[0-9a-f]{3} sp 00007ff[0-9a-f]{9}"
        rf" error 4{VMA} likely on CPU 3 \(core 3, socket 0\)"
    )
    assert re.fullmatch(pattern, line)


def test_exceptions_that_programs_catch_for_a_debugger_are_not_logged(provoke):
    outcome, lines = provoke("debug")
    assert outcome.endswith("was killed by SIGTRAP")
    assert lines == []


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("divide_error kernel", "Oops: divide error: 0000 [#1] PREEMPT SMP NOPTI"),
        ("int3 kernel", "Oops: int3: 0000 [#1] PREEMPT SMP NOPTI"),
        ("invalid_op kernel", "Oops: invalid opcode: 0000 [#1] PREEMPT SMP NOPTI"),
        (
            "general_protection kernel",
            "Oops: general protection fault: 0000 [#1] PREEMPT SMP NOPTI",
        ),
        (
            "general_protection 0xdead000000000100 kernel",
            "Oops: general protection fault, probably for non-canonical address"
            " 0xdead000000000100: 0000 [#1] PREEMPT SMP NOPTI",
        ),
        ("page_fault kernel", "BUG: kernel NULL pointer dereference, address: 0000000000000000"),
        (
            "page_fault 0xffff888000001000 kernel",
            "BUG: unable to handle page fault for address: ffff888000001000",
        ),
    ],
)
def test_an_exception_in_the_kernel_kills_the_process_that_called_it(pc, provoke, command, text):
    outcome, lines = provoke(f"{command} cpu 1")
    assert re.fullmatch(r"bash\[[0-9]+\] is dead", outcome)
    assert text in lines
    assert any(re.match(r"RIP: 0010:lkdtm_do_action\+", line) for line in lines)
    assert any(line.startswith("CPU: 1 UID: 0 PID: ") for line in lines)
    assert not pc.kernel.has_panicked


def test_an_exception_in_an_interrupt_is_the_end(pc, provoke):
    with pytest.raises(KernelPanicError):
        provoke("page_fault irq cpu 3")
    lines = log_of(pc)
    assert "Kernel panic - not syncing: Fatal exception in interrupt" in lines
    assert any(line.startswith(" sysvec_call_function_single+") for line in lines)
    assert pc.kernel.cpus[3].counts.call_function == 1


def test_a_double_fault_is_the_end_whoever_brought_it_about(pc, provoke):
    with pytest.raises(KernelPanicError):
        provoke("double_fault")
    assert "traps: PANIC: double fault, error_code: 0x0" in log_of(pc)
    assert "Oops: double fault: 0000 [#1] PREEMPT SMP NOPTI" in log_of(pc)


@pytest.mark.parametrize(("command", "stack"), [("irq_stack cpu 1", "IRQ"), ("task_stack", "TASK")])
def test_a_stack_that_overflows_is_the_end(pc, provoke, command, stack):
    with pytest.raises(KernelPanicError):
        provoke(command)
    assert any(f"BUG: {stack} stack guard page was hit at" in line for line in log_of(pc))


def test_a_machine_check_is_counted_and_logged(pc, provoke):
    _, lines = provoke("machine_check cpu 2")
    assert lines == ["mce: [Hardware Error]: Machine check events logged"]
    assert pc.kernel.cpus[2].counts.machine_checks == 1
    assert pc.kernel.taint == {"M"}


def test_a_machine_check_with_a_corrupt_context_is_the_end(pc, provoke):
    with pytest.raises(KernelPanicError):
        provoke("machine_check fatal")
    assert "Kernel panic - not syncing: Fatal machine check" in log_of(pc)


@pytest.mark.parametrize(
    "command",
    ["", "divide", "int", "int 256", "int3 cpu 9", "int3 cpu -1", "int3 fatal", "int3 cpu"],
)
def test_a_command_that_makes_no_sense_is_refused(provoke, command):
    with pytest.raises(OSError, match="exception '"):
        provoke(command)


def test_programs_that_crash_all_the_time_fill_no_log(pc, provoke):
    for _ in range(12):
        provoke("divide_error")
    assert sum("trap divide error" in line for line in log_of(pc)) == 10
