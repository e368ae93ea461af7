"""Show and set what NVMe controllers have, as nvme-cli does, for a drive of a mounted machine.

The arguments, the output and the errors are those of nvme-cli 2.3, without the usage that it adds
to some. Everything is read from and written to DIR/sys/kernel/debug/pseudokern/nvme/NAME.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from pseudokern.cli.at import at_option, check_shows_machine
from pseudokern.cli.nvme_device import NVME, NvmeError
from pseudokern.cli.nvme_feature import get_feature, set_feature
from pseudokern.cli.nvme_identify import id_ctrl, list_drives

VERSION = "nvme version 2.3 (git 2.3)\nlibnvme version 1.3 (git 1.3)\n"
_COMMANDS: Mapping[str, Callable[[Path, Sequence[str]], str | bytes]] = {
    "get-feature": get_feature,
    "id-ctrl": id_ctrl,
    "list": list_drives,
    "set-feature": set_feature,
}


@click.command(
    "nvme",
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": ["--help"],
    },
)
@at_option()
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(context: click.Context, directory: Path, arguments: tuple[str, ...]) -> None:
    """Show and set what NVMe drives have, as nvme-cli does.

    \b
        pseudokern nvme list
        pseudokern nvme id-ctrl /dev/nvme0 -o json
        pseudokern nvme get-feature /dev/nvme0 -f 8 -H
        pseudokern nvme set-feature /dev/nvme0 -f 8 -v 0x107   # 8 completions, 100 us
        pseudokern nvme set-feature /dev/nvme0 -f 9 -v 0x10002  # but not for vector 2
    """
    name, *rest = arguments or ("help",)
    if name == "help":
        click.echo(context.get_help())
        return
    if name in ("version", "--version"):
        click.echo(VERSION, nl=False)
        return
    check_shows_machine(directory)
    try:
        if name not in _COMMANDS:
            known = f"there are {', '.join(_COMMANDS)}, and version"
            raise NvmeError("", f"ERROR: Invalid sub-command '{name.lstrip('-')}'\n{known}\n")
        click.echo(_COMMANDS[name](directory / NVME, rest), nl=False)
    except NvmeError as error:
        click.echo(error.printed, nl=False)
        if str(error):
            click.echo(str(error), err=True)
        context.exit(1)
