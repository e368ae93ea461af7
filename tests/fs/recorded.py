"""Record a machine of this process as snapshot would record its mount, and say what rows it has."""

import re
import stat
from collections.abc import Iterator

from pseudokern.fs.tree import Tree
from pseudokern.machine.machine import Machine
from pseudokern.machine.snapshot_files import Recording

RECORDED = (
    "/proc/interrupts",
    "/proc/cmdline",
    "/proc/cpuinfo",
    "/proc/version",
    "/proc/irq",
    "/sys/kernel/irq",
    "/sys/devices/system",
    "/sys/bus/pci/devices",
)


UNREAD = re.compile(
    r"(?<!/cpu0)/cache/|/(cpufreq|thermal_throttle|power|queues)/|/(config|resource)$"
    r"|/topology/(?!core_id|die_id|phys|thread)"
)


def record(machine: Machine) -> Recording:
    """All that snapshot reads, without a mount."""
    from tests.fs.conftest import Files

    files = Files(machine)
    found: dict[str, str] = {}
    fixed = set()
    for path in RECORDED:
        for each, place, mode in _walk(files.tree, path, path):
            if stat.S_ISLNK(mode):
                found[each[1:]] = files.tree.readlink(place).rsplit("/", 1)[-1]
            else:
                found[each[1:]] = files.read(place).decode()
            if each.endswith("/smp_affinity") and not mode & stat.S_IWUSR:
                fixed.add(int(each.split("/")[3]))
    return Recording(found, frozenset(fixed))


def _walk(tree: Tree, path: str, place: str) -> Iterator[tuple[str, str, int]]:
    """Every file below path, which lies at place: links to a device's directory are followed."""
    mode = tree.getattr(place).mode
    if stat.S_ISLNK(mode) and "/bus/pci/devices/" in path and path.count("/") == 5:
        target = "/sys/" + tree.readlink(place).removeprefix("../../../")
        yield from _walk(tree, path, target)
    elif stat.S_ISDIR(mode):
        for name, _ in tree.readdir(place):
            yield from _walk(tree, f"{path}/{name}", f"{place}/{name}")
    elif (stat.S_ISLNK(mode) or mode & stat.S_IRUSR) and not UNREAD.search(path):
        yield path, place, mode


def rows_without_counts(text: str) -> list[str]:
    """Each line of /proc/interrupts, with its counts and the blanks before them left out."""
    header, *lines = text.splitlines()
    columns = len(header.split())
    return [header] + [
        re.sub(rf"^( *\w+:)(?: +[0-9]+){{1,{columns}}}", r"\1", line) for line in lines
    ]
