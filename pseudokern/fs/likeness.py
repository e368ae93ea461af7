"""Find in what a booted machine differs from the recording that it was described from.

Boots what Snapshot.describe() wrote, compares what both print, and describes again with what was
learned: masks that would be others, devices that were guessed wrong. What still differs is said in
the file.
"""

import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from pseudokern.fs.interrupts import number_width, records_interrupts
from pseudokern.irq.desc import Irq, IrqDesc
from pseudokern.irq.manage import irq_affinity_shown
from pseudokern.kernel.cpumask import CpuMask
from pseudokern.machine.description import Description, load
from pseudokern.machine.machine import Machine
from pseudokern.machine.snapshot import Learned, Snapshot, read_mask
from pseudokern.machine.snapshot_functions import message_place
from pseudokern.machine.snapshot_rows import Row, read_interrupts

MOST_TRIES = 5
PATIENCE = 2  # tries in which only lines that are elsewhere are put on their CPU
SEED = 0
MOST_REMARKS = 12
WIDTHS = {3: 424, 4: 1000, 5: 10_000, 6: 100_000}  # digits of a number: an nr_irqs that has them


@dataclass(frozen=True)
class Proven:
    """A machine file, and the description that it makes."""

    text: str
    description: Description
    remarks: tuple[str, ...]


def prove(snapshot: Snapshot) -> Proven:
    """The machine file of a snapshot, booted and corrected until it is like the recording.

    DescriptionErrors  what was recorded cannot be written as a machine file
    """
    learned = Learned()
    text = ""
    for number in range(MOST_TRIES):
        text = snapshot.describe(learned)
        machine = Machine(_load(text), SEED)
        found = _compare(snapshot, machine, learned, every_cpu=number >= PATIENCE)
        for thread in list(machine.irqs.kthreads.by_pid.values()):
            thread.stop()  # a machine that is thrown away leaves none behind that waits
        if found == learned:
            break
        learned = found
        text = snapshot.describe(learned)
    return Proven(text, _load(text), learned.remarks)


def _load(text: str) -> Description:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "snapshot.toml"
        path.write_text(text)
        return load(path)


def _compare(snapshot: Snapshot, machine: Machine, learned: Learned, *, every_cpu: bool) -> Learned:
    """What is to be learned from this boot, with what was known before.

    every_cpu  note the CPU of every line if one is on another: each that is noted alone leaves a
               vector free, into which others move
    """
    text = b"".join(records_interrupts(machine)).decode(errors="replace")
    ours = read_interrupts(text)
    theirs = snapshot.interrupts
    plain, remarks = set(learned.plain), []
    for irq in sorted(theirs.rows.keys() | ours.rows.keys()):
        before, here = theirs.rows.get(irq), ours.rows.get(irq)
        if (before is None or before.chip) and _shown(before) != _shown(here):
            place = message_place(before) if before is not None else None
            if place is None and here is not None:
                place = message_place(here)
            if place is not None and place[1] not in plain:
                plain.add(place[1])
            else:
                what = f"recorded {_shown(before) or 'no row'}, here {_shown(here) or 'no row'}"
                remarks.append(f"interrupt {irq}: {what}")
    if ours.cpus != theirs.cpus:
        remarks.append("the CPUs of the columns are others")
    unknown = [label for label in theirs.labels if label not in ours.labels]
    if unknown:
        remarks.append(f"rows {', '.join(unknown)} are not simulated")
    nr_irqs = learned.nr_irqs
    if number_width(machine.irqs.nr_irqs) != theirs.width:
        nr_irqs = WIDTHS.get(theirs.width, 0)
    if len(remarks) > MOST_REMARKS:
        more = len(remarks) - MOST_REMARKS
        remarks[MOST_REMARKS:] = [f"and {more} interrupts more"]
    found = replace(learned, plain=frozenset(plain), nr_irqs=nr_irqs, remarks=tuple(remarks))
    return _compare_masks(snapshot, machine, found, every_cpu=every_cpu)


def _compare_masks(
    snapshot: Snapshot, machine: Machine, learned: Learned, *, every_cpu: bool
) -> Learned:
    affinity, effective = dict(learned.affinity), dict(learned.effective)
    recorded: dict[int, CpuMask] = {}
    plain = set(learned.plain)
    for irq in snapshot.masked:
        desc = machine.irqs.get(Irq(irq))
        if desc is None:
            continue
        wanted = snapshot.mask(irq, "smp_affinity")
        if desc.is_managed or irq in snapshot.managed:
            _compare_managed(snapshot, desc, plain)
        elif irq_affinity_shown(desc) != wanted and desc.can_set_affinity:
            affinity[irq] = wanted
        target = snapshot.mask(irq, "effective_affinity")
        if target.bit_count() == 1 and desc.actions and desc.user_can_set_affinity:
            recorded[irq] = target
            if target != desc.effective_affinity:
                effective[irq] = target
    if every_cpu and effective != learned.effective:
        effective = recorded
    default = read_mask(snapshot.recording, "proc/irq/default_smp_affinity", snapshot.cpus)
    if default in (0, machine.irqs.default_affinity):
        default = learned.default
    return replace(
        learned,
        affinity=dict(sorted(affinity.items())),
        effective=dict(sorted(effective.items())),
        default=default,
        plain=frozenset(plain),
    )


def _compare_managed(snapshot: Snapshot, desc: IrqDesc, plain: set[str]) -> None:
    """A managed mask cannot be written: a device that has another one was guessed wrong."""
    is_alike = irq_affinity_shown(desc) == snapshot.mask(desc.irq, "smp_affinity")
    if is_alike and desc.is_managed == (desc.irq in snapshot.managed):
        return
    place = message_place(snapshot.rows[desc.irq])
    if place is not None:
        plain.add(place[1])


def _shown(row: Row | None) -> str:
    """A row without its counts."""
    if row is None:
        return ""
    hwirq = "" if row.hwirq is None else str(row.hwirq)
    flow = f"-{row.flow}" if row.flow else ""
    return re.sub(" +", " ", f"{row.chip} {hwirq}{flow} {', '.join(row.names)}").strip()
