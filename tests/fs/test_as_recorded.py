"""A machine that has just come up is as the snapshot of the recorded one says, file by file.

Left out: what grows with time, the work of programs on it, and /sys/class/net.
"""

import re
from collections.abc import Iterator

import pytest

from tests.fs.conftest import SNAPSHOTS

MACHINES = sorted(path.name for path in SNAPSHOTS.iterdir())
COMPARED = re.compile(
    r"/proc/cmdline"
    r"|/proc/irq/.*(affinity|affinity_list|affinity_hint|node)"
    r"|/sys/devices/system/(cpu|node)/[a-z_]+"
    r"|/sys/kernel/irq/.*/(actions|chip_name|hwirq|name|type|wakeup)"
    r"|/sys/bus/pci/devices/.*/(class|device|irq|local_cpus|local_cpulist|numa_node|vendor)"
)
# CPU 2 was switched off before the test module took its devices; here devices come first.
LATER = {"q4-sparse": re.compile(r"/proc/irq/(22|54)/smp_affinity(_list)?")}
NEVER = re.compile(r".*/(uevent|has_generic_initiator)")


def snapshot(machine: str) -> Iterator[tuple[str, str]]:
    """Path and content of each file."""
    text = (SNAPSHOTS / machine / "snapshot/t0").read_text()
    for part in re.split(r"(?m)^== ", text)[1:]:
        path, _, content = part.partition("\n")
        yield path, content


@pytest.mark.parametrize("machine", MACHINES)
def test_fresh_machine_is_as_its_snapshot(boot, machine):
    files = boot(machine)
    compared, wrong = 0, {}
    for path, recorded in snapshot(machine):
        later = machine in LATER and LATER[machine].fullmatch(path)
        if not COMPARED.fullmatch(path) or NEVER.fullmatch(path) or later:
            continue
        compared += 1
        real = path.replace("/sys/bus/pci/devices", "/sys/devices/pci0000:00")
        if (shown := files.read(real).decode()) != recorded:
            wrong[path] = (shown, recorded)
    for thread in list(files.machine.irqs.kthreads.by_pid.values()):
        thread.stop()  # it has not begun, and Python wants coroutines to be awaited
    assert not wrong
    assert compared > 150
