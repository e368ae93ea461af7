"""List the modules of a mounted machine, from its /proc/modules, as kmod's lsmod does."""

from pathlib import Path

import click

from pseudokern.cli.at import at_option, check_is_mounted

MODULES = Path("proc/modules")


@click.command("lsmod")
@at_option()
def command(directory: Path) -> None:
    """List the modules that are loaded, with their size and how often they are in use.

    It is DIR/proc/modules, made readable. Drivers of the machine file are no modules.

    \b
        pseudokern lsmod
        cat mountpoint/proc/modules
    """
    check_is_mounted(directory)
    click.echo("Module                  Size  Used by")
    for line in (directory / MODULES).read_text().splitlines():
        name, size, uses, users, *_ = line.split()
        by = users.rstrip(",")
        row = f"{name:<19} {int(size):8}  {uses}"
        click.echo(row if by == "-" else f"{row} {by}")
