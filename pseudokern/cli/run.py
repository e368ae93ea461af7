"""Boot a machine for one program, which is all that sees it, and halt it when that ends."""

import os
from pathlib import Path
from typing import Any

import click

from pseudokern.cli import boot
from pseudokern.cli.detach import run_detached
from pseudokern.cli.with_program import WithProgram, become
from pseudokern.run import namespace
from pseudokern.run.mountpoint import MountError
from pseudokern.run.namespace import NamespaceError
from pseudokern.run.options import BootError
from pseudokern.run.view import show_machine

# Where the machine is mounted if nobody asked to see it from outside: in a mount namespace of its
# own, so that this computer's tree stays as it is, and on what must not be seen anyway.
HIDDEN = Path("/proc/irq")

_AT = click.Option(
    ["--at", "directory"],
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Mount it there too, for programs outside, and for enter.",
)
_NOT_TAKEN = ("detach", "directory")


@click.command(
    "run",
    cls=WithProgram,
    params=[_AT, *(each for each in boot.command.params if each.name not in _NOT_TAKEN)],
)
@click.pass_context
def command(context: click.Context, /, machine: str, directory: Path | None, **given: Any) -> None:
    """Run a program on a machine of its own, and halt the machine when it ends.

    MACHINE is a preset's name or the path of a machine file. CMD, and all that it starts, finds
    that machine's interrupts, CPUs and devices in /proc and /sys; without CMD it is a shell.
    Needs no root.

    \b
        pseudokern run server-64 -- irqbalance --oneshot --debug
        pseudokern run --cpus 288 -- bash
    """
    options = boot.read_options(machine, directory or HIDDEN, exit_when_done=False, **given)
    try:
        if directory is None:
            namespace.unshare_mounts()
            options = options._replace(covers=True)
        # However this process ends, as CMD later on, the machine hears of it.
        options = options._replace(lives_with=os.pidfd_open(os.getpid()))
        run_detached(
            directory or Path("run"),
            lambda ready: boot.run_until_halted(options, ready),
            orphan=True,
        )
        # The machine's process must go on to see the real files: it would wait for itself.
        namespace.unshare_mounts()
        show_machine(options.at)
        namespace.forget_how_to_mount()
    except (MountError, BootError, NamespaceError) as error:
        raise click.ClickException(str(error)) from None
    become(context.obj)
