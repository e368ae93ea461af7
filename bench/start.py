"""How long it takes until a machine answers, and how much memory a large one has."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.figure import Figure, Result, interleaved, ratio
from bench.machines import Environment, boot, mounted, wait_until_up

DEFAULT, LARGE = "laptop", "wide-1024"
MUST_REACH_TIMES = 20
MUST_REACH_MB = 300


def measure(repeats: int) -> list[Result]:
    with tempfile.TemporaryDirectory() as cache:
        # As after the first start, also where Python is told to write no .pyc files.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache, "PYTHONDONTWRITEBYTECODE": ""}
        _first_cat_ms(environment)
        ms = interleaved(
            repeats,
            bare=lambda: _python_ms(environment),
            cat=lambda: _first_cat_ms(environment),
        )
    name = "process start to the first successful cat, over python -c pass"
    note = f"{median(ms['cat']):.0f} ms, {DEFAULT}; python -c pass {median(ms['bare']):.0f} ms"
    return [Figure(name, ratio(ms, "cat", "bare"), "x", MUST_REACH_TIMES, note), *_memory()]


def _python_ms(environment: Environment) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True, env=environment)
    return (time.perf_counter() - began) * 1e3


def _first_cat_ms(environment: Environment) -> float:
    with tempfile.TemporaryDirectory() as name:
        began = time.perf_counter()
        process = boot(DEFAULT, name, environment)
        try:
            wait_until_up(Path(name))
            _cat(Path(name))
            return (time.perf_counter() - began) * 1e3
        finally:
            process.terminate()
            process.wait()


def _cat(mount: Path) -> None:
    command = ["cat", str(mount / "proc/interrupts")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _memory() -> list[Result]:
    with mounted(LARGE) as (mount, pid):
        booted_mb = _resident_mb(pid)
        _cat(mount)
        read_mb = _resident_mb(pid)
    name = f"memory of {LARGE}, 4096 vectors"
    after = "the text of the last rendering is kept"
    return [
        Figure(name, booted_mb, "MB", MUST_REACH_MB, "resident, once it is mounted"),
        Figure(f"{name}, after a cat of /proc/interrupts", read_mb, "MB", None, after),
    ]


def _resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"process {pid} has no VmRSS")
