"""Keep other CPUs out of a piece of code that may not sleep.

Follows kernel/locking/spinlock.c, spin_bug() of kernel/locking/spinlock_debug.c, and the one rule
of kernel/locking/lockdep.c that interrupts are about: a lock that a hard interrupt takes must be
taken with interrupts off everywhere else, one that a softirq takes with bottom halves off.

lockdep finds a lock that breaks the rule when both uses were seen, whether they ever met or not,
and then looks no further. Where they meet, the CPU spins for ever: the watchdogs notice.
"""

import sys
from enum import Enum
from typing import TYPE_CHECKING, NoReturn
from zlib import crc32

from pseudokern.kernel.context import (
    PREEMPT_OFFSET,
    Kind,
    in_task,
    irqs_disabled,
    levels,
    local_bh_disable,
    local_bh_enable,
    local_irq_restore,
    local_irq_save,
    preempt_count,
    preempt_count_add,
)
from pseudokern.kernel.panic import CpuHangsError
from pseudokern.kernel.printk import Level
from pseudokern.kernel.stack import call_trace, symbol
from pseudokern.kernel.warn import dump_stack, print_taint, task_of

if TYPE_CHECKING:
    from pseudokern.kernel.kernel import Kernel
    from pseudokern.kernel.percpu import PerCpu

FOR_EVER_NS = 1 << 60


class Usage(Enum):
    """In which context a lock was taken; the names are lockdep's."""

    IN_HARDIRQ = "IN-HARDIRQ-W"
    IN_SOFTIRQ = "IN-SOFTIRQ-W"
    HARDIRQ_ON = "HARDIRQ-ON-W"
    SOFTIRQ_ON = "SOFTIRQ-ON-W"


_CONFLICTS = {
    Usage.IN_HARDIRQ: Usage.HARDIRQ_ON,
    Usage.HARDIRQ_ON: Usage.IN_HARDIRQ,
    Usage.IN_SOFTIRQ: Usage.SOFTIRQ_ON,
    Usage.SOFTIRQ_ON: Usage.IN_SOFTIRQ,
}


class SpinLock:
    """A lock that is waited for by spinning; name is how lockdep calls it."""

    def __init__(self, kernel: "Kernel", name: str) -> None:
        self.name = name
        self._kernel = kernel
        self._owner: PerCpu | None = None
        self._owner_task = (0, "")
        self._uses: dict[Usage, list[str]] = {}

    @property
    def is_locked(self) -> bool:
        return self._owner is not None

    def lock(self) -> None:
        """spin_lock(): from any context, but see the rule above."""
        kernel = self._kernel
        this, inner = levels(kernel, sys._getframe(1))
        if kernel.lockdep:
            self._check(inner[0].kind if inner else None)
        if self._owner is not None:
            self._spin(this)
        preempt_count_add(kernel, PREEMPT_OFFSET)
        self._owner, self._owner_task = this, task_of(kernel)

    def unlock(self) -> None:
        self._owner = None
        preempt_count_add(self._kernel, -PREEMPT_OFFSET)

    def lock_irqsave(self) -> bool:
        """spin_lock_irqsave(): what it returns is for unlock_irqrestore()."""
        flags = local_irq_save(self._kernel)
        self.lock()
        return flags

    def unlock_irqrestore(self, flags: bool) -> None:
        self.unlock()
        local_irq_restore(self._kernel, flags)

    def lock_bh(self) -> None:
        """spin_lock_bh(): no softirq of this CPU comes in between."""
        local_bh_disable(self._kernel)
        self.lock()

    def unlock_bh(self) -> None:
        self.unlock()
        local_bh_enable(self._kernel)

    def _spin(self, this: "PerCpu") -> NoReturn:
        """Wait for who cannot go on: this CPU is the owner, or the owner waits for this instant."""
        kernel = self._kernel
        owner, (pid, comm) = self._owner, self._owner_task
        assert owner is not None
        if owner is this:
            here_pid, here = task_of(kernel)
            address = f"ffff8881{crc32(self.name.encode()):08x}"
            text = (
                f"BUG: spinlock recursion on CPU#{this.cpu}, {here}/{here_pid}\n"
                f" lock: {address}, .magic: dead4ead, .owner: {comm}/{pid}, .owner_cpu: {owner.cpu}"
            )
            kernel.log.printk(Level.EMERG, text)
            dump_stack(kernel)
        spin = symbol("native_queued_spin_lock_slowpath", "")
        kernel.stuck_at[this.cpu] = [spin, *call_trace(sys._getframe(2), with_callee=True)]
        if not in_task(kernel) or irqs_disabled(kernel):
            kernel.occupy(this, FOR_EVER_NS)  # a thread that spins can be interrupted
        raise CpuHangsError(f"CPU {this.cpu} spins on {self.name}")

    # -- lockdep -------------------------------------------------------------------------------

    def _check(self, kind: str | None) -> None:
        """mark_lock(): note how the lock is used now, and whether that goes with the rest."""
        kernel = self._kernel
        uses = set()
        if kind == Kind.HARDIRQ:
            uses.add(Usage.IN_HARDIRQ)
        elif kind == Kind.SOFTIRQ:
            uses.add(Usage.IN_SOFTIRQ)
        elif not preempt_count(kernel) & 0xFF00:
            uses.add(Usage.SOFTIRQ_ON)
        if not irqs_disabled(kernel):
            uses.add(Usage.HARDIRQ_ON)
        else:
            uses.discard(Usage.SOFTIRQ_ON)
        for use in sorted(uses, key=lambda use: use.value):
            other = _CONFLICTS[use]
            if use not in self._uses and other in self._uses and kernel.lockdep:
                kernel.lockdep = False
                self._report(other, use)
            self._uses.setdefault(use, call_trace())

    def _report(self, before: Usage, now: Usage) -> None:
        """print_usage_bug()."""
        kernel = self._kernel
        pid, comm = task_of(kernel)
        count = preempt_count(kernel)
        in_hard, in_soft = bool(count & 0xF0000), bool(count & 0x100)
        state = (
            f"[HC{int(in_hard)}[{int(in_hard)}]:SC{int(in_soft)}[{int(in_soft)}]"
            f":HE{int(not irqs_disabled(kernel))}:SE{int(not count & 0xFF00)}]"
        )
        hard = "?" if Usage.IN_HARDIRQ in (before, now) else "-"
        soft = "?" if Usage.IN_SOFTIRQ in (before, now) else "-"
        where = (call_trace(sys._getframe(3)) or ["unknown"])[0]
        lines = [
            "",
            "================================",
            "WARNING: inconsistent lock state",
            f"{kernel.release} #1 {print_taint(kernel)}",
            "--------------------------------",
            f"inconsistent {{{before.value}}} -> {{{now.value}}} usage.",
            f"{comm}/{pid} {state} takes:",
            f"ffff8881{crc32(self.name.encode()):08x} (&{self.name}){{{hard}.{soft}.}}-{{2:2}},"
            f" at: {where}",
            f"{{{before.value}}} state was registered at:",
            *(f"  {line}" for line in self._uses[before]),
            "",
            "other info that might help us debug this:",
            " Possible unsafe locking scenario:",
            "",
            "       CPU0",
            "       ----",
            f"  lock(&{self.name});",
            "  <Interrupt>",
            f"    lock(&{self.name});",
            "",
            " *** DEADLOCK ***",
            "",
            "",
            "stack backtrace:",
        ]
        for line in lines:
            kernel.log.printk(Level.WARNING, line)
        dump_stack(kernel)
