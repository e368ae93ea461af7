"""Report a fault in kernel code, and end what cannot go on after it.

Follows arch/x86/kernel/dumpstack.c (__die_header, oops_end), arch/x86/mm/fault.c
(show_fault_oops) and make_task_dead() of kernel/exit.c.

A Python exception is the fault that the same mistake is in C: a division by zero, a pointer to
nothing, a failed assertion, a stack that overflows. It ends what raised it: a thread, a handler's
run. Linux panics if that was an interrupt; here this is left to panic_on_oops, so that somebody
who writes a driver can look at what is left. A CPU's own exception does what it does on Linux.

Left out: registers, and the bytes at RIP. There are none.
"""

from dataclasses import dataclass
from pathlib import PurePath
from traceback import extract_tb, walk_tb
from types import FrameType
from typing import TYPE_CHECKING, NoReturn
from zlib import crc32

from pseudokern.kernel.context import (
    HARDIRQ_MASK,
    NMI_MASK,
    NMI_OFFSET,
    SOFTIRQ_MASK,
    frames_preempt_count,
    irqs_disabled,
    levels,
    preempt_count,
)
from pseudokern.kernel.panic import KernelStopsError, panic
from pseudokern.kernel.printk import Level
from pseudokern.kernel.stack import call_trace, symbol
from pseudokern.kernel.warn import (
    print_info,
    print_modules,
    print_trace,
    release_at_least,
    task_of,
)

if TYPE_CHECKING:
    from pseudokern.kernel.kernel import Kernel

IN_INTERRUPT = NMI_MASK | HARDIRQ_MASK | SOFTIRQ_MASK


@dataclass(frozen=True, slots=True)
class Fault:
    """What the CPU says of a fault: its name, its error code, lines that come before the oops."""

    name: str
    error_code: int = 0
    before: tuple[tuple[Level, str], ...] = ()
    cr2: int | None = None


class TaskDiesError(KernelStopsError):
    """The task that ran is dead: an oops has killed it."""


def page_fault(address: int, *, user: bool = False, write: bool = False) -> Fault:
    """A fault of kernel code at an address that is not mapped."""
    error_code = (4 if user else 0) | (2 if write else 0)
    what = (
        f"kernel NULL pointer dereference, address: {address:016x}"
        if address < 0x1000
        else f"unable to handle page fault for address: {address:016x}"
    )
    access = "write access" if write else "read access"
    return Fault(
        "Oops",
        error_code,
        (
            (Level.ALERT, f"BUG: {what}"),
            (Level.ALERT, f"#PF: supervisor {access} in kernel mode"),
            (Level.ALERT, f"#PF: error_code(0x{error_code:04x}) - not-present page"),
            (Level.INFO, "PGD 0 P4D 0 "),
        ),
        address,
    )


def stack_guard_page(stack: str, cpu: int) -> Fault:
    """The stack of that kind, IRQ or TASK, has overflowed into the page before it."""
    hit, begin, end = (f"{crc32(f'{stack} {cpu} {what}'.encode()):016x}" for what in "hbe")
    text = f"BUG: {stack} stack guard page was hit at {hit} (stack is {begin}..{end})"
    return Fault("stack guard page", 0, ((Level.EMERG, text),))


def die(kernel: "Kernel", fault: Fault, *, on_own_stack: bool = False) -> NoReturn:
    """An exception in kernel code, with what it comes to: a panic, or the death of the task.

    KernelPanicError, or TaskDiesError.

    on_own_stack  it is handled like an NMI, so it is in an interrupt whatever it has hit
    """
    trace = call_trace()
    count = preempt_count(kernel) | (NMI_OFFSET if on_own_stack else 0)
    is_off = irqs_disabled(kernel)
    report(kernel, fault, trace)
    if count & IN_INTERRUPT:
        panic(kernel, "Fatal exception in interrupt")
    if kernel.panic_on_oops:
        panic(kernel, "Fatal exception")
    pid, comm = task_of(kernel)
    if not pid:
        panic(kernel, "Attempted to kill the idle task!")
    if is_off:
        kernel.log.printk(Level.INFO, f"note: {comm}[{pid}] exited with irqs disabled")
    if count:
        text = f"note: {comm}[{pid}] exited with preempt_count {count}"
        kernel.log.printk(Level.INFO, text)
    raise TaskDiesError(f"{comm}[{pid}]")


def oops(kernel: "Kernel", error: BaseException) -> None:
    """Report a Python exception that somebody has caught, as the fault that it stands for.

    Each one is reported once. With panic_on_oops set, and after the overflow of a stack, the
    kernel panics: KernelPanicError. Otherwise the machine goes on.
    """
    if error is kernel.last_oops:
        return
    kernel.last_oops = error
    frame = _innermost(error)
    count = frames_preempt_count(kernel, frame)
    fault = _fault_of(kernel, error, frame, count)
    outer = kernel.this
    kernel.this = levels(kernel, frame)[0]
    try:
        _tell_python(kernel, error)
        report(kernel, fault, call_trace(frame, with_callee=True, callers=_callers(error)))
        is_overflow = isinstance(error, RecursionError) and levels(kernel, frame)[1]
        # The overflow of a stack is handled like an NMI, so even a task's is in an interrupt.
        if is_overflow or (kernel.panic_on_oops and count & IN_INTERRUPT):
            panic(kernel, "Fatal exception in interrupt")
        if kernel.panic_on_oops:
            panic(kernel, "Fatal exception")
    finally:
        kernel.this = outer


def report(kernel: "Kernel", fault: Fault, trace: list[str]) -> None:
    """__die() and what oops_end() prints: the fault, who and where, the way to it."""
    log = kernel.log
    for level, text in fault.before:
        log.printk(level, text)
    kernel.oopses += 1
    log.printk(Level.WARNING, _header(kernel, fault))
    where, *callers = trace or [symbol("unknown", "")]
    print_info(kernel)
    log.printk(Level.WARNING, f"RIP: 0010:{where}")
    print_trace(kernel, callers)
    print_modules(kernel)
    if fault.cr2 is not None:
        log.printk(Level.WARNING, f"CR2: {fault.cr2:016x}")
    log.printk(Level.WARNING, "---[ end trace 0000000000000000 ]---")
    log.printk(Level.WARNING, f"RIP: 0010:{where}")
    kernel.taint.add("D")


def _header(kernel: "Kernel", fault: Fault) -> str:
    text = f"{fault.name}: {fault.error_code:04x} [#{kernel.oopses}]"
    preempt = "" if release_at_least(kernel, 6, 15) else " PREEMPT"
    prefix = "Oops: " if release_at_least(kernel, 6, 10) else ""
    return f"{prefix}{text}{preempt} SMP NOPTI"


def _fault_of(kernel: "Kernel", error: BaseException, frame: FrameType | None, count: int) -> Fault:
    """The fault that the same mistake would be in C."""
    if isinstance(error, ZeroDivisionError):
        return Fault("divide error")
    if isinstance(error, RecursionError):
        stack = "IRQ" if count & IN_INTERRUPT else "TASK"
        return stack_guard_page(stack, levels(kernel, frame)[0].cpu)
    if isinstance(error, AssertionError):
        entry = extract_tb(error.__traceback__)[-1:]
        place = f"{PurePath(entry[0].filename).name}:{entry[0].lineno}" if entry else "?"
        begin = ((Level.WARNING, "------------[ cut here ]------------"),)
        return Fault("invalid opcode", 0, (*begin, (Level.CRIT, f"kernel BUG at {place}!")))
    return page_fault(0)


def _tell_python(kernel: "Kernel", error: BaseException) -> None:
    """What the author needs to know, which no fault says; without the paths of this computer."""
    steps = extract_tb(error.__traceback__)
    places = [f"{PurePath(step.filename).name}:{step.lineno} {step.name}" for step in steps[-3:]]
    text = f"python: {type(error).__name__}: {error}, at {' < '.join(reversed(places))}"
    kernel.log.printk(Level.ALERT, text)


def _callers(error: BaseException) -> dict[FrameType, FrameType]:
    """Who called whom on the way to it; a coroutine that has ended knows that no more."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return dict(zip(frames[1:], frames, strict=False))


def _innermost(error: BaseException) -> FrameType | None:
    """Where it was raised."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback.tb_frame if traceback is not None else None
