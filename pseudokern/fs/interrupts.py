"""Write /proc/interrupts.

Follows kernel/irq/proc.c: show_interrupts(), and arch/x86/kernel/irq.c: arch_show_interrupts().
A row is formatted again only when its total has changed; on a machine of a thousand CPUs that is
what makes the file readable at all.
"""

from collections.abc import Callable
from itertools import chain
from operator import attrgetter, itemgetter
from weakref import WeakKeyDictionary

from pseudokern.fs.profile import PROFILES, Profile
from pseudokern.fs.seq_file import PAGE_SIZE
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.irqchip import NoChip
from pseudokern.kernel.cpumask import cpus_of
from pseudokern.kernel.percpu import UINT_RANGE, SystemCounts
from pseudokern.kernel.printk import encoded
from pseudokern.machine.machine import Machine

SYSTEM_ROWS: tuple[tuple[str, str, str], ...] = (
    ("NMI", "nmi", "Non-maskable interrupts"),
    ("LOC", "apic_timer", "Local timer interrupts"),
    ("SPU", "spurious", "Spurious interrupts"),
    ("PMI", "performance", "Performance monitoring interrupts"),
    ("IWI", "irq_work", "IRQ work interrupts"),
    ("RTR", "icr_retries", "APIC ICR read retries"),
    ("RES", "reschedule", "Rescheduling interrupts"),
    ("CAL", "call_function", "Function call interrupts"),
    ("TLB", "tlb", "TLB shootdowns"),
    ("TRM", "thermal", "Thermal event interrupts"),
    ("THR", "threshold", "Threshold APIC interrupts"),
    ("DFR", "deferred_error", "Deferred Error APIC interrupts"),
    ("MCE", "machine_checks", "Machine check exceptions"),
    ("MCP", "machine_check_polls", "Machine check polls"),
)
POSTED_ROWS: tuple[tuple[str, str, str], ...] = (
    ("PIN", "posted", "Posted-interrupt notification event"),
    ("NPI", "posted_nested", "Nested posted-interrupt event"),
    ("PIW", "posted_wakeup", "Posted-interrupt wakeup event"),
)

# Rows of machines that are not a plain PC, or whose kernel is built otherwise; only if asked for.
OTHER_ROWS: tuple[tuple[str, str, str], ...] = (
    ("HYP", "hypervisor_callback", "Hypervisor callback interrupts"),
    ("HRE", "reenlightenment", "Hyper-V reenlightenment interrupts"),
    ("HVS", "hyperv_stimer0", "Hyper-V stimer0 interrupts"),
)
ROWS_AFTER_POSTED: tuple[tuple[str, str, str], ...] = (
    ("PMN", "posted_msi", "Posted MSI notification event"),
)

Columns = Callable[[list[int]], tuple[int, ...]]
Rows = tuple[tuple[str, str, str], ...]


class _Row:
    """One numbered row, and the total for which its text was made."""

    __slots__ = ("desc", "template", "text", "total")

    def __init__(self, desc: IrqDesc, template: bytes) -> None:
        self.desc = desc
        self.template = template
        self.total = -1
        self.text = b""


class InterruptsFile:
    """/proc/interrupts of one machine."""

    def __init__(self, machine: Machine, profile: Profile) -> None:
        self._machine = machine
        self._profile = profile
        self._built_for: tuple[int, int] = (-1, 0)
        self._header = b""
        self._rows: list[_Row] = []
        self._columns: Columns = tuple
        self._records: list[bytes] = []  # as they were given last; none if they may have changed
        self._counts: list[SystemCounts] = []
        self._system = b""
        self._system_counts: object = None
        self._system_text = b""
        self._before_errors: Rows = SYSTEM_ROWS
        self._behind_errors: Rows = POSTED_ROWS
        if machine.description.rows is not None:
            labels = set(machine.description.rows)
            self._before_errors = _chosen(SYSTEM_ROWS + OTHER_ROWS, labels)
            self._behind_errors = _chosen(POSTED_ROWS + ROWS_AFTER_POSTED, labels)
        elif machine.pc.posts_messages:
            self._behind_errors = POSTED_ROWS + ROWS_AFTER_POSTED
        self._counts_of = _counts_of(self._before_errors + self._behind_errors)

    def records(self) -> list[bytes]:
        """The rows as the kernel's iterator makes them: the header comes with the first one, and
        all the rows without a number are one record. Not to be changed by the reader.

        A text of less than a page is cut nowhere, so it is a single record.
        """
        kernel, irqs = self._machine.kernel, self._machine.irqs
        if self._built_for != (irqs.generation, kernel.online):
            self._build()
            self._built_for = (irqs.generation, kernel.online)
        system = self._system_rows()
        if self._are_rows_new() or system is not self._system_text or not self._records:
            self._system_text = system
            records = self._all_records()
            is_short = sum(map(len, records)) < PAGE_SIZE
            self._records = [b"".join(records)] if is_short else records
        return self._records

    def _are_rows_new(self) -> bool:
        """Format the rows anew whose total has changed, and say whether there were any."""
        columns, are_new = self._columns, False
        for row in self._rows:
            total = row.desc.total
            if total != row.total:
                are_new = True
                row.total = total
                counts = row.desc.kstat_irqs
                if total >= UINT_RANGE:
                    counts = [count % UINT_RANGE for count in counts]
                row.text = row.template % columns(counts)
        return are_new

    def _all_records(self) -> list[bytes]:
        records = [row.text for row in self._rows if row.total or row.desc.actions]
        first = self._rows[0].desc if self._rows else None
        if records and first is not None and first.irq == 0 and first.actions:
            records[0] = self._header + records[0]
        else:
            records.insert(0, self._header)
        return [*records, self._system_text]

    def _build(self) -> None:
        kernel, irqs = self._machine.kernel, self._machine.irqs
        self._records, self._system_counts = [], None
        width = number_width(irqs.nr_irqs)
        online = list(cpus_of(kernel.online))
        self._counts = [kernel.cpus[cpu].counts for cpu in online]
        self._system = self._system_template(len(online), width)
        self._header = b" " * (width + 8) + b"".join(b"CPU%-8d" % cpu for cpu in online) + b"\n"
        if kernel.online == kernel.possible:
            self._columns = tuple
        elif len(online) == 1:
            # mypy infers no type for a lambda with a default.
            self._columns = lambda counts, only=online[0]: (counts[only],)  # type: ignore[misc]
        else:
            self._columns = itemgetter(*online)
        self._rows = [
            _Row(desc, self._template(desc, width, len(online)))
            for desc in irqs
            if self._may_have_row(desc)
        ]

    def _may_have_row(self, desc: IrqDesc) -> bool:
        has_chip = not isinstance(desc.chip, NoChip)
        return has_chip and (bool(desc.actions) or self._profile.rows_of_freed)

    def _template(self, desc: IrqDesc, width: int, columns: int) -> bytes:
        if self._profile.gap_before_counts:
            head = f"{desc.irq:{width}}:" + " %10d" * columns
        else:
            head = f"{desc.irq:{width}}: " + "%10d " * columns
        number = "" if desc.domain is None else str(self._profile.hwirq(desc))
        tail = f" {self._profile.chip_name(desc):>8} {number:>{width}}"
        if desc.flow_name:
            tail += f"-{desc.flow_name:8}"
        names = [action.name or "(null)" for action in desc.actions]
        if names:
            tail += "  " + ", ".join(names)
        return encoded(head + tail.replace("%", "%%") + "\n")

    def _system_template(self, columns: int, width: int) -> bytes:
        """The rows that have a name instead of a number, as one format of all their counts."""
        counts = "%10d " * columns
        before = self._before_errors
        lines = [f"{label:>{width}}: {counts}  {text}\n" for label, _, text in before]
        lines += [f"{label:>{width}}: %10d\n" for label in ("ERR", "MIS")]
        behind = self._behind_errors
        lines += [f"{label:>{width}}: {counts}  {text}\n" for label, _, text in behind]
        return "".join(lines).encode()

    def _system_rows(self) -> bytes:
        """The same object as before if no count has changed."""
        entry = self._machine.pc.entry
        of_cpus = [*map(self._counts_of, self._counts)]
        counts = (of_cpus, entry.errors, entry.mis)
        if counts == self._system_counts:
            return self._system_text
        self._system_counts = counts
        rows = [*zip(*of_cpus, strict=True)]
        before = len(self._before_errors)
        values = [*chain.from_iterable(rows[:before]), entry.errors, entry.mis]
        values += chain.from_iterable(rows[before:])
        if max(values) >= UINT_RANGE:
            values = [value % UINT_RANGE for value in values]
        return self._system % tuple(values)


def _chosen(rows: Rows, labels: set[str]) -> Rows:
    return tuple(row for row in rows if row[0] in labels)


def _counts_of(rows: Rows) -> Callable[[SystemCounts], tuple[int, ...]]:
    """What reads the counts of these rows."""
    names = [attribute for _, attribute, _ in rows]
    if len(names) > 1:
        return attrgetter(*names)
    return lambda counts: tuple(getattr(counts, name) for name in names)


_FILES: WeakKeyDictionary[Machine, InterruptsFile] = WeakKeyDictionary()


def records_interrupts(machine: Machine) -> list[bytes]:
    """The records of a machine's file; what did not change since the last time is reused."""
    file = _FILES.get(machine)
    if file is None:
        file = _FILES[machine] = InterruptsFile(machine, PROFILES[machine.description.kernel])
    return file.records()


def number_width(nr_irqs: int) -> int:
    """Columns of an interrupt's number: three, or as many as nr_irqs has digits."""
    return min(max(3, len(str(nr_irqs))), 10)
