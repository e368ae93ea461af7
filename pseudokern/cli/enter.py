"""Run a program that sees a machine which is booted already."""

from pathlib import Path

import click

from pseudokern.cli.at import at_option, check_is_mounted
from pseudokern.cli.with_program import WithProgram, become
from pseudokern.run import namespace
from pseudokern.run.namespace import NamespaceError
from pseudokern.run.view import show_machine


@click.command("enter", cls=WithProgram)
@at_option()
@click.pass_context
def command(context: click.Context, directory: Path) -> None:
    """Run a program on a machine that is booted.

    CMD, and all that it starts, finds the machine's interrupts, CPUs and devices in /proc and
    /sys; without CMD it is a shell. The machine goes on when CMD ends.

    \b
        pseudokern enter -- mpstat -I SUM -P ALL 1
        pseudokern enter --at /tmp/server
    """
    check_is_mounted(directory)
    try:
        namespace.unshare_mounts()
        show_machine(directory)
        namespace.forget_how_to_mount()
    except NamespaceError as error:
        raise click.ClickException(str(error)) from None
    become(context.obj)
