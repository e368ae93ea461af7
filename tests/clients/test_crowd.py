"""Many programs at once, on a machine whose CPUs come and go: nothing fails, nothing is left."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.clients.conftest import PATH, PATIENCE_S, SERVER
from tests.mount.booted import PSEUDOKERN, in_foreground

pytestmark = [
    pytest.mark.clients(irqbalance="irqbalance", mpstat="sysstat"),
    *(pytest.mark.mount, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(180)),
]

CROWD_S = 60
WARM_S = 15  # until every file was read and every text is kept that ever will be
GROWTH_MB = 4

CAT = (
    "while :; do cat /proc/interrupts /proc/stat /proc/irq/*/smp_affinity > /dev/null || exit; done"
)
IRQBALANCE = "exec irqbalance --foreground -t 1 > /dev/null 2>&1"
MPSTAT = "exec mpstat -I SUM -P ALL 1 > /dev/null"
HOTPLUG = """
while :; do for cpu in 3 17 30; do for on in 0 1; do
    echo $on > /sys/devices/system/cpu/cpu$cpu/online || exit
    sleep 0.2
done; done; done
"""
CROWD = [*[CAT] * 8, *[IRQBALANCE] * 2, *[MPSTAT] * 2, HOTPLUG]


def test_crowd_of_readers_balancers_and_a_switcher_of_cpus_leaves_nothing_behind(tmp_path):
    with in_foreground(tmp_path / "mountpoint", SERVER) as machine:
        crowd = [enter(tmp_path / "mountpoint", script) for script in CROWD]
        try:
            time.sleep(WARM_S)
            early_mb = resident_mb(machine.pid)
            time.sleep(CROWD_S - WARM_S)
            late_mb = resident_mb(machine.pid)
            ended = [(each.args[-1], each.poll()) for each in crowd if each.poll() is not None]
        finally:
            complaints = [end(each) for each in crowd]
        assert ended == []
        assert complaints == [""] * len(CROWD)
        assert late_mb - early_mb < GROWTH_MB
        # The mount itself, the three standard ones, and what trio and signals need.
        open_files = {os.readlink(each) for each in Path(f"/proc/{machine.pid}/fd").iterdir()}
        assert len(open_files) < 15
        assert not [name for name in open_files if "mountpoint" in name]
        machine.terminate()
        assert machine.wait(PATIENCE_S) == 0
        assert "Traceback" not in machine.stderr.read()


def enter(directory: Path, script: str) -> subprocess.Popen:
    return subprocess.Popen(
        [*PSEUDOKERN, "enter", "--at", directory, "--", "bash", "-c", script],
        env={"PATH": PATH, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen) -> str:
    """End a program and what it has started; what it complained about."""
    os.killpg(process.pid, 9)
    _, complaints = process.communicate(timeout=PATIENCE_S)
    return complaints


def resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"process {pid} has no VmRSS")
