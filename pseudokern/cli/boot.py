"""Read what to boot and how, then run it: here, or in a process of its own.

trio and libfuse are imported last, so that a mistake is told before anything else happens.
"""

import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pseudokern.cli.at import at_option
from pseudokern.cli.detach import run_detached
from pseudokern.cli.main import drop_output
from pseudokern.machine.description import KERNELS, MOST_CPUS, Description, Overrides, load
from pseudokern.machine.source import DEFAULT_PRESET
from pseudokern.run.mountpoint import MountError
from pseudokern.run.options import BootError, BootOptions, Clock
from pseudokern.sim.clock import FASTEST
from pseudokern.sim.quantity import QuantityError, parse_duration_ns


def _duration_ns(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> int | None:
    try:
        return None if value is None else parse_duration_ns(value)
    except QuantityError as error:
        raise click.BadParameter(str(error), context, parameter) from None


def _speed(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        speed = float(value)
    except ValueError:
        speed = math.nan
    if not 0 < speed <= FASTEST:
        hint = f"write a number above 0, up to {FASTEST:g}; to stop time use --clock step"
        raise click.BadParameter(f'is "{value}"; {hint}', context, parameter)
    return speed


@click.command("boot")
@click.argument("machine", default=DEFAULT_PRESET)
@at_option("Where to mount.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    help="Repeat an earlier run.  [default: from the machine file]",
)
@click.option(
    "--clock",
    type=click.Choice(["wall", "free", "step"]),
    default="wall",
    show_default=True,
    help="wall: one second is one second. free: as fast as possible. step: stands still until "
    "something is written to sys/kernel/debug/pseudokern/clock/advance.",
)
@click.option(
    "--speed",
    callback=_speed,
    metavar="X",
    help="With the wall clock: X simulated seconds in one real second.  [default: 1]",
)
@click.option(
    "--for",
    "for_ns",
    callback=_duration_ns,
    metavar="DURATION",
    help="Stop the clock after this much simulated time, such as 10s or 250ms, and exit. "
    "With --detach the files stay readable until halt.",
)
@click.option(
    "--cmdline",
    metavar="WORDS",
    default="",
    help='Boot parameters, after those of the machine, such as "threadirqs irqaffinity=0-1".',
)
@click.option(
    "--kernel",
    type=click.Choice(KERNELS),
    help="Which Linux to be.  [default: from the machine file]",
)
@click.option(
    "--cpus",
    type=click.IntRange(1, MOST_CPUS),
    metavar="N",
    help="Another number of CPUs than the machine file's.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="JOURNAL",
    help="Note every write from outside.",
)
@click.option(
    "--replay",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="JOURNAL",
    help="Feed back writes recorded with --record.",
)
@click.option("--detach", is_flag=True, help="Return once it is mounted; halt ends it.")
def command(machine: str, directory: Path, *, detach: bool, **given: Any) -> None:
    """Boot a machine and mount its /proc and /sys.

    MACHINE is a preset's name or the path of a machine file. Ctrl-C shuts it down and unmounts.
    While it runs, use any tool you like:

    \b
        cat mountpoint/proc/interrupts
        echo 3 > mountpoint/proc/irq/24/smp_affinity
    """
    options = read_options(machine, directory, exit_when_done=not detach, **given)
    try:
        if detach:
            run_detached(directory, lambda ready: run_until_halted(options, ready))
            _say_what_to_type(options)
        else:
            run_until_halted(options, lambda: _say_what_to_type(options))
    except (MountError, BootError) as error:
        raise click.ClickException(str(error)) from None


def read_options(
    machine: str,
    directory: Path,
    *,
    seed: int | None,
    clock: Clock,
    speed: float | None,
    for_ns: int | None,
    cmdline: str,
    kernel: str | None,
    cpus: int | None,
    record: Path | None,
    replay: Path | None,
    exit_when_done: bool,
) -> BootOptions:
    """What the options of the command line come to, or a complaint about them."""
    if speed is not None and clock != "wall":
        raise click.UsageError(f"--speed goes with --clock wall, not with --clock {clock}")
    if record is not None and replay is not None:
        raise click.UsageError("--record and --replay cannot go together; choose one")
    if replay is not None and not replay.is_file():
        raise click.UsageError(f"--replay {replay} does not exist; make one with --record")
    description = load(machine, Overrides(seed, kernel, cpus, cmdline))
    return BootOptions(
        description=description,
        at=directory,
        seed=description.seed,
        kernel=description.kernel,
        clock=clock,
        speed=1.0 if speed is None else speed,
        for_ns=for_ns,
        exit_when_done=exit_when_done,
        record=record,
        replay=replay,
    )


def run_until_halted(options: BootOptions, ready: Callable[[], None]) -> None:
    from pseudokern.run.supervisor import run_machine

    run_machine(options, ready=ready)


def _say_what_to_type(options: BootOptions) -> None:
    at = shlex.quote(str(options.at))
    name = options.description.name
    try:
        click.echo(f"{name} is up; to watch it:  watch -n 0.5 cat {at}/proc/interrupts")
        click.echo(f"to move an interrupt:  {_retarget(at, options.description)}")
    except BrokenPipeError:
        drop_output()  # nobody reads it, but the machine is up


def _retarget(at: str, description: Description) -> str:
    """A write that works on this machine: the first message-signalled interrupt, if it has any."""
    parameters = description.parameters
    has_msi = any("bdf" in device.options for device in description.devices)
    if not has_msi or parameters.nomsi or parameters.noapic:
        return f"echo 1 > {at}/proc/irq/default_smp_affinity"
    mask = 3 if description.topology.nr_cpu_ids > 1 else 1
    return f"echo {mask} > {at}/proc/irq/{description.gsis}/smp_affinity"
