"""Shut a machine down from outside, or clean up after one that was killed."""

import os
import time
from contextlib import suppress
from pathlib import Path

import click

from pseudokern.cli.at import at_option
from pseudokern.cli.main import DEFAULT_DIRECTORY
from pseudokern.run.mountpoint import (
    MountError,
    clean_dead_mount,
    is_dead,
    is_mounted,
)

HALT = Path("sys/kernel/debug/pseudokern/halt")
PATIENCE_S = 10.0
POLL_S = 0.01


@click.command("halt")
@at_option()
def command(directory: Path) -> None:
    """Shut a machine down and unmount it.

    Returns once DIR is an ordinary directory again. If the machine was killed, its dead mount
    is taken away.

    \b
        pseudokern halt
        pseudokern halt --at /tmp/server
    """
    try:
        if clean_dead_mount(directory):
            click.echo(f"{directory}: its machine was dead; unmounted")
            return
        if not is_mounted(directory):
            raise click.ClickException(
                f"{directory}: no machine is mounted; boot one with: "
                f"pseudokern boot{_at(directory)}"
            )
        _ask(directory)
        _wait_until_unmounted(directory)
    except MountError as error:
        raise click.ClickException(str(error)) from None


def _ask(directory: Path) -> None:
    try:
        file = os.open(directory / HALT, os.O_WRONLY)
    except OSError as error:
        if is_dead(directory) or not is_mounted(directory):
            return  # somebody else was faster
        why = (error.strerror or str(error)).lower()
        raise click.ClickException(
            f"{directory}: it cannot be told to halt: {why}; "
            f"unmount it with: fusermount -u {directory}"
        ) from None
    # It may be gone before it has answered; close() asks it, too.
    with suppress(OSError):
        os.write(file, b"1\n")
    with suppress(OSError):
        os.close(file)


def _wait_until_unmounted(directory: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while is_mounted(directory):
        if clean_dead_mount(directory):
            return
        if time.monotonic() > deadline:
            raise click.ClickException(
                f"{directory}: still mounted after {PATIENCE_S:.0f} s; "
                f"unmount it with: fusermount -uz {directory}"
            )
        time.sleep(POLL_S)


def _at(directory: Path) -> str:
    return "" if directory == DEFAULT_DIRECTORY else f" --at {directory}"
