"""Keep a descriptor for every interrupt number.

Follows kernel/irq/irqdesc.c and include/linux/irqdesc.h. Numbers below gsi_top belong to pins;
others are handed out from there, the lowest free range first.
"""

import errno
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NewType, Protocol

from pseudokern.irq.action import IrqAction
from pseudokern.irq.flags import IrqData, IrqState, Trigger
from pseudokern.irq.irqchip import IrqChip, NoChip
from pseudokern.kernel.cpumask import CpuMask, first_cpu
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.kthread import KEvent, KThreads

if TYPE_CHECKING:
    from pseudokern.irq.bad import BadIrqs
    from pseudokern.irq.domain import IrqDomain
    from pseudokern.irq.notify import AffinityNotifier

Irq = NewType("Irq", int)
FlowHandler = Callable[["IrqDesc"], None]

_NO_CHIP = NoChip()
NR_IRQS_LEGACY = 16
MAX_NAMELEN = 128
IRQ_FILES = {
    "affinity_hint",
    "effective_affinity",
    "effective_affinity_list",
    "node",
    "smp_affinity",
    "smp_affinity_list",
    "spurious",
}
BAD_ANSWERS_REPORTED = 100


class CountSource(Protocol):
    """Something that counted interrupts of a line by itself and can hand them over."""

    @property
    def packets_to_fold(self) -> int:
        """Packets of polls that it has counted, and not handed over yet."""

    def fold(self) -> None:
        """Add the counts to the descriptor's, and begin again at zero."""

    def remove(self) -> None:
        """Fold, and count no more."""


def handle_bad_irq(desc: "IrqDesc") -> None:
    """What a line without a flow handler does: count, and say so."""
    desc.table.report_bad_irq(desc)
    desc.count(desc.table.kernel.this.cpu)
    desc.table.ack_bad_irq()


class IrqDesc:
    """One interrupt: its chip, its flow, its handlers, its counts, where it may go.

    depth          how often it is disabled; 0 is enabled
    affinity       where it may go: what was asked for
    pending_mask   where it shall go when its next interrupt comes
    effective_affinity   where it really goes
    proc_mode      mode of its smp_affinity, fixed when /proc/irq/N was made; 0: there is none
    threads_oneshot  bits of the actions whose threads keep a ONESHOT line masked
    threads_active   thread runs that are asked for or going on
    threads_handled  thread runs that handled something
    notifier       who is told when the affinity changes
    percpu_enabled  the CPUs that have enabled their own part of a per-CPU line
    parent         of a nested line: the one whose thread calls its handlers
    last_unhandled  jiffies of the last interrupt that nobody handled
    """

    __slots__ = (
        "_kstat", "_total", "actions", "affinity", "affinity_hint", "chip", "chip_data", "depth",
        "domain", "dstate", "effective_affinity", "flow_name", "fast_counts", "handle_irq", "hwirq",
        "irq", "irq_count", "irqs_unhandled", "istate", "last_unhandled", "node",
        "notifier", "parent", "pending_mask", "percpu_enabled", "proc_mode", "settings", "table",
        "threads_active", "threads_handled", "threads_handled_last", "threads_oneshot", "trigger",
        "wake_depth",
    )  # fmt: skip

    def __init__(self, table: "IrqTable", irq: Irq, node: int, affinity: CpuMask) -> None:
        self.table = table
        self.irq = irq
        self.node = node
        self.chip: IrqChip = _NO_CHIP
        self.chip_data: object = None
        self.domain: IrqDomain | None = None
        self.parent: IrqDesc | None = None
        self.percpu_enabled: CpuMask = 0
        self.notifier: AffinityNotifier | None = None
        self.hwirq = 0
        self.handle_irq: FlowHandler = handle_bad_irq
        self.flow_name = ""
        self.actions: list[IrqAction] = []
        self.depth = 1
        self.wake_depth = 0
        self.settings = 0
        self.trigger = Trigger.NONE
        self.istate = IrqState.NONE
        self.dstate = IrqData.IRQ_DISABLED | IrqData.IRQ_MASKED
        self.affinity = affinity
        self.pending_mask: CpuMask = 0
        self.effective_affinity: CpuMask = 0
        self.affinity_hint: CpuMask = 0
        self.irq_count = 0
        self.irqs_unhandled = 0
        self.last_unhandled = 0
        self.threads_oneshot = 0
        self.threads_active = 0
        self.threads_handled = 0
        self.threads_handled_last = 0
        self.proc_mode = 0
        self.fast_counts: CountSource | None = None
        self._kstat = [0] * table.kernel.nr_cpu_ids
        self._total = 0

    def count(self, cpu: int) -> None:
        """Count one interrupt on cpu."""
        self._kstat[cpu] += 1
        self._total += 1

    def count_many(self, cpu: int, times: int) -> None:
        """Count what a fast path collected."""
        self._kstat[cpu] += times
        self._total += times

    @property
    def kstat_irqs(self) -> list[int]:
        """Interrupts so far on each possible CPU. Not to be changed by the reader."""
        if self.fast_counts is not None:
            self.fast_counts.fold()
        return self._kstat

    @property
    def total(self) -> int:
        """Interrupts so far on all CPUs."""
        if self.fast_counts is not None:
            self.fast_counts.fold()
        return self._total

    @property
    def is_disabled(self) -> bool:
        return bool(self.dstate & IrqData.IRQ_DISABLED)

    @property
    def is_masked(self) -> bool:
        return bool(self.dstate & IrqData.IRQ_MASKED)

    @property
    def is_managed(self) -> bool:
        return bool(self.dstate & IrqData.AFFINITY_MANAGED)

    @property
    def is_level(self) -> bool:
        return bool(self.dstate & IrqData.LEVEL)

    @property
    def can_set_affinity(self) -> bool:
        """Whether anybody may; the chip has to be able to."""
        return self.chip.can_set_affinity and not self.dstate & IrqData.PER_CPU

    @property
    def user_can_set_affinity(self) -> bool:
        """Whether a write to smp_affinity may succeed."""
        fixed = IrqData.AFFINITY_MANAGED | IrqData.NO_BALANCING
        return self.can_set_affinity and not self.dstate & fixed

    def changed(self) -> None:
        """Tell whoever built something from this descriptor's state to build it again."""
        self.table.on_change(self)


class IrqTable:
    """Every descriptor, by number.

    on_change   called with a descriptor whose state changed
    resend      replays an interrupt in software; cancel_resend forgets that again
    ack_bad_irq  ends an interrupt that no chip will
    schedule_work  has a function called later, in process context
    force_irqthreads  threadirqs: every handler that can be is run in a thread
    noirqdebug  no line is judged by the spurious detector
    irqfixup    1: other lines are tried for an interrupt that nobody handled; 2: also for others
    start_polling, poll_others  what poll.py does
    has_proc    /proc/irq is there; what was requested before it has no directory of its own
    bad_answers_to_report  how many impossible answers of handlers the log still takes
    thread_waiters  who waits until no thread of a line runs
    lost        interrupts that ended here without a handler, by place
    generation  changes when a descriptor or a handler comes or goes
    start_affinity  where lines are to go when they are started, if not by default
    gsi_top  the first number that belongs to no pin
    nr_irqs  how many numbers the system advertises; grows when allocation goes past it
    """

    def __init__(self, kernel: Kernel, gsi_top: int, nr_legacy: int) -> None:
        self.kernel = kernel
        self.kthreads = KThreads(kernel)
        self.force_irqthreads = False
        self.noirqdebug = False
        self.irqfixup = 0
        self.start_polling: Callable[[], None] = lambda: None
        self.poll_others: Callable[[IrqDesc], int] = lambda _desc: 0
        self.gsi_top = gsi_top
        self.nr_irqs = _nr_irqs(gsi_top, nr_legacy, kernel.nr_cpu_ids)
        self.default_affinity: CpuMask = kernel.possible
        self.start_affinity: Mapping[int, CpuMask] = {}
        self.retired_counts = 0
        self.on_change: Callable[[IrqDesc], None] = lambda _desc: None
        self.resend: Callable[[IrqDesc], None] = lambda _desc: None
        self.schedule_work: Callable[[Callable[[], None]], None] = kernel.soon
        self.ack_bad_irq: Callable[[], None] = lambda: None
        self.cancel_resend: Callable[[IrqDesc], None] = lambda _desc: None
        self.thread_waiters: dict[IrqDesc, list[KEvent]] = {}
        self.lost: Counter[str] = Counter()
        self.bad_answers_to_report = BAD_ANSWERS_REPORTED
        self.generation = 0
        self.has_proc = False
        self._bad_irqs: BadIrqs | None = None
        self._descs: dict[Irq, IrqDesc] = {}
        self._in_order: list[IrqDesc] | None = []

    def __iter__(self) -> Iterator[IrqDesc]:
        """All descriptors in ascending order."""
        if self._in_order is None:
            self._in_order = [self._descs[irq] for irq in sorted(self._descs)]
        return iter(self._in_order)

    def __len__(self) -> int:
        return len(self._descs)

    def __getitem__(self, irq: Irq) -> IrqDesc:
        return self._descs[irq]

    def get(self, irq: Irq) -> IrqDesc | None:
        return self._descs.get(irq)

    def find(self, irq: Irq) -> IrqDesc:
        """The descriptor of irq. EINVAL: there is none."""
        desc = self._descs.get(irq)
        if desc is None:
            raise OSError(errno.EINVAL, f"no interrupt {irq}")
        return desc

    def alloc_at(self, irq: Irq, node: int) -> IrqDesc:
        """Make the descriptor of a pin, or of any number. EEXIST: it is there already."""
        if irq in self._descs:
            raise OSError(errno.EEXIST, f"interrupt {irq} exists")
        self.nr_irqs = max(self.nr_irqs, irq + 1)
        desc = self._insert(irq, node, self.default_affinity)
        self._set_start_affinity(desc)
        return desc

    def alloc_descs(
        self,
        count: int,
        node: int,
        affinities: list[tuple[CpuMask, bool]] | None = None,
        first: int = 0,
    ) -> list[IrqDesc]:
        """Make count descriptors with consecutive numbers, the lowest free range from first on.

        affinities gives each its mask and whether it is managed; then the node is that of the
        mask's first CPU.
        """
        start = self.free_range(count, first)
        descs = []
        for offset in range(count):
            irq = Irq(start + offset)
            if affinities is None:
                descs.append(self._insert(irq, node, self.default_affinity))
                self._set_start_affinity(descs[-1])
                continue
            mask, managed = affinities[offset]
            home = self.kernel.node_of(first_cpu(mask)) if mask else node
            desc = self._insert(irq, home, mask)
            desc.dstate |= IrqData.AFFINITY_SET
            if managed:
                desc.dstate |= IrqData.AFFINITY_MANAGED | IrqData.MANAGED_SHUTDOWN
            else:
                self._set_start_affinity(desc)
            descs.append(desc)
        self.nr_irqs = max(self.nr_irqs, start + count)
        return descs

    def start_at(self, affinity: Mapping[int, CpuMask]) -> None:
        """Say where lines are to go when they are started, those that exist and those to come."""
        self.start_affinity = affinity
        for desc in self:
            self._set_start_affinity(desc)

    def _set_start_affinity(self, desc: IrqDesc) -> None:
        mask = self.start_affinity.get(desc.irq)
        if mask is not None and not desc.dstate & IrqData.ACTIVATED:
            desc.affinity = mask
            desc.dstate |= IrqData.AFFINITY_SET

    def free_desc(self, desc: IrqDesc) -> None:
        """Give the number back. The sum of /proc/stat keeps what the line counted."""
        self.retired_counts += desc.total
        if desc.istate & IrqState.PENDING and not desc.is_level:
            self.lost["pending at a line that went"] += 1
        del self._descs[desc.irq]
        self._in_order = None
        self.generation += 1

    def init_irq_proc(self) -> None:
        """Make /proc/irq, with a directory for every line that has a controller by now."""
        self.has_proc = True
        for desc in self:
            self.register_irq_proc(desc, None)

    def register_irq_proc(self, desc: IrqDesc, action: IrqAction | None) -> None:
        """Make the directory of a line, and of a handler whose name is not there yet."""
        self.generation += 1
        if not self.has_proc or isinstance(desc.chip, NoChip):
            return
        if not desc.proc_mode:
            desc.proc_mode = 0o644 if desc.user_can_set_affinity else 0o444
        if action is not None and action.name:
            name = action.name[: MAX_NAMELEN - 1]
            taken = {other.proc_name for other in desc.actions} | IRQ_FILES
            if name not in taken and "/" not in name:
                action.proc_name = name

    def report_bad_irq(self, desc: IrqDesc) -> None:
        """Say what a line is like whose interrupt nobody can handle."""
        if self._bad_irqs is None:
            from pseudokern.irq.bad import BadIrqs  # there should be none

            self._bad_irqs = BadIrqs(self)
        self._bad_irqs.report(desc)

    def _insert(self, irq: Irq, node: int, affinity: CpuMask) -> IrqDesc:
        desc = self._descs[irq] = IrqDesc(self, irq, node, affinity)
        self._in_order = None
        self.generation += 1
        return desc

    def free_range(self, count: int, first: int = 0) -> int:
        """The lowest count consecutive numbers from first on that nobody has."""
        start = max(first or self.gsi_top, 1)  # a dynamic interrupt is never 0
        while taken := [n for n in range(start, start + count) if Irq(n) in self._descs]:
            start = taken[-1] + 1
        return start


def _nr_irqs(gsi_top: int, nr_legacy: int, nr_cpu_ids: int) -> int:
    """arch_probe_nr_irqs() of arch/x86/kernel/apic/vector.c."""
    wanted = gsi_top + nr_legacy + 8 * nr_cpu_ids
    wanted += 8 * nr_cpu_ids if gsi_top <= NR_IRQS_LEGACY else 16 * gsi_top
    return min(wanted, 256 * nr_cpu_ids)
