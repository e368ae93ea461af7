"""Say what devices interrupt on lines that no function of a recording is wired to."""

import re
from collections.abc import Iterator, Mapping

from pseudokern.machine.snapshot_functions import Function, Recorded
from pseudokern.machine.snapshot_known import DRIVERS, with_rate
from pseudokern.machine.snapshot_rows import Row

TIMER_PIN = 2
MOST_BOOT_TICKS = 200  # a second of boot has no more at 250 Hz
FAULTS_OF_UNIT = "dmar0"


def lines_without_function(
    lines: Mapping[int, Row], functions: list[Function], recorded: Recorded
) -> Iterator[tuple[int, dict[str, object]]]:
    """Devices that are on no bus, and whatever else interrupts: the line of each, and its keys."""
    taken = {(function.line, name) for function in functions for name in function.line_names}
    is_keyboard = all(
        irq in lines and lines[irq].names == ("i8042",) and _is_isa(lines[irq]) for irq in (1, 12)
    )
    for irq, row in sorted(lines.items()):
        names = [name for name in row.names if (irq, name) not in taken]
        if row.names and not names:
            continue
        if irq == 2 and row.names == ("cascade",):
            continue  # the 8259 pair brings it along
        if recorded.remapped and row.names == (FAULTS_OF_UNIT,):
            continue  # the remapping unit brings it along
        if is_keyboard and irq == 12:
            continue
        if irq < 16 and not row.names and _is_isa(row):
            continue  # a line of a PC, which is there whether used or not
        yield irq, _line_device(irq, row, names, recorded, is_keyboard=is_keyboard)


def _is_isa(row: Row) -> bool:
    """A line that a PC has, where it has it."""
    if row.chip == "XT-PIC":
        return row.irq < 16
    pin = TIMER_PIN if row.irq == 0 else row.irq
    return row.chip == "IO-APIC" and row.irq < 16 and row.hwirq in (pin, None)


def _line_device(
    irq: int, row: Row, names: list[str], recorded: Recorded, *, is_keyboard: bool
) -> dict[str, object]:
    rate_text = recorded.rate(irq)
    if _is_isa(row) and len(names) == 1:
        name = names[0]
        if irq == 0 and name == "timer":
            ticks = min(row.total, MOST_BOOT_TICKS)
            return {"name": "timer", "driver": f"{DRIVERS}.timer", "boot_ticks": ticks}
        if irq == 1 and is_keyboard:
            table: dict[str, object] = {"name": "i8042", "driver": f"{DRIVERS}.i8042"}
            for key, number in (("keyboard_rate", 1), ("mouse_rate", 12)):
                if key_rate := recorded.rate(number):
                    table[key] = key_rate
            return table
        if re.fullmatch(r"ttyS[0-9]+", name) and row.flow in ("edge", ""):
            table = {"name": name, "driver": f"{DRIVERS}.uart", "gsi": irq}
            return with_rate(table, rate_text)
        if name == "rtc0" and row.flow in ("edge", ""):
            return with_rate({"name": name, "driver": f"{DRIVERS}.rtc", "gsi": irq}, rate_text)
        if name == "acpi" and not rate_text and row.flow in ("fasteoi", ""):
            return {"name": name, "driver": f"{DRIVERS}.acpi", "gsi": irq}
    table = {
        "name": f"irq{irq}",
        "driver": f"{DRIVERS}.recorded_line",
        "irq": irq,
        "chip": row.chip,
    }
    if row.hwirq is not None:
        table["hwirq"] = row.hwirq
    elif row.chip == "IO-APIC":
        table["hwirq"] = TIMER_PIN if irq == 0 else irq
    table["flow"] = row.flow
    table["names"] = names
    node = recorded.recording.get(f"proc/irq/{irq}/node")
    if node.isdigit() and int(node) < recorded.nodes:
        table["node"] = int(node)
    return with_rate(table, rate_text)
