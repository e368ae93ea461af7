"""Show what became of the load of a machine: its devices, its programs, the time of its CPUs."""

import json
from pathlib import Path
from typing import Any

import click

from pseudokern.cli.at import at_option, check_is_mounted

RESULTS = Path("sys/kernel/debug/pseudokern/results")
APPLICATIONS = RESULTS.with_name("application_results")
STATES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")

# What a device has at a moment, or since boot; all else is a count.
STATES_OF_DEVICE = (
    "cpu", "pid", "in_flight", "tx_in_flight", "waiting", "in_sockets", "in_softirq", "ended",
    "latency", "interrupt",
)  # fmt: skip

TIMES = ("user", "system")  # of a program, such as "84 us"
SENDER = "sender"  # whose frames are measured from when they are asked for

Values = dict[str, int | str]
Ticks = dict[str, dict[str, int]]


@click.command("stat")
@at_option()
@click.option("--json", "as_json", is_flag=True, help="For programs, and for --since.")
@click.option(
    "--since",
    type=click.File(encoding="utf-8"),
    metavar="FILE",
    help="Show what has come since FILE was written with --json.",
)
def command(directory: Path, as_json: bool, since: Any) -> None:
    """Show what devices did, queue by queue, and what the CPUs spent their time with.

    Counts and shares are those since boot, or since an earlier look; latencies always since boot.

    \b
        pseudokern stat
        pseudokern stat --json | jq '.devices.eth0.queues[] | .dropped'
        pseudokern stat --json > before; sleep 5; pseudokern stat --since before
    """
    check_is_mounted(directory)
    devices, ticks = _devices(directory / RESULTS), _ticks(directory / "proc/stat")
    applications = _devices(directory / APPLICATIONS)
    if since is not None:
        before = _earlier(since)
        devices, ticks = _less(devices, before["devices"]), _less(ticks, before["ticks"])
        applications = _less(applications, before["applications"])
    cpus = _shares(ticks)
    for device in devices.values():
        _add_shares(device, cpus)
    found = {"devices": devices, "cpus": cpus, "ticks": ticks, "applications": applications}
    click.echo(json.dumps(found, indent=2) if as_json else _table(found))


def _earlier(file: Any) -> Any:
    """What --json wrote."""
    try:
        found = json.load(file)
        return {name: dict(found[name]) for name in ("devices", "ticks", "applications")}
    except (ValueError, KeyError, TypeError):
        why = "not written by this program; make it with: pseudokern stat --json > FILE"
        raise click.BadParameter(f"{file.name!r}: {why}", param_hint="'--since'") from None


def _less(now: Any, before: Any, name: str = "") -> Any:
    """What has been counted since then; what was not there before, or is another, began at 0."""
    if name in STATES_OF_DEVICE:
        return now
    if isinstance(now, dict):
        if not isinstance(before, dict) or _began_anew(now, before):
            return now
        return {key: _less(value, before.get(key), key) for key, value in now.items()}
    if isinstance(now, list) and isinstance(before, list):
        then = {row["queue"]: row for row in before}
        return [_less(row, then.get(row["queue"])) for row in now]
    if isinstance(now, str) and isinstance(before, str) and name in TIMES:
        return f"{_less(int(now.split()[0]), int(before.split()[0]))} us"
    if isinstance(now, int) and isinstance(before, int):
        return now - before if now >= before else now  # an interrupt that was requested anew
    return now


def _began_anew(now: dict[str, Any], before: dict[str, Any]) -> bool:
    """Whether the driver has taken the device again since then, or a thread is another one."""
    fewer = any(
        now[name] < before.get(name, 0) for name in ("offered", "tx_offered") if name in now
    )
    return fewer or now.get("pid") != before.get("pid")


def _devices(folder: Path) -> dict[str, dict[str, object]]:
    return {path.name: _device(path.read_text()) for path in sorted(folder.iterdir())}


def _device(text: str) -> dict[str, object]:
    """A line is a name and a value; or a queue, and then names and values.

    A name with a dot is about a part of what is before the dot.
    """
    device: dict[str, object] = {}
    queues: list[Values] = []
    parts: dict[str, dict[str, Values]] = {}
    for line in text.splitlines():
        first, *words = line.split()
        if len(words) <= 2:  # the second one is a unit
            device[first] = _number(" ".join(words))
        else:
            values = {
                name: _number(value) for name, value in zip(words[::2], words[1::2], strict=False)
            }
            owner, _, part = first.partition(".")
            if part:
                parts.setdefault(owner, {})[part] = values
            else:
                queues.append({"queue": first, **values})
    if queues:
        device["queues"] = queues
    if stages := parts.pop("interrupt", None):
        device["interrupt"] = stages["stages"]
    if parts:
        device["latency"] = parts
    return device


def _add_shares(device: dict[str, object], cpus: dict[str, dict[str, float]]) -> None:
    """What interrupts and softirqs take of the CPU of each queue: all that come there."""
    queues = device.get("queues")
    for queue in queues if isinstance(queues, list) else ():
        if states := cpus.get(f"cpu{queue.get('cpu')}"):
            queue.update({"%irq": states["irq"], "%softirq": states["softirq"]})


def _number(word: str) -> int | str:
    return int(word) if word.isdecimal() else word


def _ticks(stat: Path) -> Ticks:
    """The time of each CPU in each state, in 1/100 s."""
    cpus = {}
    for line in stat.read_text().splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name != "cpu":
            times = (int(field) for field in fields[: len(STATES)])
            cpus[name] = dict(zip(STATES, times, strict=True))
    return cpus


def _shares(ticks: Ticks) -> dict[str, dict[str, float]]:
    """Each CPU's shares of the time, in per cent."""
    cpus = {}
    for name, times in ticks.items():
        total = sum(times.values()) or 1
        cpus[name] = {state: round(100 * time / total, 1) for state, time in times.items()}
    return cpus


def _table(found: dict[str, Any]) -> str:
    lines: list[str] = []
    devices, cpus = found["devices"], found["cpus"]
    for name, device in (*devices.items(), *found["applications"].items()):
        if not device.get("offered") and not device.get("tx_offered"):
            lines.append(f"{name}: idle")
            continue
        totals = [
            f"{key} {value}" for key, value in device.items() if value and not _is_table(value)
        ]
        lines.append(f"{name}: {', '.join(totals)}")
        tables: dict[tuple[str, ...], list[list[str]]] = {}
        for queue in device.get("queues", ()):
            rows = tables.setdefault(tuple(queue), [])
            rows.append(list(map(str, queue.values())))
        for names, rows in tables.items():
            lines += _columns([list(names), *rows])
        lines += _latency_table(device)
    shown = ["user", "system", "irq", "softirq", "idle"]
    if any(cpu["iowait"] for cpu in cpus.values()):
        shown.insert(4, "iowait")
    if any(cpu["nice"] for cpu in cpus.values()):
        shown.insert(1, "nice")
    if any(cpu["steal"] for cpu in cpus.values()):
        shown.insert(-1, "steal")
    head = ["cpu", *(f"%{state}" for state in shown)]
    rows = [[name, *(f"{cpu[state]:.1f}" for state in shown)] for name, cpu in cpus.items()]
    return "\n".join([*lines, *_columns([head, *rows])])


def _is_table(value: object) -> bool:
    return isinstance(value, (list, dict))


def _latency_table(device: dict[str, object]) -> list[str]:
    """From the wire on, and what one interrupt is made of."""
    latency, stages, lines = device.get("latency"), device.get("interrupt"), []
    if isinstance(latency, dict):
        received = {owner: places for owner, places in latency.items() if owner != SENDER}
        if received:
            lines += _places("from the wire of", received)
        if SENDER in latency:
            lines += _places("from the", {SENDER: latency[SENDER]})
    if isinstance(stages, dict):
        parts = [f"{name.removesuffix('_ns')} {value}" for name, value in stages.items()]
        lines.append(f"  an interrupt, in ns: {', '.join(parts)}")
    return lines


def _places(title: str, latency: dict[str, dict[str, Values]]) -> list[str]:
    rows = [
        [f"{owner} to {place}", *map(str, values.values())]
        for owner, places in latency.items()
        for place, values in places.items()
    ]
    head = list(next(iter(next(iter(latency.values())).values())))
    return _columns([[title, *head], *rows])


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
