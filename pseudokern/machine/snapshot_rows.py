"""Read the text of /proc/interrupts, of any Linux on x86 and in whatever state it was pasted.

What is understood besides the plain file: no header, lines that a terminal or a mail program has
wrapped, blanks that were squeezed, columns of CPUs that are offline, and the formats of old
(IO-APIC-edge) and new kernels.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

MOST_CPUS = 1024
LARGEST_IRQ = 524_542

_LABEL = re.compile(r"^\s*([0-9]{1,7}|[A-Z][A-Z0-9]{2,4}):(?=\s|$)(.*)$")
_CPU = re.compile(r"CPU([0-9]{1,5})$")
_COUNTS = re.compile(r"((?:\s+[0-9]{1,20}(?=\s|$))*)(.*)$", re.DOTALL)
_WITH_HWIRQ = re.compile(r"^(\S.*?)\s+([0-9]{1,19})?-([a-z][a-z_]*)(?:\s+(.*))?$")
_OLD_STYLE = re.compile(r"^(\S+)-(edge|level|fasteoi)(?:\s+(.*))?$")
_WITH_TRIGGER = re.compile(r"^(\S+)\s+([0-9]{1,19})\s+(?:Level|Edge)(?:\s+(\S.*))?$")
_TRIGGER = re.compile(r"\s[0-9]+\s+(?:Level|Edge)\s")
_WITHOUT_FLOW = re.compile(r"^(\S+)(?:\s+([0-9]{1,19}))?(?:\s{2,}(\S.*))?$")


class InterruptsError(ValueError):
    """Text that is not /proc/interrupts, or not enough of it: what is wrong, in one line."""


class Row(NamedTuple):
    """One numbered row. chip and names are empty where the line was cut off."""

    irq: int
    chip: str
    hwirq: int | None
    flow: str
    names: tuple[str, ...]
    counts: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        """On all CPUs that are shown."""
        return sum(self.counts)


@dataclass
class Interrupts:
    """What the file says.

    cpus     those of the columns
    labels   of the rows that have a name instead of a number, in their order
    assumed  what it does not say, and was taken for granted, in words
    """

    cpus: list[int]
    rows: dict[int, Row] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    width: int = 3
    gap: int | None = None  # blanks before a chip's name that is 8 letters or longer
    assumed: list[str] = field(default_factory=list)

    def count(self, irq: int, cpu: int) -> int:
        """How often an interrupt came on a CPU. KeyError, ValueError: there is no such row, CPU."""
        return self.rows[irq].counts[self.cpus.index(cpu)]


def read_interrupts(text: str) -> Interrupts:
    """The rows of a file. InterruptsError: there is none that could be read."""
    if "\0" in text:
        raise InterruptsError("this is binary, not the text of /proc/interrupts")
    lines = _unwrapped([line.rstrip() for line in text.replace("\r", "").split("\n")])
    header, cpus = _header(lines)
    labelled = [match for line in lines[header:] if (match := _LABEL.match(line))]
    if not labelled:
        if not text.strip():
            raise InterruptsError("there is nothing in it")
        raise InterruptsError('no line begins like a row of /proc/interrupts, such as " 24:"')
    found = Interrupts(cpus)
    if not cpus:
        found.cpus = _guessed_cpus(labelled)
        found.assumed.append(
            f"the header is missing: {len(found.cpus)} columns are taken for CPU 0 and up"
        )
    _read_rows(found, labelled)
    if not found.rows and not cpus:
        raise InterruptsError("it has no row with a number; paste the file from its first line on")
    if found.rows and not any(row.chip for row in found.rows.values()):
        raise InterruptsError(
            "its lines are cut off before the names; write it to a file instead: "
            "cat /proc/interrupts > interrupts.txt"
        )
    found.width = max(3, Counter(_width(match) for match in labelled).most_common(1)[0][0])
    return found


def _read_rows(found: Interrupts, labelled: list[re.Match[str]]) -> None:
    cut, strange, triggers = 0, 0, 0
    for match in labelled:
        label = match[1]
        if not label.isdigit():
            if label not in found.labels:
                found.labels.append(label)
            continue
        if int(label) > LARGEST_IRQ:
            strange += 1
            continue
        row, gap = _row(int(label), match[2], len(found.cpus))
        if row.irq in found.rows:
            strange += 1
            continue
        found.rows[row.irq] = row
        cut += not row.chip
        triggers += bool(_TRIGGER.search(match[2]))
        if gap is not None and found.gap is None and len(row.chip) > 8:
            found.gap = gap
    if cut:
        found.assumed.append(f"{cut} rows were cut off before their names, and are left out")
    if triggers:
        found.assumed.append("rows say Level or Edge, as those of other processors: left out")
    if strange:
        found.assumed.append(f"{strange} rows came twice or had impossible numbers: left out")


def _row(irq: int, rest: str, columns: int) -> tuple[Row, int | None]:
    """The row, and the blanks before its chip."""
    # At most as many as there are columns: a chip's name could begin like a number.
    counted = re.match(rf"(?:\s+[0-9]{{1,20}}(?=\s|$)){{0,{columns}}}", rest)
    counts = counted[0].split() if counted else []
    tail = rest[counted.end() :] if counted else rest
    gap = len(tail) - len(tail.lstrip())
    chip, hwirq, flow, names = _description(tail.strip())
    return Row(irq, chip, hwirq, flow, names, tuple(map(int, counts))), gap if chip else None


def _description(text: str) -> tuple[str, int | None, str, tuple[str, ...]]:
    """Chip, hardware number, flow, handlers."""
    if not text:
        return "", None, "", ()
    for pattern in (_WITH_HWIRQ, _OLD_STYLE, _WITH_TRIGGER, _WITHOUT_FLOW):
        match = pattern.match(text)
        if match is None:
            continue
        if pattern is _WITH_HWIRQ:
            chip, hwirq, flow, names = match.groups()
        elif pattern is _OLD_STYLE:
            (chip, flow, names), hwirq = match.groups(), None
        else:
            (chip, hwirq, names), flow = match.groups(), ""
        return (
            printable(chip),
            None if hwirq is None else int(hwirq),
            flow,
            tuple(printable(name) for name in (names or "").strip().split(", ") if name),
        )
    return "", None, "", ()


def printable(text: str) -> str:
    """Text that may stand in a machine file."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _header(lines: list[str]) -> tuple[int, list[int]]:
    """Where the rows begin, and the CPUs of the columns; none if there is no header."""
    for number, line in enumerate(lines):
        words = line.split()
        cpus = [int(match[1]) for word in words if (match := _CPU.match(word))]
        if cpus and len(cpus) >= len(words) - 1:
            ascending = all(a < b for a, b in pairwise(cpus))
            if not ascending or cpus[-1] >= MOST_CPUS:
                raise InterruptsError(
                    f"its header names CPU {max(cpus)}; at most {MOST_CPUS} CPUs can be simulated"
                    if cpus[-1] >= MOST_CPUS
                    else "the CPUs of its header are not in order"
                )
            return number + 1, cpus
    return 0, []


def _guessed_cpus(labelled: list[re.Match[str]]) -> list[int]:
    """As many columns as most numbered rows have counts."""
    counts = Counter(
        len(match_counts[1].split())
        for match in labelled
        if match[1] not in ("ERR", "MIS") and (match_counts := _COUNTS.match(match[2]))
    )
    columns = counts.most_common(1)[0][0] if counts else 0
    return list(range(min(max(columns, 1), MOST_CPUS)))


def _width(match: re.Match[str]) -> int:
    return len(match[0]) - len(match[2]) - 1


def _unwrapped(lines: list[str]) -> list[str]:
    """Join what was wrapped: a line that is neither header nor row goes on with the one before.

    A terminal wraps in the middle of words, and all its lines are then of one length.
    """
    longest = max(map(len, lines), default=0)
    joined: list[str] = []
    full = False
    for line in lines:
        words = line.split()
        is_header = bool(words) and all(_CPU.match(word) for word in words)
        if not words:
            full = False
        elif _LABEL.match(line) or not joined or not joined[-1].strip():
            joined.append(line)
        elif is_header:
            if all(_CPU.match(word) for word in joined[-1].split()):
                joined[-1] += " " + line.strip()
            else:
                joined.append(line)
        elif _has_row(joined[-1:]) or full:
            joined[-1] += line if full else "  " + line.strip()
        else:
            joined.append(line)
        full = len(line) == longest and longest >= 40
    return joined


def _has_row(lines: list[str]) -> bool:
    return any(_LABEL.match(line) for line in lines)
