"""Show what became of the load of a machine: results/ of its devices, and the time of its CPUs."""

import json
from pathlib import Path

import click

from pseudokern.cli.at import at_option, check_is_mounted

RESULTS = Path("sys/kernel/debug/pseudokern/results")
STATES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")

Values = dict[str, int | str]


@click.command("stat")
@at_option()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(directory: Path, as_json: bool) -> None:
    """Show what devices did, queue by queue, and what the CPUs spent their time with.

    Counts and shares are those since boot.

    \b
        pseudokern stat
        pseudokern stat --json | jq '.devices.eth0.queues[] | .dropped'
    """
    check_is_mounted(directory)
    found = {"devices": _devices(directory / RESULTS), "cpus": _cpus(directory / "proc/stat")}
    click.echo(json.dumps(found, indent=2) if as_json else _table(found))


def _devices(folder: Path) -> dict[str, dict[str, object]]:
    return {path.name: _device(path.read_text()) for path in sorted(folder.iterdir())}


def _device(text: str) -> dict[str, object]:
    """A line is a name and a value; or a queue, and then names and values."""
    device: dict[str, object] = {}
    queues: list[Values] = []
    for line in text.splitlines():
        first, *words = line.split()
        if len(words) <= 2:  # the second one is a unit
            device[first] = _number(" ".join(words))
        else:
            pairs = zip(words[::2], words[1::2], strict=False)
            queues.append({"queue": first, **{name: _number(value) for name, value in pairs}})
    if queues:
        device["queues"] = queues
    return device


def _number(word: str) -> int | str:
    return int(word) if word.isdecimal() else word


def _cpus(stat: Path) -> dict[str, dict[str, float]]:
    """Each CPU's shares of the time, in per cent."""
    cpus = {}
    for line in stat.read_text().splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name != "cpu":
            ticks = [int(field) for field in fields[: len(STATES)]]
            total = sum(ticks) or 1
            shares = (round(100 * tick / total, 1) for tick in ticks)
            cpus[name] = dict(zip(STATES, shares, strict=True))
    return cpus


def _table(found: dict[str, dict[str, dict[str, object]]] | dict[str, object]) -> str:
    lines: list[str] = []
    devices, cpus = found["devices"], found["cpus"]
    assert isinstance(devices, dict)
    assert isinstance(cpus, dict)
    for name, device in devices.items():
        if not device.get("offered"):
            lines.append(f"{name}: idle")
            continue
        totals = [f"{key} {value}" for key, value in device.items() if key != "queues" and value]
        lines.append(f"{name}: {', '.join(totals)}")
        rows = [list(map(str, queue.values())) for queue in device.get("queues", ())]
        if rows:
            lines += _columns([list(device["queues"][0]), *rows])
    shown = ("user", "system", "irq", "softirq", "idle")
    head = ["cpu", *(f"%{state}" for state in shown)]
    rows = [[name, *(f"{cpu[state]:.1f}" for state in shown)] for name, cpu in cpus.items()]
    return "\n".join([*lines, *_columns([head, *rows])])


def _columns(rows: list[list[str]]) -> list[str]:
    """The first to the left, numbers to the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  " + "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]  # fmt: skip
