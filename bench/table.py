"""Print the results as one table, and keep it in RESULTS.md."""

import os
import platform
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from bench.figure import Figure, Result, Skipped

RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = ("figure", "measured", "must reach", "")

_ABOUT = """\
# Results

Made by `scripts/bench --record`. Figures are ratios within one run: they say how much something
costs in terms of something else on the same machine, so they can be compared between machines.

U is one heappop and heappush on a heap of as many ints as there are sources.
"""


def as_text(results: Sequence[Result]) -> str:
    """For a terminal: aligned, each note below its line."""
    rows = [HEAD, *(_row(result) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = []
    for row, result in zip(rows, [None, *results], strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
        if isinstance(result, Figure) and result.note:
            lines.append(f"    {result.note}")
    return "\n".join(lines)


def record(results: Sequence[Result], other_load: float) -> None:
    """Write RESULTS.md anew. other_load: how many programs ran before the benchmarks did."""
    when = f"{date.today()}, {_machine()}, load average before {other_load:.1f}"
    lines = [_ABOUT, when, "", "| figure | measured | must reach | | from |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for result in results:
        note = result.note if isinstance(result, Figure) else ""
        lines.append("| " + " | ".join([*_row(result), note]) + " |")
    RESULTS.write_text("\n".join(lines) + "\n")


def _row(result: Result) -> tuple[str, str, str, str]:
    if isinstance(result, Skipped):
        return result.name, "-", "", f"skipped: {result.why}"
    must = "" if result.must_reach is None else f"{result.must_reach:g} {result.unit}"
    return result.name, f"{result.measured:.3g} {result.unit}", must, result.verdict


def _machine() -> str:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    kernel = f"{platform.system()} {platform.release()}"
    return f"{_cpu_model()}, {os.cpu_count()} CPUs, {kernel}, {python}"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
