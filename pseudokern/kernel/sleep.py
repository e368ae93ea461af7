"""Complain, as Linux does, when code sleeps that must not.

Follows __might_resched() and __schedule_bug() of kernel/sched/core.c, with
CONFIG_DEBUG_ATOMIC_SLEEP, and msleep() of kernel/time/sleep_timeout.c.

Nothing is stopped by a complaint: what would sleep goes on without it.
"""

import sys
from pathlib import PurePath
from types import FrameType
from typing import TYPE_CHECKING

from pseudokern.kernel.context import in_interrupt, irqs_disabled, preempt_count
from pseudokern.kernel.kthread import Sleep
from pseudokern.kernel.printk import Level
from pseudokern.kernel.warn import dump_stack, print_modules, task_of

if TYPE_CHECKING:
    from pseudokern.kernel.kernel import Kernel

NS_PER_MS = 1_000_000
_BETWEEN = "pseudokern.module."


def might_sleep(kernel: "Kernel", place: str = "") -> None:
    """Say that the caller may sleep. In atomic context: the report, at most once a second.

    place is the file and line that it names: the caller's, unless somebody knows better. From any
    context.
    """
    count, disabled = preempt_count(kernel), irqs_disabled(kernel)
    if not count and not disabled:
        return
    if kernel.might_sleep_told is not None and kernel.jiffies < kernel.might_sleep_told + kernel.hz:
        return
    kernel.might_sleep_told = kernel.jiffies
    if not place:
        place = _place_of(sys._getframe(1))
    pid, comm = task_of(kernel)
    lines = (
        f"BUG: sleeping function called from invalid context at {place}",
        f"in_atomic(): {int(count != 0)}, irqs_disabled(): {int(disabled)}, non_block: 0,"
        f" pid: {pid}, name: {comm}",
        f"preempt_count: {count:x}, expected: 0",
    )
    for line in lines:
        kernel.log.printk(Level.ERR, line)
    dump_stack(kernel)
    kernel.taint.add("W")


def _place_of(caller: FrameType | None) -> str:
    """File and line of who called; of a module's author, not of what stands in between."""
    while caller is not None and caller.f_globals.get("__name__", "").startswith(_BETWEEN):
        caller = caller.f_back
    return f"{PurePath(caller.f_code.co_filename).name}:{caller.f_lineno}" if caller else "?"


def schedule_bug(kernel: "Kernel", count: int) -> None:
    """The scheduler was called by code with this preempt_count, which is not 0."""
    pid, comm = task_of(kernel)
    # schedule() has disabled preemption once more when it notices.
    text = f"BUG: scheduling while atomic: {comm}/{pid}/0x{count + 1:08x}"
    kernel.log.printk(Level.ERR, text)
    print_modules(kernel)
    dump_stack(kernel)
    kernel.taint.add("W")


def msleep(kernel: "Kernel", duration_ms: int) -> Sleep:
    """Await this to sleep so long. In an interrupt it does not, and the log says so."""
    if in_interrupt(kernel):
        schedule_bug(kernel, preempt_count(kernel))
    return Sleep(duration_ms * NS_PER_MS)
