"""Load a module into a mounted machine, by its debug file; the texts are those of kmod's insmod."""

import errno
import os
import shlex
from pathlib import Path

import click

from pseudokern.cli.at import at_option, check_is_mounted, write_once

LOAD = Path("sys/kernel/debug/pseudokern/modules/load")

# What insmod says of some errors of init_module(2); EFAULT is ours, Linux kills insmod then.
_MEANINGS = {
    errno.ENOENT: "Unknown symbol in module",
    errno.ENOEXEC: "Invalid module format",
    errno.EINVAL: "Invalid parameters",
    errno.EFAULT: "init() raised an exception",
    errno.EIO: "the kernel has panicked",
}
_TOLD_IN_LOG = {errno.ENOEXEC, errno.EINVAL, errno.EFAULT, errno.EIO}


@click.command("insmod")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.py")
@click.argument("parameters", nargs=-1, metavar="[PARAMETER=VALUE]...")
@at_option()
def command(file: Path, parameters: tuple[str, ...], directory: Path) -> None:
    """Load a module: run the code of a Python file inside a machine.

    Only the user who booted the machine may, and root. The file is run by the machine's process,
    with that user's rights: load what you trust. docs/modules.md says how to write one.

    \b
        pseudokern insmod heartbeat.py interval=2
        pseudokern dmesg -w
        pseudokern rmmod heartbeat
    """
    check_is_mounted(directory)
    if not file.is_file():
        why = os.strerror(errno.ENOENT)
        raise click.ClickException(f"insmod: ERROR: could not load module {file}: {why}")
    words = [shlex.quote(word) for word in (str(file.resolve()), *parameters)]
    try:
        write_once(directory / LOAD, " ".join(words))
    except OSError as error:
        number = error.errno or errno.EIO
        said = _MEANINGS.get(number, os.strerror(number))
        if number in _TOLD_IN_LOG:
            at = "" if directory == Path("mountpoint") else f" --at {directory}"
            said += f"; see: pseudokern dmesg{at}"
        text = f"insmod: ERROR: could not insert module {file}: {said}"
        raise click.ClickException(text) from None
