"""Say where the machine is mounted: the option --at of every command that has to do with one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from pseudokern.cli.main import DEFAULT_DIRECTORY

F = TypeVar("F", bound=Callable[..., Any])


def at_option(meaning: str = "Where it is mounted.") -> Callable[[F], F]:
    """--at DIR; the command gets it as `directory`."""
    return click.option(
        "--at",
        "directory",
        type=click.Path(path_type=Path),
        metavar="DIR",
        default=DEFAULT_DIRECTORY,
        show_default=True,
        help=meaning,
    )


def write_once(path: Path, text: str) -> None:
    """Write text to a file of the machine; OSError is what the machine says of it.

    Python's own files write again when they are closed, if the first time failed.
    """
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, os.fsencode(text))
    finally:
        os.close(descriptor)


def check_is_mounted(directory: Path) -> None:
    """ClickException: no machine is there; it says how to boot one."""
    from pseudokern.run.mountpoint import is_mounted  # boot has another time for it

    if not is_mounted(directory):
        at = "" if directory == DEFAULT_DIRECTORY else f" --at {directory}"
        raise click.ClickException(
            f"{directory}: no machine is mounted; boot one with: pseudokern boot{at}"
        )
