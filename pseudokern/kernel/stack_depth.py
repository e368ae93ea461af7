"""Let code use up its stack: 16 KiB for a task, and 16 KiB for all interrupts of a CPU.

Follows arch/x86/kernel/irq_64.c and exc_double_fault() of arch/x86/kernel/traps.c: below each
stack is a page that is not mapped. Whoever gets there faults, faults again when the CPU wants to
save its registers there, and ends on the stack of the double fault.

Python frames say how deep the calls are, not how much they keep: FRAME_BYTES each, and what is
declared comes on top. Only who declares something, or recurses until Python gives up, overflows.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from pseudokern.kernel.context import Kind, levels
from pseudokern.kernel.oops import die, stack_guard_page

if TYPE_CHECKING:
    from pseudokern.kernel.kernel import Kernel

STACK_BYTES = 16 << 10  # IRQ_STACK_SIZE and THREAD_SIZE on x86-64
FRAME_BYTES = 96  # what a function of a kernel without large variables takes, about

Answer = TypeVar("Answer")


@contextmanager
def local_variables(kernel: "Kernel", size: int) -> Iterator[None]:
    """Keep variables of that size on the stack meanwhile. Too many: KernelPanicError."""
    this, inner = levels(kernel, sys._getframe(2))
    on_irq_stack = any(level.kind in (Kind.HARDIRQ, Kind.SOFTIRQ) for level in inner)
    used = this.stack_used
    used[on_irq_stack] += size
    try:
        if used[on_irq_stack] + _depth(inner[-1].frame if inner else None) > STACK_BYTES:
            stack = "IRQ" if on_irq_stack else "TASK"
            die(kernel, stack_guard_page(stack, this.cpu), on_own_stack=True)
        yield
    finally:
        used[on_irq_stack] -= size


def with_local_variables(
    kernel: "Kernel", handler: Callable[[], Answer], size: int
) -> Callable[[], Answer]:
    """A handler that needs so much of the stack for itself."""

    def call() -> Answer:
        with local_variables(kernel, size):
            return handler()

    call.__name__ = getattr(handler, "__name__", "handler")
    return call


def _depth(outermost: object) -> int:
    """Bytes for the calls that are going on, down to a frame."""
    size = 0
    frame = sys._getframe(3)
    while frame is not outermost and frame.f_back is not None:
        size += FRAME_BYTES
        frame = frame.f_back
    return size if frame is outermost else 0
