"""Reports name the CPU, the task, the kernel and the way to the trouble."""

import ast
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from pseudokern.irq.flags import IrqReturn
from pseudokern.irq.manage import enable_irq
from pseudokern.kernel.stack import METHODS, symbol
from pseudokern.kernel.warn import dump_stack, tainted_mask
from tests.machine_parts import intx_lines, log_of, msix_line, new_pc


@pytest.fixture
def pc():
    pc = new_pc(4)
    pc.kernel.hardware_name = "pseudokern q4"
    return pc


def names(lines):
    """Lines without their offsets."""
    return [re.sub(r"\+0x[0-9a-f]+/0x[0-9a-f]+", "", line) for line in lines]


def report(pc, first):
    """What was logged from a line that begins so."""
    lines = names(log_of(pc))
    return lines[next(n for n, line in enumerate(lines) if line.startswith(first)) :]


def test_a_warning_is_the_block_that_linux_prints(pc):
    line = msix_line(pc)
    pc.kernel.this = pc.kernel.cpus[2]
    enable_irq(line.desc)

    assert report(pc, "----") == [
        "------------[ cut here ]------------",
        f"Unbalanced enable for IRQ {line.irq}",
        "WARNING: CPU: 2 PID: 0 at kernel/irq/manage.c:792 __enable_irq",
        "Modules linked in:",
        "CPU: 2 UID: 0 PID: 0 Comm: swapper/2 Not tainted 6.12.0 #1",
        "Hardware name: pseudokern q4",
        "RIP: 0010:__enable_irq",
        "Call Trace:",
        " <TASK>",
        " enable_irq",
        " </TASK>",
        "---[ end trace 0000000000000000 ]---",
    ]


def test_the_second_warning_says_that_there_was_one(pc):
    line = msix_line(pc)
    enable_irq(line.desc)
    before = len(log_of(pc))
    enable_irq(line.desc)

    lines = log_of(pc)[before:]
    assert "CPU: 0 UID: 0 PID: 0 Comm: swapper/0 Tainted: G        W          6.12.0 #1" in lines
    assert "Tainted: [W]=WARN" in lines
    assert tainted_mask(pc.kernel.taint) == 512


def test_linux_6_1_prints_neither_the_user_nor_the_names_of_taints(pc):
    pc.kernel.release = "6.1.0"
    pc.kernel.taint = {"W"}
    dump_stack(pc.kernel)

    assert report(pc, "CPU")[:2] == [
        "CPU: 0 PID: 0 Comm: swapper/0 Tainted: G        W          6.1.0 #1",
        "Hardware name: pseudokern q4",
    ]


def test_the_way_through_an_interrupt_is_on_its_own_stack(pc):
    (line,) = intx_lines(pc)
    line.request(0x80)
    line.on_interrupt = lambda: (dump_stack(pc.kernel), line.let_go())[1]
    line.fire()

    assert report(pc, "Call Trace:") == [
        "Call Trace:",
        " <IRQ>",
        " dump_stack_lvl",
        " handle_irq_event_percpu",
        " handle_irq_event",
        " handle_fasteoi_irq",
        " common_interrupt",
        " </IRQ>",
        " <TASK>",
        " asm_common_interrupt",
        " </TASK>",
    ]


def test_a_storm_is_reported_with_the_way_of_its_last_interrupt(pc):
    line = msix_line(pc)
    line.on_interrupt = lambda: IrqReturn.NONE
    line.fire(100_000)

    lines = report(pc, "irq ")
    assert (
        lines[1] == f"CPU: {line.cpu} UID: 0 PID: 0 Comm: swapper/{line.cpu} Not tainted 6.12.0 #1"
    )
    assert lines[4:8] == [" <IRQ>", " dump_stack_lvl", " __report_bad_irq", " note_interrupt"]
    assert lines[-3:-1] == ["handlers:", lines[-2]]
    assert lines[-1] == f"Disabling IRQ #{line.irq}"


def test_a_task_is_named_with_its_pid(pc):
    pc.kernel.this.current = SimpleNamespace(pid=57, comm="irq/24-a-rather-long-name")
    dump_stack(pc.kernel)
    assert report(pc, "CPU")[0] == (
        "CPU: 0 UID: 0 PID: 57 Comm: irq/24-a-rather-long Not tainted 6.12.0 #1"
    )


def test_modules_that_are_loaded_are_listed(pc):
    pc.kernel.modules = ["thermo", "blink"]
    enable_irq(msix_line(pc).desc)
    assert "Modules linked in: thermo blink" in log_of(pc)


def test_offsets_are_the_same_every_time_and_lie_within_the_function():
    assert symbol("note_interrupt", "dump_stack_lvl") == symbol("note_interrupt", "dump_stack_lvl")
    assert symbol("note_interrupt", "a") != symbol("note_interrupt", "b")
    for callee in map(str, range(200)):
        offset, size = symbol("note_interrupt", callee).partition("+")[2].split("/")
        assert 0 < int(offset, 16) < int(size, 16)


LAYERS = ("irq", "kernel", "module", "x86")


def test_every_function_with_names_of_its_own_is_there():
    package = Path(__file__).resolve().parents[2] / "pseudokern"
    found = set()
    for file in [f for layer in LAYERS for f in (package / layer).glob("*.py")]:
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                found.add(node.name)
            if isinstance(node, ast.ClassDef):
                inner = (
                    n for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
                )
                found |= {f"{node.name}.{function.name}" for function in inner}
    assert set(METHODS) <= found
