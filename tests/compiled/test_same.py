"""A machine does the same to the byte, whether its hot paths are compiled or not."""

import difflib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DEBUG = "/sys/kernel/debug/pseudokern"
CPU2 = "/sys/devices/system/cpu/cpu2/online"

# What is waited for, in ms, and then written.
MOVES = [
    (300, "/proc/irq/29/smp_affinity", "4"),
    (200, "/proc/irq/29/smp_affinity", "0"),
    (200, CPU2, "0"),
    (300, CPU2, "1"),
    (100, f"{DEBUG}/faults/exception", "divide_error cpu 2"),
    (100, f"{DEBUG}/faults/nmi", "1 iochk 20 1us"),
    (100, f"{DEBUG}/faults/raise", "4 20"),
    (1000, "", ""),
]
COALESCING = [
    (10, f"{DEBUG}/net/eth0/coalesce", "rx-usecs 50"),
    (10, f"{DEBUG}/net/eth0/coalesce", "rx-frames 8"),
    (10, f"{DEBUG}/net/eth1/coalesce", "rx-usecs 20"),
    (10, CPU2, "0"),
    (10, f"{DEBUG}/load/eth0", "rate=3MHz"),
    (10, CPU2, "1"),
    (10, f"{DEBUG}/net/eth0/coalesce", "adaptive-rx 1"),
    (10, f"{DEBUG}/load/nvme0", "depth=32"),
    (10, f"{DEBUG}/modules/load", str(HERE / "boards/curious.py")),
    (250, f"{DEBUG}/modules/unload", "curious"),
    (10, "", ""),
]
LOAD = [(5, f"{DEBUG}/load/eth0", "rate=1MHz flows=4096"), (20, "", "")]
LIVES = {
    "laptop": MOVES,
    "pc-1994": MOVES,
    "cloud-8": MOVES,
    "hybrid-16": MOVES,
    "server-64": LOAD,
    str(HERE / "boards/rough.toml"): COALESCING,
}


def lived(package: Path, machine: str, steps: list[tuple[int, str, str]], out: Path) -> list[str]:
    """What life.py writes down, but for the first line; that says which package it ran."""
    subprocess.run(
        [sys.executable, HERE / "life.py", machine, json.dumps(steps), out],
        env={**os.environ, "PYTHONPATH": str(package)},
        cwd=package,
        check=True,
        timeout=100,
    )
    first, *lines = out.read_text().split("\n")
    assert first == f"compiled {package.name.startswith('compiled')}"
    return lines


@pytest.mark.slow
@pytest.mark.timeout(600)  # the first one compiles
@pytest.mark.parametrize("machine", LIVES, ids=lambda name: Path(name).stem)
def test_a_machine_has_the_same_files_and_the_same_log_compiled(
    machine, interpreted_package, compiled_package, tmp_path
):
    interpreted = lived(interpreted_package, machine, LIVES[machine], tmp_path / "interpreted")
    compiled = lived(compiled_package, machine, LIVES[machine], tmp_path / "compiled")
    different = list(difflib.unified_diff(interpreted, compiled, lineterm="", n=1))
    assert not different, "\n".join(different[:60])
