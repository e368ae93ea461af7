"""Describe a recorded machine as a machine file.

A recording says what is: rows, chips, numbers, masks. A machine file says what brings that about:
devices in an order, a topology. What does not follow by itself is written out, and what was not
recorded is assumed, with a comment that says so. Whether it came out right is found by booting it
(fs/likeness.py), which is how Learned comes about.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pseudokern.irq.desc import NR_IRQS_LEGACY
from pseudokern.kernel.cpumask import (
    CpuMask,
    cpulist_format,
    cpulist_parse,
    cpumask_parse,
)
from pseudokern.machine.description import ROW_LABELS
from pseudokern.machine.snapshot_board import Board, cpu_table, read_board
from pseudokern.machine.snapshot_caches import cache_table
from pseudokern.machine.snapshot_devices import read_devices
from pseudokern.machine.snapshot_files import Recording
from pseudokern.machine.snapshot_functions import REMAPPED, Recorded, message_place
from pseudokern.machine.snapshot_lines import FAULTS_OF_UNIT
from pseudokern.machine.snapshot_memory import memory_table
from pseudokern.machine.snapshot_rows import Interrupts, Row, printable, read_interrupts
from pseudokern.machine.snapshot_times import elapsed_between_s, uptime_s, user_share
from pseudokern.machine.snapshot_toml import comment, toml_table
from pseudokern.machine.topology import ORDERS

_NO_FAULTS = "intel_iommu=off"  # which remaps still, and requests no interrupt of its own
PINS = 24
WIRED = ("IO-APIC", "IR-IO-APIC", "XT-PIC")
ROWS_OF_A_PC = [label for label in ROW_LABELS if label not in ("HYP", "HRE", "HVS", "PMN")]
FASTEST_HZ = 9_000_000.0


@dataclass(frozen=True)
class Learned:
    """What booting an earlier try has shown: what does not come out by itself.

    affinity, effective  masks that would be others
    plain                functions whose guessed device has other rows
    nr_irqs              a number that gives the right width
    remarks              differences that stay
    """

    affinity: Mapping[int, CpuMask] = field(default_factory=dict)
    effective: Mapping[int, CpuMask] = field(default_factory=dict)
    default: CpuMask = 0
    plain: frozenset[str] = frozenset()
    nr_irqs: int = 0
    remarks: tuple[str, ...] = ()


class Snapshot:
    """A recording, and if there is one a second, of the same machine a while later.

    interval_s  between the two; None: as their /proc/uptime or /proc/stat say
    InterruptsError  there is no /proc/interrupts in it that could be read
    """

    def __init__(
        self,
        recording: Recording,
        again: Recording | None = None,
        interval_s: float | None = None,
        where: str = "",
    ) -> None:
        self.recording = recording
        self.where = where
        self.interrupts = read_interrupts(recording.files.get("proc/interrupts", ""))
        self.board: Board = read_board(recording, self.interrupts.cpus)
        self.rows = _all_rows(self.interrupts, recording)
        self.assumed = [*self.interrupts.assumed, *self.board.assumed]
        self._caches = cache_table(recording, self.board)
        if not self._caches:
            self.assumed.append(
                "caches: usual sizes; what /sys says of cpu0/cache was not recorded"
            )
        if recording.fixed is None and self.masked:
            text = (
                "managed: only the queues of NVMe drives; the modes of the files were not recorded"
            )
            self.assumed.append(text)
        self.kernel = self._kernel()
        self._again = again
        self._rates_hz = self._rates(again, interval_s)
        self._user = user_share(recording, again)

    @property
    def cpus(self) -> int:
        return self.board.topology.plugged_in

    def mask(self, irq: int, name: str) -> CpuMask:
        """A mask of /proc/irq/N, from its list or its hexadecimal file; 0 if it is not known."""
        return read_mask(self.recording, f"proc/irq/{irq}/{name}", self.cpus)

    @cached_property
    def masked(self) -> list[int]:
        """Interrupts whose smp_affinity is known."""
        return [irq for irq in sorted(self.rows) if self.mask(irq, "smp_affinity")]

    @cached_property
    def managed(self) -> dict[int, CpuMask]:
        """Interrupts that the kernel keeps, with their masks."""
        fixed = self.recording.fixed
        if fixed is None:
            return {
                irq: self.mask(irq, "smp_affinity")
                for irq, row in self.rows.items()
                if _looks_managed(row) and self.mask(irq, "smp_affinity")
            }
        return {
            irq: self.mask(irq, "smp_affinity")
            for irq in fixed
            if irq in self.rows
            and message_place(self.rows[irq]) is not None
            and self.mask(irq, "smp_affinity")
        }

    def describe(self, learned: Learned = Learned()) -> str:
        """The machine file."""
        devices = read_devices(self._recorded(learned))
        parts = [self._opening(learned), self._machine_table(learned)]
        cpu = cpu_table(self.recording)
        if cpu:
            parts.append(toml_table("[cpu]", cpu))
        if self._caches:
            parts.append(toml_table("[cache]", self._caches))
        parts.append(toml_table("[load]", self._load_table()))
        parts += self._affinity_tables(learned)
        parts += [
            (comment(device.note) if device.note else "") + toml_table("[[device]]", device.values)
            for device in devices
        ]
        return "\n".join(parts)

    @cached_property
    def hints(self) -> dict[int, CpuMask]:
        """Where drivers would like their interrupts to go."""
        masks = {irq: self.mask(irq, "affinity_hint") for irq in sorted(self.rows)}
        return {irq: mask for irq, mask in masks.items() if mask}

    @property
    def is_remapped(self) -> bool:
        """Whether interrupts go through a remapping unit, which the names of chips show."""
        return any(row.chip.startswith(REMAPPED) for row in self.rows.values())

    def _recorded(self, learned: Learned) -> Recorded:
        remapped = self.is_remapped
        return Recorded(
            recording=self.recording,
            rows={
                irq: row._replace(chip=row.chip.removeprefix(REMAPPED) if remapped else row.chip)
                for irq, row in self.rows.items()
            },
            rates_hz=self._rates_hz,
            managed=self.managed,
            hints=self.hints,
            nodes=self.board.topology.nodes,
            online=self.board.online,
            plain=learned.plain,
            remapped=remapped,
        )

    def _opening(self, learned: Learned) -> str:
        release = re.match(r"Linux version (\S+)", self.recording.get("proc/version"))
        what = f"Linux {_short(release[1])}" if release else "a machine whose kernel is not known"
        text = comment(f"A snapshot of {what}{self.where}: {self.size}.")
        text += "# Try:  pseudokern check FILE\n#       pseudokern boot FILE\n"
        text += "# Look at /proc/interrupts: its rows, chips and names are the recorded ones.\n"
        notes = [f"assumed: {what}" for what in self.assumed]
        notes += [f"different: {what}" for what in learned.remarks]
        return text + "".join(["#\n", *map(comment, notes)] if notes else [])

    @property
    def size(self) -> str:
        """How large it is, in words."""
        rows = len(self.interrupts.rows)
        return f"{self.cpus} CPU{'s' * (self.cpus != 1)}, {rows} row{'s' * (rows != 1)}"

    def _machine_table(self, learned: Learned) -> str:
        table, notes = self._cpus_table(), {}
        table |= memory_table(self.recording, self.board.topology)
        table["kernel"] = self.kernel
        cmdline = self.recording.get("proc/cmdline")
        if not cmdline.isprintable():
            cmdline = ""
        if self.is_remapped:
            table["iommu"] = "intel"
            if not any(FAULTS_OF_UNIT in row.names for row in self.rows.values()):
                cmdline = f"{cmdline} {_NO_FAULTS}".strip()
                notes["cmdline"] = f"assumed: {_NO_FAULTS}, for there is no row of dmar0"
        if cmdline:
            table["cmdline"] = cmdline
        table["hz"] = 250
        notes["hz"] = "assumed: no file says CONFIG_HZ"
        table |= self._lines()
        if learned.nr_irqs:
            table["nr_irqs"] = learned.nr_irqs
            notes["nr_irqs"] = f"assumed: numbers are {self.interrupts.width} digits wide"
        labels = [label for label in self.interrupts.labels if label in ROW_LABELS]
        if labels and labels != ROWS_OF_A_PC:
            table["rows"] = labels
        return toml_table("[machine]", table, notes)

    def _cpus_table(self) -> dict[str, object]:
        """The keys of [machine] that say which CPUs there are."""
        board = self.board.topology
        table: dict[str, object] = {"cpus": board.plugged_in}
        if board.efficient_cores:
            table |= {"cores": board.cores, "threads": board.threads}
            table["efficient_cores"] = board.efficient_cores
        elif board.sockets * board.threads * board.nodes > 1:
            table |= {"sockets": board.sockets, "cores": board.cores, "threads": board.threads}
        if board.dies > 1:
            table["dies"] = board.dies
        if board.nodes != board.sockets:
            table["nodes"] = board.nodes
        if board.order != ORDERS[0]:
            table["order"] = board.order
        if board.possible_cpus > board.plugged_in:
            table["possible_cpus"] = board.possible_cpus
        offline = (1 << board.plugged_in) - 1 & ~self.board.online & ~1
        if offline:
            table["offline"] = cpulist_format(offline)
        return table

    def _lines(self) -> dict[str, object]:
        """ioapics, pic, level_isa."""
        table: dict[str, object] = {}
        chips = {row.chip.removeprefix(REMAPPED) for row in self.rows.values()}
        pins = [
            row.irq
            for row in self.rows.values()
            if row.chip in WIRED and row.hwirq == row.irq and row.irq >= PINS
        ]
        words = self.recording.get("proc/cmdline").split()
        if "XT-PIC" in chips and "IO-APIC" not in chips:
            if not {"noapic", "nolapic", "nosmp"} & set(words):
                table["ioapics"] = 0
        elif pins and max(pins) < 64 * PINS and _first_message(self.rows) > max(pins):
            table["ioapics"] = max(pins) // PINS + 1
        if not self._has_pic():
            table["pic"] = False
        level = [
            row.irq
            for row in sorted(self.rows.values())
            if 0 < row.irq < 16 and row.flow in ("fasteoi", "level") and row.chip in WIRED
        ]
        if level and level != [9]:
            table["level_isa"] = level
        return table

    def _has_pic(self) -> bool:
        """Whether interrupts 0 to 15 exist from the start."""
        if any(path.startswith("sys/kernel/irq/") for path in self.recording.files):
            return "sys/kernel/irq/0/hwirq" in self.recording.files or 0 in self.rows
        low = [row for row in self.rows.values() if row.irq < NR_IRQS_LEGACY]
        if any(row.chip not in WIRED for row in low):
            return False
        return bool(low) or not any(row.chip in WIRED for row in self.rows.values())

    def _load_table(self) -> dict[str, object]:
        user = f"{min(self._user * 100, 100):.3g}%" if "e" not in f"{self._user:.3g}" else "0%"
        return {"user": user}

    def _affinity_tables(self, learned: Learned) -> list[str]:
        tables = []
        wanted: dict[str, object] = {}
        if learned.default:
            wanted["default"] = cpulist_format(learned.default)
        wanted |= {str(irq): cpulist_format(mask) for irq, mask in learned.affinity.items()}
        if wanted:
            tables.append(toml_table("[affinity]", wanted))
        effective = {str(irq): cpulist_format(mask) for irq, mask in learned.effective.items()}
        if effective:
            tables.append(toml_table("[effective_affinity]", effective))
        return tables

    def _kernel(self) -> str:
        """Whose formats are the nearest: what the rows look like says more than a version."""
        version = re.match(
            r"Linux version (\d{1,2})\.(\d{1,3})", self.recording.get("proc/version")
        )
        release = (int(version[1]), int(version[2])) if version else None
        if any(
            row.chip in ("PCI-MSI", "IR-PCI-MSI") and row.hwirq is not None
            for row in self.rows.values()
        ):
            nearest = "6.1"
        elif self.interrupts.gap == 1 and not (release and release < (6, 13)):
            nearest = "6.18"
        elif release is None or (6, 2) <= release < (6, 15) or self.interrupts.gap == 2:
            nearest = "6.12"
        else:
            nearest = "6.18" if release >= (6, 15) else "6.1"
        if release is None:
            self.assumed.append(f"kernel: {nearest}, from what the rows look like")
        elif f"{release[0]}.{release[1]}" != nearest:
            text = f"kernel: {nearest} is the nearest to {release[0]}.{release[1]} of those known"
            self.assumed.append(text)
        return nearest

    def _rates(self, again: Recording | None, interval_s: float | None) -> dict[int, float]:
        totals = {irq: row.total for irq, row in self.interrupts.rows.items()}
        if again is not None:
            later = read_interrupts(again.files.get("proc/interrupts", "")).rows
            elapsed_s = interval_s or elapsed_between_s(self.recording, again)
            if elapsed_s is None:
                raise SnapshotError(
                    "the two recordings do not say how much time lies between them; "
                    "say it, such as --interval 10s"
                )
            counted = {
                irq: (later[irq].total - total) % 2**32
                for irq, total in totals.items()
                if irq in later
            }
        else:
            elapsed_s = uptime_s(self.recording)
            if elapsed_s is None:
                self.assumed.append("rates: none; two recordings would tell them (--again)")
                return {}
            text = "rates: averages since boot; two recordings would tell those of now (--again)"
            self.assumed.append(text)
            counted = totals
        return {irq: min(count / elapsed_s, FASTEST_HZ) for irq, count in counted.items() if count}


class SnapshotError(ValueError):
    """Recordings that do not go together: what is wrong, and what to do."""


def read_mask(recording: Recording, path: str, cpus: int) -> CpuMask:
    """The CPUs of a mask's file or of the list beside it; 0 if neither is there or makes sense."""
    for text, parse in (
        (recording.get(f"{path}_list"), cpulist_parse),
        (recording.get(path), cpumask_parse),
    ):
        if re.fullmatch(r"[0-9a-f,-]{1,4096}", text) and (text.strip("0,") or text == "0"):
            try:
                mask = parse(text.encode(), cpus)
            except OSError:
                continue
            if mask:
                return mask
    return 0


def _all_rows(interrupts: Interrupts, recording: Recording) -> dict[int, Row]:
    """The rows, and the descriptors without one: known to /sys/kernel/irq alone."""
    rows = {irq: row for irq, row in interrupts.rows.items() if row.chip}
    for path in recording.files:
        match = re.fullmatch(r"sys/kernel/irq/([0-9]{1,6})/chip_name", path)
        if match is None or int(match[1]) in rows:
            continue
        directory = path.removesuffix("/chip_name")
        hwirq = recording.get(f"{directory}/hwirq")
        names = recording.get(f"{directory}/actions")
        rows[int(match[1])] = Row(
            int(match[1]),
            recording.get(path),
            int(hwirq) if re.fullmatch(r"[0-9]{1,19}", hwirq) else None,
            recording.get(f"{directory}/name"),
            tuple(printable(name) for name in names.split(",")) if names else (),
        )
    return {irq: row for irq, row in rows.items() if row.chip and row.chip.isprintable()}


def _looks_managed(row: Row) -> bool:
    """Where modes were not recorded: the queues of a drive, as the kernel's own drivers ask."""
    return len(row.names) == 1 and bool(re.fullmatch(r"nvme[0-9]+q[1-9][0-9]*", row.names[0]))


def _first_message(rows: Mapping[int, Row]) -> int:
    return min((irq for irq, row in rows.items() if "MSI" in row.chip), default=1 << 30)


def _short(text: str) -> str:
    return printable(text)[:80]
