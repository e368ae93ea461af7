"""Take apart a command line with a program behind --, and become that program.

The program takes the place of this process: its signals, its terminal, its exit status and its
end are those that the shell sees, with nobody in between who could get them wrong.
"""

import os
import signal
from typing import NoReturn

import click

from pseudokern.cli.main import complain
from pseudokern.run.shims import environment_inside

_PUT_DASHES = "put -- before the program; like this: pseudokern run laptop -- nproc"

NOT_EXECUTABLE = 126  # as shells and env(1) have them
NOT_FOUND = 127


class WithProgram(click.Command):
    """A command whose last arguments, behind --, are a program and its arguments."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own, program = args, []
        if "--" in args:
            place = args.index("--")
            own, program = args[:place], args[place + 1 :]
        ctx.obj = program or [os.environ.get("SHELL") or "/bin/sh"]
        try:
            return super().parse_args(ctx, list(own))
        except click.UsageError as error:
            if not program and "unexpected extra argument" in error.message:
                raise click.UsageError(f"{own[-1]}: {_PUT_DASHES}", ctx) from None
            raise

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- CMD ARG...]"]


def become(program: list[str]) -> NoReturn:
    """Replace this process by program, which sees the machine already.

    click.exceptions.Exit  there is no such program
    """
    # Python ignores these two, and a program would inherit that.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    environment = environment_inside()
    try:
        os.execvpe(program[0], program, environment)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        complain(f"{program[0]}: {(error.strerror or str(error)).lower()}")
        raise click.exceptions.Exit(NOT_FOUND if missing else NOT_EXECUTABLE) from None
