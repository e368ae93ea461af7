"""Draw the curves that the tests here are about, for docs/curves.md: scripts/plots."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")  # before pyplot looks for a display
from matplotlib import pyplot as plt

from tests.curves.reception import KINDS, program_share, reception, waits
from tests.curves.to_program import WAYS, Heard, heard
from tests.drivers.test_nvme_coalescing import measure

FOLDER = Path(__file__).parents[2] / "docs/plots"
OFFERED_HZ = [round(25_000 * 2 ** (step / 2)) for step in range(18)]
SAME_BYTES: dict[str, Any] = {"Date": None}


def main() -> None:
    mpl.rcParams.update({"svg.hashsalt": "pseudokern", "font.size": 9, "axes.grid": True,
                         "grid.alpha": 0.3, "svg.fonttype": "none"})  # fmt: skip
    FOLDER.mkdir(exist_ok=True)
    _reception("goodput", "frames delivered a second", lambda *at: reception(*at).delivered_hz)
    _reception("interrupts", "interrupts a second", lambda *at: reception(*at).interrupts_hz)
    _reception("busy", "% of the CPU that reception takes", lambda *at: 100 * reception(*at).busy)
    _reception(
        "program",
        "% of the CPU that a program gets",
        lambda *at: 100 * program_share(*at),
    )
    _latency()
    _to_program()
    _nvme()


def _reception(name: str, what: str, value: Callable[[str, int], float]) -> None:
    figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    for kind in KINDS:
        values = [value(kind, offered_hz) for offered_hz in OFFERED_HZ]
        axes.plot(OFFERED_HZ, values, marker=".", label=kind)
    axes.set(xscale="log", xlabel="frames offered a second", ylabel=what)
    if name == "goodput":
        axes.set(yscale="log", ylim=(10_000, 10_000_000))
    axes.legend()
    _save(figure, name)


def _latency() -> None:
    figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    for number, (us, frames) in enumerate(((0, 1), (50, 50), (50, 256))):
        seen = [waits(us, frames, offered_hz) for offered_hz in OFFERED_HZ]
        label, color = f"rx-usecs {us} rx-frames {frames}", f"C{number}"
        axes.plot(OFFERED_HZ, [at.p50_ns / 1e3 for at in seen], marker=".", color=color,
                  label=label)  # fmt: skip
        axes.plot(OFFERED_HZ, [at.p99_ns / 1e3 for at in seen], ls=":", color=color)
    axes.set(xscale="log", yscale="log", xlabel="frames offered a second")
    axes.set(ylabel="us from wire to poll; dotted: p99")
    axes.legend()
    _save(figure, "latency")


def _to_program() -> None:
    """Throughput, latency and CPU against load, for each way to a program."""
    shown: tuple[tuple[str, str, Callable[[Heard], float]], ...] = (
        ("polled-goodput", "packets that the program gets a second", lambda at: at.served_hz),
        ("polled-latency", "us from wire to program; dotted: p99", lambda at: _us(at.p50_ns)),
        ("polled-busy", "% of the CPU", lambda at: 100 * at.busy),
    )
    for name, what, value in shown:
        figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
        for number, way in enumerate(WAYS):
            seen, color = [heard(way, offered_hz) for offered_hz in OFFERED_HZ], f"C{number}"
            axes.plot(OFFERED_HZ, list(map(value, seen)), marker=".", color=color, label=way)
            if name == "polled-latency":
                axes.plot(OFFERED_HZ, [_us(at.p99_ns) for at in seen], ls=":", color=color)
        scale = "linear" if name == "polled-busy" else "log"
        axes.set(xscale="log", yscale=scale, xlabel="packets offered a second", ylabel=what)
        if name == "polled-goodput":
            axes.set(ylim=(10_000, 10_000_000))
        axes.legend()
        _save(figure, name)


def _us(latency_ns: int) -> float:
    """No point where there was no packet."""
    return latency_ns / 1e3 if latency_ns else math.nan


def _nvme() -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 3), layout="constrained")
    thresholds = [1, 2, 4, 8, 16, 32]
    _both(left, thresholds, [measure(threshold, 250) for threshold in thresholds])
    left.set(xscale="log", xlabel="completions (time: 25 ms)", xticks=thresholds)
    left.set_xticklabels(map(str, thresholds))
    times = [0, 1, 2, 5, 10]
    _both(right, [100 * time for time in times], [measure(256, time) for time in times])
    right.set(xlabel="time in us (completions: 256)")
    _save(figure, "nvme")


def _both(axes: Any, along: Sequence[int], found: Sequence[tuple[float, float]]) -> None:
    """Interrupts against the left scale, latency against the right one."""
    axes.plot(along, [rate_hz / 1e3 for rate_hz, _ in found], marker=".", label="interrupts")
    axes.set(ylabel="interrupts a second, thousands")
    other = axes.twinx()
    other.plot(along, [us for _, us in found], marker=".", color="C1", label="latency")
    other.set(ylabel="mean latency, us")
    lines = [*axes.get_lines(), *other.get_lines()]
    axes.legend(handles=lines, loc="center right")


def _save(figure: Any, name: str) -> None:
    file = FOLDER / f"{name}.svg"
    figure.savefig(file, metadata=SAME_BYTES)
    print(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)


if __name__ == "__main__":
    main()
