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
RUN_MUST_REACH_TIMES = 25
WIDE_CPUS = 288
WIDE_MUST_REACH_MS = 1000
MUST_REACH_MB = 300
_CAT = ("cat", "/proc/interrupts")


def measure(repeats: int) -> list[Result]:
    with tempfile.TemporaryDirectory() as cache:
        # As after the first start, also where Python is told to write no .pyc files.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache, "PYTHONDONTWRITEBYTECODE": ""}
        _first_cat_ms(environment)
        ms = interleaved(
            repeats,
            bare=lambda: _python_ms(environment),
            cat=lambda: _first_cat_ms(environment),
            run=lambda: _run_ms(environment, DEFAULT, "--", "true"),
            wide=lambda: _run_ms(environment, "--cpus", str(WIDE_CPUS), "--", *_CAT),
        )
    name = "process start to the first successful cat, over python -c pass"
    note = f"{median(ms['cat']):.0f} ms, {DEFAULT}; python -c pass {median(ms['bare']):.0f} ms"
    return [
        Figure(name, ratio(ms, "cat", "bare"), "x", MUST_REACH_TIMES, note),
        Figure(
            f"pseudokern run {DEFAULT} -- true, over python -c pass",
            ratio(ms, "run", "bare"),
            "x",
            RUN_MUST_REACH_TIMES,
            f"{median(ms['run']):.0f} ms",
        ),
        Figure(
            f"pseudokern run --cpus {WIDE_CPUS} -- {' '.join(_CAT)}",
            median(ms["wide"]),
            "ms",
            WIDE_MUST_REACH_MS,
            DEFAULT,
        ),
        *_memory(),
    ]


def _python_ms(environment: Environment) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True, env=environment)
    return (time.perf_counter() - began) * 1e3


def _run_ms(environment: Environment, *arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pseudokern", "run", *arguments],
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
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
