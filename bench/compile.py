"""What compiling brings: the same machines interpreted and compiled, which take turns.

Each build is a copy of the package with a process of its own, so nothing of the checkout that is
measured is changed, nor does it matter whether that is compiled.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from statistics import median

from bench import interrupts, packets
from bench.figure import Figure, Result, Skipped, Times, interleaved, ratio
from bench.wall import Paced, paced
from pseudokern.machine.machine import Machine

PROJECT = Path(__file__).parents[1]
BUILDS = ("interpreted", "compiled")
TURNS = 3  # in one repeat
MOST_LATE = 1  # per cent


def measure(repeats: int) -> list[Result]:
    with ExitStack() as cleanup:
        directory = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
        packages = {build: directory / build for build in BUILDS}
        unwanted = shutil.ignore_patterns("*.so", "__pycache__")
        shutil.copytree(
            PROJECT / "pseudokern", packages["interpreted"] / "pseudokern", ignore=unwanted
        )
        command = [PROJECT / "scripts/compile", "--into", packages["compiled"]]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            return [Skipped("compiled machines", "scripts/compile does not work here; try it")]
        workers = {build: cleanup.enter_context(_Worker(packages[build])) for build in BUILDS}
        found = interleaved(
            repeats * TURNS,
            u=interrupts.u_ns,
            **{
                f"{name}_{build}": partial(worker.measure, name)
                for name in MEASURES
                for build, worker in workers.items()
            },
        )
        real = {build: paced(package) for build, package in packages.items()}
    return [*_seconds(found), *_units(found), *_real(real)]


class _Worker:
    """A process that runs one build of the package, and measures what it is told to."""

    def __init__(self, package: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.compile"],
            cwd=package,
            env={"PYTHONPATH": str(PROJECT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def measure(self, name: str) -> float:
        """ns of CPU time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(name, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())


def _packets(style: str, rate_hz: int, usecs: int) -> Callable[[], float]:
    @cache
    def machine() -> Machine:
        return packets.new_machine(style, rate_hz, usecs)

    return lambda: packets.real_ns(machine())


def _interrupts() -> Callable[[], float]:
    @cache
    def machine() -> Machine:
        new = interrupts.new_machine("small", interrupts.LOAD)
        interrupts.interrupt_ns(new, interrupts.WARM_UP)
        return new

    return lambda: interrupts.interrupt_ns(machine())


MEASURES = {
    "mlx5": _packets("mlx5", packets.RATE_HZ, 50),
    "ice": _packets("ice", packets.RATE_HZ, 50),
    "few": _packets("mlx5", packets.BATCHED_HZ, 1000),
    "many": _packets("mlx5", 2 * packets.BATCHED_HZ, 1000),
    "interrupt": _interrupts(),
}


def _seconds(found: Times) -> list[Result]:
    results: list[Result] = []
    for style in ("mlx5", "ice"):
        for build in BUILDS:
            name = f"real time of a second with 1 M packets, {style}, {build}"
            real = median(found[f"{style}_{build}"]) / packets.TURN_NS
            results.append(Figure(name, real, "x", packets.MUST_REACH_REAL_TIME))
        gain = ratio(found, f"{style}_compiled", f"{style}_interpreted")
        results.append(Figure(f"compiled over interpreted, {style}", gain, "x"))
    return results


def _units(found: Times) -> list[Result]:
    results: list[Result] = []
    more = packets.BATCHED_HZ * packets.TURN_NS / packets.NS_PER_S
    for build in BUILDS:
        pairs = zip(found[f"few_{build}"], found[f"many_{build}"], strict=True)
        found[f"batched_{build}"] = [(many - few) / more for few, many in pairs]
        results += [
            Figure(
                f"one interrupt, 64 sources x 4 CPUs, {build}",
                ratio(found, f"interrupt_{build}", "u"),
                "U",
                interrupts.MUST_REACH_U,
                f"{median(found[f'interrupt_{build}']):.0f} ns; U is {median(found['u']):.0f} ns",
            ),
            Figure(
                f"one more packet under NAPI, {build}",
                ratio(found, f"batched_{build}", "u"),
                "U",
                packets.MUST_REACH_U,
                f"{median(found[f'batched_{build}']):.0f} ns",
            ),
        ]
    return results


def _real(real: dict[str, Paced]) -> list[Result]:
    results: list[Result] = []
    for build, (core, late) in real.items():
        name = f"server-64 mounted, clock wall, 1 M packets a second, {build}"
        results += [
            Figure(f"{name}: share of a core", 100 * core, "%"),
            Figure(f"{name}: behind real time", max(0, 100 * late), "%",
                   MOST_LATE if build == "compiled" else None),
        ]  # fmt: skip
    return results


def main() -> None:
    """Be a worker."""
    for line in sys.stdin:
        print(MEASURES[line.strip()](), flush=True)


if __name__ == "__main__":
    main()
