"""Read what a real machine says of itself, and write it down as a machine file."""

import sys
import time
from pathlib import Path

import click

from pseudokern.fs.likeness import prove
from pseudokern.machine.problems import DescriptionErrors
from pseudokern.machine.snapshot import Snapshot, SnapshotError
from pseudokern.machine.snapshot_files import MOST_BYTES, Recording, read_directories
from pseudokern.machine.snapshot_rows import InterruptsError
from pseudokern.machine.snapshot_text import read_text
from pseudokern.sim.quantity import NS_PER_SECOND, QuantityError, parse_duration_ns

STANDARD_INPUT = "-"


def _duration_s(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> float | None:
    if value is None:
        return None
    try:
        duration_ns = parse_duration_ns(value)
    except QuantityError as error:
        raise click.BadParameter(str(error), context, parameter) from None
    if not duration_ns:
        raise click.BadParameter("is 0; rates need some time between", context, parameter)
    return duration_ns / NS_PER_SECOND


@click.command("snapshot")
@click.argument("recorded", required=False, metavar="[RECORDED]")
@click.option(
    "--proc",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Where /proc is, or a copy of it.  [default: /proc]",
)
@click.option(
    "--sys",
    "sysfs",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Where /sys is, or a copy of it.  [default: /sys, unless --proc is given]",
)
@click.option(
    "--again",
    metavar="RECORDED|DURATION",
    help="What the same machine said later, for the rates of its interrupts; or how long to "
    "wait before /proc is read once more, such as 10s.",
)
@click.option(
    "--interval",
    callback=_duration_s,
    metavar="DURATION",
    help="The time between the two.  [default: as their uptime or stat tell]",
)
@click.option(
    "-o",
    "output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where the machine file goes.  [default: standard output]",
)
def command(
    recorded: str | None,
    proc: Path | None,
    sysfs: Path | None,
    again: str | None,
    interval: float | None,
    output: Path | None,
) -> None:
    """Describe a real machine as a machine file.

    Reads /proc and /sys of this machine and changes nothing. Or give it what was RECORDED on
    another: a directory that has proc and sys in it, a text that shows files of them one after
    the other, such as a bug report, or - for standard input. /proc/interrupts alone is enough;
    what is not known is assumed, and the file says so.

    \b
        pseudokern snapshot --again 10s -o prod7.toml
        pseudokern snapshot bug-report.txt -o theirs.toml
        ssh prod7 head -n 2000 /proc/interrupts /proc/cpuinfo | pseudokern snapshot -
    """
    if recorded is not None and (proc is not None or sysfs is not None):
        raise click.UsageError("--proc and --sys go without RECORDED; choose one")
    if recorded is None and proc is None and sysfs is not None:
        raise click.UsageError("--sys alone has no interrupts; say --proc too")
    first = _read(recorded, proc, sysfs)
    second = None if again is None else _read_again(again, recorded, proc, sysfs)
    name = recorded if recorded not in (None, STANDARD_INPUT) else str(proc) if proc else ""
    try:
        snapshot = Snapshot(first, second, interval, f", from {name}" if name else "")
        proven = prove(snapshot)
    except (InterruptsError, SnapshotError) as error:
        raise click.ClickException(f"{name or 'snapshot'}: {error}") from None
    except DescriptionErrors as error:
        what = str(error).splitlines()[0]
        raise click.ClickException(f"{name or 'snapshot'}: cannot be described: {what}") from None
    if output is None:
        click.echo(proven.text, nl=False)
        return
    try:
        output.write_text(proven.text)
    except OSError as error:
        what = (error.strerror or str(error)).lower()
        raise click.ClickException(f"{output}: cannot be written: {what}") from None
    assumed, different = len(snapshot.assumed), len(proven.remarks)
    click.echo(f"{output}: {snapshot.size}; {assumed} assumed, {different} different: see its top")
    path = output if output.is_absolute() else f"./{output}"
    click.echo(f"to boot it:  pseudokern boot {path}")


def _read(recorded: str | None, proc: Path | None, sysfs: Path | None) -> Recording:
    if recorded is None:
        if proc is None:
            return read_directories(Path("/proc"), Path("/sys"))
        return read_directories(proc, sysfs)
    if recorded == STANDARD_INPUT:
        return read_text(sys.stdin.buffer.read(MOST_BYTES).decode(errors="replace"))
    path = Path(recorded)
    try:
        if path.is_dir():
            return read_directories(path / "proc", path / "sys")
        with path.open("rb") as file:
            return read_text(file.read(MOST_BYTES).decode(errors="replace"))
    except OSError as error:
        what = (error.strerror or str(error)).lower()
        raise click.UsageError(f"{recorded} cannot be read: {what}") from None


def _read_again(
    again: str, recorded: str | None, proc: Path | None, sysfs: Path | None
) -> Recording:
    if Path(again).exists():
        return _read(again, None, None)
    try:
        wait_ns = parse_duration_ns(again)
    except QuantityError:
        hint = "give a file, a directory, or a time such as 10s"
        raise click.UsageError(f'--again "{again}" is not there; {hint}') from None
    if recorded is not None:
        raise click.UsageError("--again DURATION reads a live /proc; give what was recorded later")
    time.sleep(wait_ns / NS_PER_SECOND)
    return _read(None, proc, sysfs)
