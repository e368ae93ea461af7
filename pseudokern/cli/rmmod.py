"""Unload a module of a mounted machine, by its debug file; the texts are those of kmod's rmmod."""

import errno
import os
from pathlib import Path

import click

from pseudokern.cli.at import at_option, check_is_mounted, write_once

UNLOAD = Path("sys/kernel/debug/pseudokern/modules/unload")


@click.command("rmmod")
@click.argument("name", metavar="NAME")
@at_option()
def command(name: str, directory: Path) -> None:
    """Unload a module: call its exit(), and forget it.

    What exit() does not give back, a timer or an interrupt, is told of in the log and taken back.

    \b
        pseudokern lsmod
        pseudokern rmmod heartbeat
    """
    check_is_mounted(directory)
    module = Path(name).name.removesuffix(".py").replace("-", "_")
    try:
        write_once(directory / UNLOAD, module)
    except OSError as error:
        raise click.ClickException(f"rmmod: ERROR: {_text(module, error)}") from None


def _text(module: str, error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return f"Module {module} is not currently loaded"
    if error.errno == errno.EWOULDBLOCK:
        return f"Module {module} is in use"
    return f"could not remove module {module}: {os.strerror(error.errno or errno.EIO)}"
