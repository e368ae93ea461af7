"""Whether a mounted machine keeps up with the real clock, and what it takes for that.

server-64 with a million packets a second over its 64 queues, rx-usecs 50, and somebody who reads
/proc/interrupts once a second.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from bench.machines import BOOT_TIMEOUT_S, wait_until_up

MACHINE = "server-64"
LOAD = "rate=1MHz flows=4096"
COALESCING = ("adaptive-rx 0", "rx-usecs 50")
SETTLED_S = 1.0
LOOKS = 5
LOOK_EVERY_S = 1.0
NS_PER_S = 1_000_000_000


class Paced(NamedTuple):
    """core: the share of one that the machine took; late: by which part of real time it fell
    behind."""

    core: float
    late: float


def paced(package: Path) -> Paced:
    """Measure the package that lies in this directory."""
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "pseudokern", "boot", MACHINE, "--at", name]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=package)
        try:
            mount = Path(name)
            wait_until_up(mount)
            debug = mount / "sys/kernel/debug/pseudokern"
            (debug / "load/eth0").write_text(LOAD)
            for setting in COALESCING:
                (debug / "net/eth0/coalesce").write_text(setting)
            time.sleep(SETTLED_S)
            before = _now(debug, process.pid)
            for _ in range(LOOKS):
                time.sleep(LOOK_EVERY_S)
                (mount / "proc/interrupts").read_bytes()
            real, simulated, cpu = (
                now - then for now, then in zip(_now(debug, process.pid), before, strict=True)
            )
            return Paced(cpu / real, 1 - simulated / real)
        finally:
            process.terminate()
            process.wait(BOOT_TIMEOUT_S)


def _now(debug: Path, pid: int) -> tuple[float, float, float]:
    """Real time, simulated time, and the CPU time of the machine's process, all in seconds."""
    simulated_ns = int((debug / "clock/now_ns").read_text())
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(after_name[11]) + int(after_name[12])  # utime, stime
    return time.monotonic(), simulated_ns / NS_PER_S, ticks / os.sysconf("SC_CLK_TCK")
