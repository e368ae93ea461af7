"""Decide which devices stand behind the rows of a recording.

A PCI function's messages become the device whose driver would name and number them so; where none
does, drivers/recorded.py, which says each row as it was. A wired line becomes the device of its
handlers' names, or drivers/recorded_line.py.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pseudokern.drivers.nic_styles import STYLES
from pseudokern.hw.msix import MAX_ENTRIES
from pseudokern.irq.desc import NR_IRQS_LEGACY
from pseudokern.kernel.cpumask import CpuMask, cpulist_format
from pseudokern.machine.snapshot_files import Recording
from pseudokern.machine.snapshot_rows import Row
from pseudokern.machine.snapshot_toml import rate

DRIVERS = "pseudokern.drivers"
BUSY_SHARE = 0.01  # of a card's interrupts: so much elsewhere than on its queues is no style's
TIMER_PIN = 2
MOST_BOOT_TICKS = 200  # a second of boot has no more at 250 Hz
MOST_QUEUES = 256
NOWHERE = (-1, 0)
FAULTS_OF_UNIT = "dmar0"
REMAPPED = "IR-"  # before the name of a chip whose interrupts go through a remapping unit

_BDF = r"[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]"
_FUNCTION_CHIP = re.compile(rf"PCI-(MSIX?)-({_BDF})$")
_DEVICE_ID_BITS, _INDEX_BITS = 16, 11
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,62}")
# What handlers are called whose device is of a class; its first two or four digits.
_WORDS_OF_CLASS = {
    "0x02": ("eth", "en", "eno", "ens", "enp", "wl", "wlan"),
    "0x0108": ("nvme",),
    "0x0106": ("ahci",),
    "0x0c03": ("xhci", "ehci", "uhci", "ohci"),
}
_EDU = ("0x1234", "0x11e8")


@dataclass
class Vector:
    """A message of a function."""

    irq: int
    index: int
    name: str


@dataclass
class Function:
    """A PCI function: its identity, its messages, the handlers on its INTx line."""

    bdf: str
    identity: dict[str, object] = field(default_factory=dict)
    linux_driver: str = ""
    kind: str = "msix"
    vectors: list[Vector] = field(default_factory=list)
    line: int = 0
    has_pin: bool = True
    line_names: list[str] = field(default_factory=list)
    assumed: str = ""

    @property
    def irqs(self) -> list[int]:
        return [vector.irq for vector in self.vectors]


@dataclass
class DeviceTable:
    """A [[device]] of the machine file. note: a comment for above it.

    at  its place among the others: its first interrupt, and which handler there; -1 without any
    """

    at: tuple[int, int]
    values: dict[str, object]
    note: str = ""


@dataclass
class Recorded:
    """What devices are made from.

    managed  interrupts that the kernel keeps to itself, with their masks
    plain    functions for which no device is guessed: each is as its rows are
    """

    recording: Recording
    rows: Mapping[int, Row]
    rates_hz: Mapping[int, float]
    managed: Mapping[int, CpuMask]
    hints: Mapping[int, CpuMask]
    nodes: int
    online: CpuMask
    plain: frozenset[str] = frozenset()
    remapped: bool = False

    def rate(self, irq: int) -> str | int:
        return rate(self.rates_hz.get(irq, 0.0))


def read_devices(recorded: Recorded) -> list[DeviceTable]:
    """All devices, in the order of their interrupts."""
    functions = _functions(recorded)
    messages = {irq for function in functions for irq in function.irqs}
    lines = {irq: row for irq, row in recorded.rows.items() if row.chip and irq not in messages}
    _share_lines(functions, lines)
    tables = [table for function in functions for table in _device_of(function, recorded)]
    tables += _lines_without_function(lines, functions, recorded)
    names: set[str] = set()
    for table in sorted(tables, key=lambda table: table.at):
        name = _file_name(str(table.values["name"]))
        number = 2
        while name in names:
            name, number = f"{_file_name(str(table.values['name']))[:58]}-{number}", number + 1
        table.values["name"] = name
        names.add(name)
    return sorted(tables, key=lambda table: table.at)


def _functions(recorded: Recorded) -> list[Function]:
    files = recorded.recording.files
    found: dict[str, Function] = {}
    for path in files:
        match = re.match(rf"sys/bus/pci/devices/({_BDF})/", path)
        if match and match[1] not in found:
            found[match[1]] = _described(match[1], recorded)
    for irq, row in sorted(recorded.rows.items()):
        place = message_place(row)
        if place is None:
            continue
        kind, bdf, index = place
        function = found.setdefault(bdf, Function(bdf, assumed="vendor, device and class"))
        message = recorded.recording.get(f"sys/bus/pci/devices/{bdf}/msi_irqs/{irq}") or kind
        function.kind = message if message in ("msi", "msix") else kind
        if all(vector.index != index for vector in function.vectors):
            function.vectors.append(Vector(irq, index, ", ".join(row.names)))
    return [found[bdf] for bdf in sorted(found)]


def message_place(row: Row) -> tuple[str, str, int] | None:
    """Kind, function and index of a row that is a message of a PCI function.

    Linux up to 6.1 has one domain for all: its numbers are device id << 11 | index.
    """
    if row.hwirq is None or row.flow not in ("edge", ""):
        return None
    chip = row.chip.removeprefix(REMAPPED)
    if match := _FUNCTION_CHIP.match(chip):
        return (match[1].lower(), match[2], row.hwirq) if row.hwirq < MAX_ENTRIES else None
    if chip != "PCI-MSI":
        return None
    device, index = row.hwirq >> _INDEX_BITS, row.hwirq & (1 << _INDEX_BITS) - 1
    domain, number = device >> _DEVICE_ID_BITS, device & (1 << _DEVICE_ID_BITS) - 1
    if domain >> 16:
        return None
    bdf = f"{domain:04x}:{number >> 8:02x}:{number >> 3 & 31:02x}.{number & 7}"
    return "msix", bdf, index


def _described(bdf: str, recorded: Recorded) -> Function:
    def read(name: str) -> str:
        return recorded.recording.get(f"sys/bus/pci/devices/{bdf}/{name}")

    function = Function(bdf)
    for key, digits in (("vendor", 4), ("device", 4), ("class", 6)):
        if re.fullmatch(rf"0x[0-9a-f]{{{digits}}}", read(key)):
            function.identity[key] = read(key)
        else:
            function.assumed = "vendor, device and class"
    for key, digits in (("subsystem_vendor", 4), ("subsystem_device", 4), ("revision", 2)):
        if re.fullmatch(rf"0x[0-9a-f]{{{digits}}}", read(key)):
            function.identity[key] = read(key)
    node = read("numa_node")
    if node.isdigit() and int(node) < recorded.nodes:
        function.identity["node"] = int(node)
    driver = read("driver")
    function.linux_driver = driver if re.fullmatch(r"[\w.-]{1,60}", driver) else ""
    line = read("irq")
    function.line = int(line) if re.fullmatch(r"[0-9]{1,4}", line) else 0
    function.has_pin = line != "0"
    return function


def _share_lines(functions: list[Function], lines: Mapping[int, Row]) -> None:
    """Give the handlers of INTx lines to the functions that are wired to them.

    A function with messages has no handler there. Names that suit a function go first; what
    remains goes in order, if there are enough functions left.
    """
    for irq, row in lines.items():
        if irq < NR_IRQS_LEGACY or row.flow != "fasteoi" or row.hwirq != irq:
            continue
        left = list(row.names)
        free = [
            function
            for function in functions
            if function.line == irq
            and not function.vectors
            and not _is_bridge(function)
            and (function.linux_driver or _is_edu(function))
        ]
        for name in row.names:
            owner = next((function for function in free if _suits(function, name)), None)
            if owner is None:
                continue
            left.remove(name)
            owner.line_names.append(name)
            if not name.startswith("nvme"):  # whose drive has a handler for each queue
                free.remove(owner)
        free = [function for function in free if not function.line_names]
        if len(free) >= len(left):
            for function, name in zip(free, left, strict=False):
                function.line_names.append(name)


def _suits(function: Function, name: str) -> bool:
    """Whether a handler of this name is probably the function's."""
    if _is_edu(function) or name.startswith("edu"):
        return _is_edu(function) and name.startswith("edu")
    word = re.match(r"[a-z]+", name)
    if function.linux_driver.startswith("virtio") or name.startswith("virtio"):
        return function.linux_driver.startswith("virtio") and name.startswith("virtio")
    pci_class = str(function.identity.get("class", ""))
    return (
        (bool(function.linux_driver) and name.startswith(function.linux_driver))
        or (word is not None and word[0] in _WORDS_OF_CLASS.get(pci_class[:4], ()))
        or (word is not None and word[0] in _WORDS_OF_CLASS.get(pci_class[:6], ()))
    )


def _is_bridge(function: Function) -> bool:
    return str(function.identity.get("class", "")).startswith("0x06")


def _is_edu(function: Function) -> bool:
    return (function.identity.get("vendor"), function.identity.get("device")) == _EDU


def _device_of(function: Function, recorded: Recorded) -> Iterator[DeviceTable]:
    """The [[device]] of a function."""
    base: dict[str, object] = {"bdf": function.bdf, **function.identity}
    line_gsi = function.line if 16 <= function.line < 24 else 0
    if line_gsi and function.line not in function.irqs:
        base["gsi"] = line_gsi
    note = f"assumed: {function.assumed} were not recorded" if function.assumed else ""
    first = min(function.irqs, default=-1)
    known = None if function.bdf in recorded.plain else _known(function, recorded)
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


def _known(function: Function, recorded: Recorded) -> dict[str, object] | None:
    """Name, driver and keys of the device that would have these vectors; None if none would."""
    if _is_edu(function):
        return _edu(function, recorded)
    if function.line_names:
        name = function.line_names[0]
        if function.linux_driver == "i801_smbus" or name == "i801_smbus":
            return {"name": "smbus", "driver": f"{DRIVERS}.smbus"}
        if function.linux_driver == "8139cp":
            table: dict[str, object] = {"name": name, "driver": f"{DRIVERS}.rtl8139"}
            return _with_rate(table, recorded.rate(function.line))
        return None
    names = [vector.name for vector in function.vectors]
    irqs = function.irqs
    in_order = [vector.index for vector in function.vectors] == list(range(len(names)))
    if not names or not in_order or irqs != list(range(irqs[0], irqs[0] + len(irqs))):
        return None
    return (
        _nic(function, names, recorded)
        or _nvme(function, names, recorded)
        or _single(function, names, recorded)
    )


def _edu(function: Function, recorded: Recorded) -> dict[str, object]:
    table: dict[str, object] = {"name": f"pci-{function.bdf}", "driver": f"{DRIVERS}.edu"}
    if function.vectors:
        table["name"] = function.vectors[0].name or table["name"]
    elif function.line_names:
        table |= {"name": function.line_names[0], "interrupt": "intx"}
    elif recorded.recording.get(f"proc/irq/{function.line}/smp_affinity"):
        row = recorded.rows.get(function.line)
        table["interrupt"] = "none" if row is not None and row.names else "freed"
    else:
        table["interrupt"] = "none"
    return table


def _nic(function: Function, names: list[str], recorded: Recorded) -> dict[str, object] | None:
    if any(vector.irq in recorded.managed for vector in function.vectors):
        return None
    for style_name, style in STYLES.items():
        for queues in {len(names) - 1, (len(names) - 1) // 2, len(names) // 3}:
            if not 1 <= queues <= MOST_QUEUES or (style_name == "e1000e" and queues > 1):
                continue
            for name in _interfaces(names):
                layout = style.vectors(name, function.bdf, queues)
                if [vector.name for vector in layout] != names or len(names) < style.least_vectors:
                    continue
                receiving = [
                    irq for irq, v in zip(function.irqs, layout, strict=True) if v.receives
                ]
                if _busy_elsewhere(function.irqs, receiving, recorded):
                    return None
                hints = [recorded.hints.get(irq, 0) for irq in function.irqs]
                in_use = min(queues, recorded.online.bit_count()) if style.follows_cpus else queues
                masks = style.hints(recorded.online, in_use) if style.hints else []
                ours = [masks[v.queue] if 0 <= v.queue < len(masks) else 0 for v in layout]
                if recorded.hints and hints != ours:
                    return None
                table: dict[str, object] = {
                    "name": name,
                    "driver": f"{DRIVERS}.nic",
                    "style": style_name,
                    "queues": queues,
                }
                return _with_rates(table, receiving, recorded)
    return None


def _interfaces(names: list[str]) -> Iterator[str]:
    """What the interface of a card may be called that has vectors of these names."""
    seen = set()
    for text in (names[0], names[-1]):
        words = re.split(r"-(?:rx|tx|rxtx|TxRx|input|output|config|event)\b", text)
        for word in (words[0], words[0].removeprefix("ice-")):
            if word and word not in seen:
                seen.add(word)
                yield word


def _busy_elsewhere(irqs: list[int], receiving: list[int], recorded: Recorded) -> bool:
    """Whether vectors that no traffic of ours reaches have had more than a little."""
    rates_hz = recorded.rates_hz
    total = sum(rates_hz.get(irq, 0.0) for irq in irqs)
    others = total - sum(rates_hz.get(irq, 0.0) for irq in receiving)
    return others > total * BUSY_SHARE


def _nvme(function: Function, names: list[str], recorded: Recorded) -> dict[str, object] | None:
    match = re.fullmatch(r"(nvme[0-9]+)q0", names[0])
    if match is None or len(names) < 2:
        return None
    if names != [f"{match[1]}q{number}" for number in range(len(names))]:
        return None
    is_known = recorded.recording.fixed is not None
    if is_known and set(function.irqs[1:]) - recorded.managed.keys():
        return None
    if _busy_elsewhere(function.irqs, function.irqs[1:], recorded):
        return None
    table: dict[str, object] = {
        "name": match[1],
        "driver": f"{DRIVERS}.nvme",
        "queues": len(names) - 1,
    }
    return _with_rates(table, function.irqs[1:], recorded)


def _single(function: Function, names: list[str], recorded: Recorded) -> dict[str, object] | None:
    """Devices of one busy vector."""
    if names == [f"ahci[{function.bdf}]"] and function.kind == "msi":
        table: dict[str, object] = {"name": "ahci", "driver": f"{DRIVERS}.ahci"}
        return _with_rate(table, recorded.rate(function.irqs[0]))
    used = [name for name in names if name]
    if used and set(used) == {"xhci_hcd"} and names[: len(used)] == used:
        if len(names) != min(recorded.online.bit_count() + 1, 16) or function.kind != "msix":
            return None
        table = {"name": "xhci_hcd", "driver": f"{DRIVERS}.xhci", "used": len(used)}
        return _with_rate(table, recorded.rate(function.irqs[0]))
    is_rng = function.identity.get("device") in ("0x1005", "0x1044")
    if is_rng and len(names) == 2 and names[1].endswith("-input"):
        name = names[1].removesuffix("-input")
        if names[0] == f"{name}-config" and not recorded.rate(function.irqs[0]):
            table = {"name": name, "driver": f"{DRIVERS}.virtio_rng"}
            return _with_rate(table, recorded.rate(function.irqs[1]))
    return None


def _with_rate(table: dict[str, object], rate_text: str | int) -> dict[str, object]:
    return table | {"rate": rate_text} if rate_text else table


def _with_rates(
    table: dict[str, object], irqs: Iterable[int], recorded: Recorded
) -> dict[str, object]:
    rates = [recorded.rate(irq) for irq in irqs]
    if not any(rates):
        return table
    return table | {"rate": rates[0] if len(set(rates)) == 1 else rates}


def _lines_without_function(
    lines: Mapping[int, Row], functions: list[Function], recorded: Recorded
) -> Iterator[DeviceTable]:
    """Devices that are on no bus, and whatever else interrupts."""
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
        yield DeviceTable(
            (irq, 0), _line_device(irq, row, names, recorded, is_keyboard=is_keyboard)
        )


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
            return _with_rate(table, rate_text)
        if name == "rtc0" and row.flow in ("edge", ""):
            return _with_rate({"name": name, "driver": f"{DRIVERS}.rtc", "gsi": irq}, rate_text)
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
    return _with_rate(table, rate_text)


def _file_name(name: str) -> str:
    """A name that a device may have."""
    name = re.sub(r"[^A-Za-z0-9._:@-]", "-", name).lstrip("._:@-")[:60]
    return name if _NAME.fullmatch(name) else "device"
