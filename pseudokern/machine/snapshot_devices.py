"""Decide which devices stand behind the rows of a recording.

A PCI function's messages become the device whose driver would name and number them so; where none
does, drivers/recorded.py, which says each row as it was. A wired line becomes the device of its
handlers' names, or drivers/recorded_line.py.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pseudokern.kernel.cpumask import cpulist_format
from pseudokern.machine.snapshot_functions import (
    Function,
    Recorded,
    Vector,
    read_functions,
    share_lines,
)
from pseudokern.machine.snapshot_known import DRIVERS, known_device
from pseudokern.machine.snapshot_lines import lines_without_function

NOWHERE = (-1, 0)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,62}")


@dataclass
class DeviceTable:
    """A [[device]] of the machine file. note: a comment for above it.

    at  its place among the others: its first interrupt, and which handler there; -1 without any
    """

    at: tuple[int, int]
    values: dict[str, object]
    note: str = ""


def read_devices(recorded: Recorded) -> list[DeviceTable]:
    """All devices, in the order of their interrupts."""
    functions = read_functions(recorded)
    messages = {irq for function in functions for irq in function.irqs}
    lines = {irq: row for irq, row in recorded.rows.items() if row.chip and irq not in messages}
    share_lines(functions, lines)
    tables = [table for function in functions for table in _device_of(function, recorded)]
    tables += [
        DeviceTable((irq, 0), values)
        for irq, values in lines_without_function(lines, functions, recorded)
    ]
    names: set[str] = set()
    for table in sorted(tables, key=lambda table: table.at):
        name = _file_name(str(table.values["name"]))
        number = 2
        while name in names:
            name, number = f"{_file_name(str(table.values['name']))[:58]}-{number}", number + 1
        table.values["name"] = name
        names.add(name)
    return sorted(tables, key=lambda table: table.at)


def _device_of(function: Function, recorded: Recorded) -> Iterator[DeviceTable]:
    """The [[device]] of a function."""
    base: dict[str, object] = {"bdf": function.bdf, **function.identity}
    line_gsi = function.line if 16 <= function.line < 24 else 0
    if line_gsi and function.line not in function.irqs:
        base["gsi"] = line_gsi
    note = f"assumed: {function.assumed} were not recorded" if function.assumed else ""
    first = min(function.irqs, default=-1)
    known = None if function.bdf in recorded.plain else known_device(function, recorded)
    if known is not None:
        if first >= 0:
            base["irq"] = first
        if not function.has_pin:
            base["gsi"] = 0
        name = known.pop("name")
        driver = known.pop("driver")
        values = {"name": name, "driver": driver, **base, **known}
        yield DeviceTable(_place(function, recorded), values, note)
        return
    if not function.vectors and not function.line_names and not function.linux_driver:
        values = {"name": f"pci-{function.bdf}", "driver": f"{DRIVERS}.pci_function", **base}
        yield DeviceTable(NOWHERE, values, note)
        return
    values = {
        "name": _base_name(function),
        "driver": f"{DRIVERS}.recorded",
        **base,
    }
    if function.linux_driver:
        values["linux_driver"] = function.linux_driver
    if function.vectors:
        if function.kind == "msi":
            values["messages"] = "msi"
        values["vectors"] = [_vector(vector, recorded) for vector in function.vectors]
    if function.line_names:
        values["intx"] = function.line_names
        if rate_text := recorded.rate(function.line):
            values["rate"] = rate_text
    elif line_gsi and function.linux_driver:
        values["pin"] = True
    yield DeviceTable(_place(function, recorded), values, note)


def _vector(vector: Vector, recorded: Recorded) -> dict[str, object]:
    table: dict[str, object] = {"irq": vector.irq, "index": vector.index}
    if vector.name:
        table["name"] = vector.name
    if rate_text := recorded.rate(vector.irq):
        table["rate"] = rate_text
    if vector.irq in recorded.managed:
        table["managed"] = cpulist_format(recorded.managed[vector.irq])
    if vector.irq in recorded.hints:
        table["hint"] = cpulist_format(recorded.hints[vector.irq])
    return table


def _place(function: Function, recorded: Recorded) -> tuple[int, int]:
    """Where it comes in the file: by its first message, or by its handler on the line."""
    if function.irqs:
        return min(function.irqs), 0
    row = recorded.rows.get(function.line)
    if row is None:
        return NOWHERE
    names = function.line_names
    return row.irq, row.names.index(names[0]) if names else len(row.names)


def _base_name(function: Function) -> str:
    """The longest beginning that the names of its vectors share, or else its address."""
    names = [vector.name for vector in function.vectors if vector.name] or function.line_names
    if not names:
        return f"pci-{function.bdf}"
    shortest = min(names, key=len)
    length = next(
        (n for n in range(len(shortest)) if any(name[n] != shortest[n] for name in names)),
        len(shortest),
    )
    word = shortest[:length].rstrip("-_.@:[0123456789" if len(names) > 1 else "-_.@:[")
    if word and len(names) > 1 and shortest[len(word) : length].rstrip("-_.@:[").isdigit():
        word = shortest[:length].rstrip("-_.@:[")
    return word or f"pci-{function.bdf}"


def _file_name(name: str) -> str:
    """A name that a device may have."""
    name = re.sub(r"[^A-Za-z0-9._:@-]", "-", name).lstrip("._:@-")[:60]
    return name if _NAME.fullmatch(name) else "device"
