"""Report every problem of machine files without booting them."""

import click

from pseudokern.cli.main import MISUSED, complain
from pseudokern.drivers.keys import plural
from pseudokern.machine.description import load
from pseudokern.machine.problems import DescriptionErrors


@click.command("check")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
def command(files: tuple[str, ...]) -> int:
    """Report every problem of machine files, one a line.

    A line names the file, the line, the device and the key, and says what to do. The exit
    status is 2 if there was any. A preset's name will do instead of a file.

    \b
        pseudokern check ./mine.toml
        pseudokern check *.toml
    """
    status = 0
    for name in files:
        try:
            machine = load(name)
        except DescriptionErrors as error:
            complain(str(error))
            status = MISUSED
        else:
            cpus = plural(machine.topology.plugged_in, "CPU")
            click.echo(f"{name}: {cpus}, {plural(len(machine.devices), 'device')}, no problems")
    return status
