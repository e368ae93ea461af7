"""Say in which context the kernel runs: preempt_count, and whether interrupts are off.

Follows include/linux/preempt.h for the fields, and arch/x86/include/asm/irqflags.h.

Code here runs in one go, so nobody has to know its context unless somebody asks: interrupts,
softirqs and NMIs count nothing. Who asks looks at the Python frames that are being called, as a
stack dump does. Only what is rare and asked for by name is counted: preempt_disable(),
local_bh_disable(), spinlocks, local_irq_disable().
"""

import sys
from types import FrameType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pseudokern.kernel.kernel import Kernel
    from pseudokern.kernel.percpu import PerCpu

PREEMPT_MASK = 0x000000FF
SOFTIRQ_MASK = 0x0000FF00
HARDIRQ_MASK = 0x000F0000
NMI_MASK = 0x00F00000
PREEMPT_OFFSET = 1
SOFTIRQ_OFFSET = 0x100
SOFTIRQ_DISABLE_OFFSET = 2 * SOFTIRQ_OFFSET
HARDIRQ_OFFSET = 0x10000
NMI_OFFSET = 0x100000


class Kind:
    """What a Python frame says about the frames that it called. No Enum: boot has no time for it.

    LEAVING  the interrupt is over: what it runs now is no part of it any more
    """

    HARDIRQ: Final = "hardirq"
    SOFTIRQ: Final = "softirq"
    NMI: Final = "nmi"
    TASK: Final = "task"
    LEAVING: Final = "leaving"


# Where each context is entered. Every one of them has the CPU in a local variable `this`.
_ENTRIES = {
    "EdgeGate.fire": Kind.HARDIRQ,
    "Entry._common_interrupt": Kind.HARDIRQ,
    "Entry._spurious_interrupt": Kind.HARDIRQ,
    "Entry._system_interrupt": Kind.HARDIRQ,
    "Entry._irq_exit": Kind.LEAVING,
    "KThread._run": Kind.TASK,
    "NapiGate.fire": Kind.SOFTIRQ,
    "SuspectGate.fire": Kind.HARDIRQ,
    "Nmis._run": Kind.NMI,
    "Softirqs._begin": Kind.SOFTIRQ,
    "Softirqs._run": Kind.SOFTIRQ,
    "Softirqs.irq_exit": Kind.LEAVING,
}
_COUNTS = {
    Kind.HARDIRQ: HARDIRQ_OFFSET,
    Kind.SOFTIRQ: SOFTIRQ_OFFSET,
    Kind.NMI: NMI_OFFSET + HARDIRQ_OFFSET,
}
# Callers that have left the rest to what they call, and are counted there.
_SAME = {("NapiGate.fire", "EdgeGate.fire"), ("Softirqs._begin", "Softirqs._run")}
_PACKAGE = "pseudokern."


class Level:
    """One context that this CPU is in, and the frame that entered it."""

    __slots__ = ("frame", "kind")

    def __init__(self, kind: str, frame: FrameType) -> None:
        self.kind = kind
        self.frame = frame


def levels(kernel: "Kernel", frame: FrameType | None = None) -> tuple["PerCpu", list[Level]]:
    """This CPU, and the contexts that it is in, the innermost first.

    They are looked for from frame on, or the caller's. A softirq that was put off runs without
    telling kernel.this: its frame knows.
    """
    found: list[Level] = []
    this: PerCpu | None = None
    leaving = False
    inner = ""
    frame = frame or sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_qualname
        kind = _ENTRIES.get(name)
        if kind is not None and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
            if kind == Kind.LEAVING:
                leaving = True
            elif this is not None and frame.f_locals.get("this") is not this:
                break  # what another CPU does
            else:
                this = this or frame.f_locals.get("this")
                if kind == Kind.HARDIRQ and leaving:
                    leaving = False
                elif (name, inner) not in _SAME:
                    found.append(Level(kind, frame))
            if kind == Kind.TASK:
                break
        inner = name
        frame = frame.f_back
    return this or kernel.this, found


def this_cpu(kernel: "Kernel") -> "PerCpu":
    """The CPU that runs the caller; from any context."""
    return levels(kernel, sys._getframe(1))[0]


def preempt_count(kernel: "Kernel") -> int:
    """The count of the code that runs now, on the CPU that it runs on. From any context."""
    return frames_preempt_count(kernel, sys._getframe(1))


def frames_preempt_count(kernel: "Kernel", frame: FrameType | None) -> int:
    """The count of the code in frame, which may have been left by an exception."""
    this, inner = levels(kernel, frame)
    return this.preempt_count + sum(_COUNTS.get(level.kind, 0) for level in inner)


def in_hardirq(kernel: "Kernel") -> bool:
    return bool(preempt_count(kernel) & HARDIRQ_MASK)


def in_softirq(kernel: "Kernel") -> bool:
    """In a softirq, or with bottom halves disabled."""
    return bool(preempt_count(kernel) & SOFTIRQ_MASK)


def in_serving_softirq(kernel: "Kernel") -> bool:
    return bool(preempt_count(kernel) & SOFTIRQ_OFFSET)


def in_nmi(kernel: "Kernel") -> bool:
    return bool(preempt_count(kernel) & NMI_MASK)


def in_interrupt(kernel: "Kernel") -> bool:
    """In a hard interrupt, a softirq or an NMI, or with bottom halves disabled."""
    return bool(preempt_count(kernel) & (NMI_MASK | HARDIRQ_MASK | SOFTIRQ_MASK))


def in_task(kernel: "Kernel") -> bool:
    return not preempt_count(kernel) & (NMI_MASK | HARDIRQ_MASK | SOFTIRQ_OFFSET)


def in_atomic(kernel: "Kernel") -> bool:
    """Whether the code that runs now may not be switched away from."""
    return preempt_count(kernel) != 0


def irqs_disabled(kernel: "Kernel") -> bool:
    """Whether this CPU takes no interrupts now. From any context."""
    this, inner = levels(kernel, sys._getframe(1))
    for level in inner:
        if level.kind == Kind.HARDIRQ:
            return level.frame not in this.irqs_enabled_in
        if level.kind == Kind.NMI:
            return True
        if level.kind == Kind.SOFTIRQ:
            break
    return this.irqs_disabled


def preempt_disable(kernel: "Kernel") -> None:
    """Keep the code that runs on its CPU. Nests. From any context."""
    preempt_count_add(kernel, PREEMPT_OFFSET)


def preempt_enable(kernel: "Kernel") -> None:
    preempt_count_add(kernel, -PREEMPT_OFFSET)


def local_bh_disable(kernel: "Kernel") -> None:
    """Let softirqs of this CPU wait. Nests. Not from a hard interrupt."""
    this, inner = levels(kernel, sys._getframe(1))
    if not this.preempt_count & SOFTIRQ_MASK and not is_serving(inner):
        kernel.softirqs.hold(this)
    preempt_count_add(kernel, SOFTIRQ_DISABLE_OFFSET)


def local_bh_enable(kernel: "Kernel") -> None:
    """Let softirqs run again: those that wait run within a nanosecond."""
    preempt_count_add(kernel, -SOFTIRQ_DISABLE_OFFSET)
    this, inner = levels(kernel, sys._getframe(1))
    if not this.preempt_count & SOFTIRQ_MASK and not is_serving(inner):
        kernel.softirqs.let_go(this)


def is_serving(inner: list[Level]) -> bool:
    """Whether a softirq is among these contexts, or an interrupt: none would run in it anyway."""
    return any(level.kind != Kind.TASK for level in inner)


def preempt_count_add(kernel: "Kernel", count: int) -> None:
    """Change what is counted explicitly; a softirq that leaves it changed is told of."""
    this, inner = levels(kernel, sys._getframe(1))
    before = this.preempt_count
    this.preempt_count += count
    if inner and inner[0].kind == Kind.SOFTIRQ:
        from pseudokern.kernel.leaks import watch_softirq  # few machines ever come here

        watch_softirq(kernel, inner[0].frame, before)


def local_irq_disable(kernel: "Kernel") -> None:
    """Take no interrupts on this CPU but NMIs. Does not nest. From any context."""
    _set_irqs(kernel, sys._getframe(1), enabled=False)


def local_irq_enable(kernel: "Kernel") -> None:
    """Take interrupts again, at once. In a hard handler: those of higher classes nest."""
    _set_irqs(kernel, sys._getframe(1), enabled=True)


def local_irq_save(kernel: "Kernel") -> bool:
    """local_irq_disable(); what it returns is for local_irq_restore()."""
    was_enabled = not irqs_disabled(kernel)
    local_irq_disable(kernel)
    return was_enabled


def local_irq_restore(kernel: "Kernel", flags: bool) -> None:
    if flags:
        local_irq_enable(kernel)


def _set_irqs(kernel: "Kernel", caller: FrameType, *, enabled: bool) -> None:
    this, found = levels(kernel, caller)
    inner = next((level for level in found if level.kind != Kind.TASK), None)
    if inner is not None and inner.kind == Kind.NMI:
        return  # IF does not matter to what runs, and IRET brings the old one back
    if inner is not None and inner.kind == Kind.HARDIRQ:
        enabled_in = this.irqs_enabled_in
        if (inner.frame in enabled_in) != enabled:
            enabled_in.append(inner.frame) if enabled else enabled_in.remove(inner.frame)
            kernel.set_handler_window(this, inner.frame, enabled)
    elif this.irqs_disabled == enabled:
        this.irqs_disabled = not enabled
        kernel.set_interrupt_flag(this, enabled)
