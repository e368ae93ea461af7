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
        raise _no_machine(directory)


def check_shows_machine(directory: Path) -> None:
    """The same for a command that also works inside `run`, where the files of a machine are in /sys
    and nothing is mounted on a directory of its own."""
    if not (directory / "sys/kernel/debug/pseudokern").is_dir():
        raise _no_machine(directory)


def _no_machine(directory: Path) -> click.ClickException:
    at = "" if directory == DEFAULT_DIRECTORY else f" --at {directory}"
    return click.ClickException(
        f"{directory}: no machine is mounted; boot one with: pseudokern boot{at}"
    )
