"""Find the PCI functions of a recording: their messages, and the handlers on their INTx lines."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pseudokern.hw.msix import MAX_ENTRIES
from pseudokern.irq.desc import NR_IRQS_LEGACY
from pseudokern.kernel.cpumask import CpuMask
from pseudokern.machine.snapshot_files import Recording
from pseudokern.machine.snapshot_rows import Row
from pseudokern.machine.snapshot_toml import rate

REMAPPED = "IR-"  # before the name of a chip whose interrupts go through a remapping unit

_BDF = r"[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]"
_FUNCTION_CHIP = re.compile(rf"PCI-(MSIX?)-({_BDF})$")
_DEVICE_ID_BITS, _INDEX_BITS = 16, 11
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
    """A PCI function: its identity, its messages, the handlers on its INTx line.

    interface  what its network interface is called, if that was recorded
    """

    bdf: str
    interface: str = ""
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

    @property
    def is_bridge(self) -> bool:
        return str(self.identity.get("class", "")).startswith("0x06")

    @property
    def is_edu(self) -> bool:
        return (self.identity.get("vendor"), self.identity.get("device")) == _EDU


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


def read_functions(recorded: Recorded) -> list[Function]:
    """All of them, in the order of their addresses."""
    files = recorded.recording.files
    found: dict[str, Function] = {}
    for path in files:
        match = re.match(rf"sys/bus/pci/devices/({_BDF})/(?:net/([\w.-]{{1,15}})/)?", path)
        if match and match[1] not in found:
            found[match[1]] = _described(match[1], recorded)
        if match and match[2]:
            found[match[1]].interface = match[2]
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


def share_lines(functions: list[Function], lines: Mapping[int, Row]) -> None:
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
            and not function.is_bridge
            and (function.linux_driver or function.is_edu)
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
    if function.is_edu or name.startswith("edu"):
        return function.is_edu and name.startswith("edu")
    word = re.match(r"[a-z]+", name)
    if function.linux_driver.startswith("virtio") or name.startswith("virtio"):
        return function.linux_driver.startswith("virtio") and name.startswith("virtio")
    pci_class = str(function.identity.get("class", ""))
    return (
        (bool(function.linux_driver) and name.startswith(function.linux_driver))
        or (word is not None and word[0] in _WORDS_OF_CLASS.get(pci_class[:4], ()))
        or (word is not None and word[0] in _WORDS_OF_CLASS.get(pci_class[:6], ()))
    )
