"""Say what a CPU has spent its time with, to the nanosecond.

Follows kernel/sched/cputime.c with CONFIG_IRQ_TIME_ACCOUNTING: what interrupts take is taken from
whoever runs, and belongs to no task.

An interrupt is charged as a whole when it comes, and so is a run of softirqs. So nanoseconds that
are charged may still be to come: those until the CPU is free of both.
"""

from typing import TYPE_CHECKING, NamedTuple

from pseudokern.kernel.softirq import HELD_NS

if TYPE_CHECKING:
    from pseudokern.kernel.kernel import Kernel
    from pseudokern.kernel.percpu import PerCpu


class IrqTime(NamedTuple):
    """What interrupts, and the host, have taken of a CPU until now, without what is to come."""

    hardirq_ns: int
    softirq_ns: int
    steal_ns: int


def irq_time(kernel: "Kernel", this: "PerCpu") -> IrqTime:
    """Bring the times of one CPU up to date. From any context."""
    now_ns, steal_ns = kernel.timeline.now_ns, this.steal_ns
    handler_end_ns = kernel.fold_irq_time(this)
    if this.is_stolen:  # what it was at goes on when it is back
        steal_ns -= this.away_until_ns - now_ns
        now_ns = this.away_until_ns
    hard_ahead_ns = max(0, handler_end_ns - now_ns)
    soft_ahead_ns = max(0, kernel.softirqs.end_ns(this) - max(now_ns, handler_end_ns))
    # A CPU that hangs for ever is not charged for it.
    hardirq_ns = max(0, this.hardirq_ns - hard_ahead_ns)
    return IrqTime(hardirq_ns, max(0, this.softirq_ns - soft_ahead_ns), steal_ns)


def unclaimed(kernel: "Kernel", this: "PerCpu") -> tuple[int, int]:
    """Time of a CPU in which it was on and that nobody is charged with, and when it is free.

    While it is idle that time grows. What it grows by while a task runs is the task's.
    """
    free_ns = kernel.timeline.now_ns
    if (handler_end_ns := kernel.fold_irq_time(this)) > free_ns:
        free_ns = handler_end_ns
    if (softirq_end_ns := this.softirq_end_ns) > free_ns:
        if softirq_end_ns >= HELD_NS:
            softirq_end_ns = max(free_ns, kernel.softirqs.end_ns(this))
        free_ns = softirq_end_ns
    charged_ns = this.hardirq_ns + this.softirq_ns + this.user_ns + this.system_ns
    charged_ns += this.steal_ns
    return free_ns - this.offline_ns - charged_ns, free_ns
