"""Gather what a real machine says of itself: files of /proc and /sys, as text by path.

The paths have no leading slash and begin with proc/ or sys/, wherever they were read. A link is
read as the last part of where it leads, an empty directory not at all.
"""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MOST_BYTES = 64 << 20  # of one file; 4096 rows of 1024 CPUs are 46 MB

# What is read, with * for one name. What is not there is left out.
_PROC = (
    "interrupts",
    "cmdline",
    "cpuinfo",
    "stat",
    "uptime",
    "version",
    "irq/default_smp_affinity",
    "irq/*/affinity_hint",
    "irq/*/effective_affinity",
    "irq/*/effective_affinity_list",
    "irq/*/node",
    "irq/*/smp_affinity",
    "irq/*/smp_affinity_list",
)
_SYS = (
    "kernel/irq/*/actions",
    "kernel/irq/*/chip_name",
    "kernel/irq/*/hwirq",
    "kernel/irq/*/name",
    "kernel/irq/*/type",
    "devices/system/cpu/isolated",
    "devices/system/cpu/offline",
    "devices/system/cpu/online",
    "devices/system/cpu/possible",
    "devices/system/cpu/present",
    "devices/system/cpu/cpu*/topology/core_id",
    "devices/system/cpu/cpu*/topology/die_id",
    "devices/system/cpu/cpu*/topology/physical_package_id",
    "devices/system/cpu/cpu*/topology/thread_siblings_list",
    "devices/system/cpu/cpu*/cache/index*/level",
    "devices/system/cpu/cpu*/cache/index*/shared_cpu_list",
    "devices/system/cpu/cpu*/cache/index*/size",
    "devices/system/cpu/cpu*/cache/index*/type",
    "devices/system/cpu/cpu*/cache/index*/ways_of_associativity",
    "devices/system/node/node*/cpulist",
    "devices/system/node/node*/distance",
    "devices/system/node/node*/meminfo",
    "bus/pci/devices/*/class",
    "bus/pci/devices/*/device",
    "bus/pci/devices/*/driver",
    "bus/pci/devices/*/irq",
    "bus/pci/devices/*/msi_irqs/*",
    "bus/pci/devices/*/net/*/ifindex",
    "bus/pci/devices/*/numa_node",
    "bus/pci/devices/*/revision",
    "bus/pci/devices/*/subsystem_device",
    "bus/pci/devices/*/subsystem_vendor",
    "bus/pci/devices/*/vendor",
)


class Recording(NamedTuple):
    """What was read. fixed: interrupts whose smp_affinity nobody may write; None: not known."""

    files: dict[str, str]
    fixed: frozenset[int] | None = None

    def get(self, path: str) -> str:
        """The text of a file without blanks around it; nothing if it was not read."""
        return self.files.get(path, "").strip()


def read_directories(proc: Path | None, sys: Path | None) -> Recording:
    """Read a live system's directories, a mounted machine's, or copies of them."""
    files: dict[str, str] = {}
    fixed: set[int] = set()
    for root, name, patterns in ((proc, "proc", _PROC), (sys, "sys", _SYS)):
        for pattern in patterns if root is not None else ():
            assert root is not None
            for path in _matching(root, pattern):
                text = _read(path)
                if text is not None:
                    files[f"{name}/{path.relative_to(root)}"] = text
                if path.name == "smp_affinity" and _is_read_only(path):
                    fixed.add(int(path.parent.name))
    return Recording(files, frozenset(fixed) if proc is not None else None)


def _matching(root: Path, pattern: str) -> Iterator[Path]:
    """Paths below root; Path.glob() would not follow the links of bus/pci/devices."""
    found = [root]
    for part in pattern.split("/"):
        if "*" not in part:
            found = [path / part for path in found]
            continue
        prefix = part.removesuffix("*")
        found = [
            path / name
            for path in found
            for name in _names(path)
            if name.startswith(prefix) and (prefix == "" or name[len(prefix) :].isdigit())
        ]
    yield from found


def _names(directory: Path) -> list[str]:
    try:
        return sorted(path.name for path in directory.iterdir())
    except OSError:
        return []


def _read(path: Path) -> str | None:
    try:
        if path.is_symlink():
            return path.readlink().name
        with path.open("rb") as file:
            return file.read(MOST_BYTES).decode(errors="replace")
    except OSError:
        return None


def _is_read_only(path: Path) -> bool:
    try:
        return path.parent.name.isdigit() and not path.stat().st_mode & stat.S_IWUSR
    except OSError:
        return False
