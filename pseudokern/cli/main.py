"""Parse the command line, run a command, turn failures into one line and an exit status.

0: it worked. 1: it did not, for a reason that is told in one line. 2: the command line or a
machine file is wrong.

A command's module is imported only when it is typed: boot needs a hundred times what machines
does, and shells ask for --help a lot.
"""

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from pseudokern import compiled
from pseudokern.machine.problems import DescriptionErrors

DEFAULT_DIRECTORY = Path("mountpoint")  # in the current directory

FAILED = 1
MISUSED = 2
INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it

# The commands, with the line that --help prints, so that --help need not import them.
COMMANDS = {
    "boot": "Boot a machine and mount its /proc and /sys.",
    "run": "Run a program on a machine of its own.",
    "enter": "Run a program on a machine that is booted.",
    "halt": "Shut a machine down and unmount it.",
    "dmesg": "Print the kernel log of a machine.",
    "insmod": "Load a module into a machine.",
    "rmmod": "Unload a module.",
    "lsmod": "List the modules that are loaded.",
    "stat": "Show what devices did, and what CPUs spent their time with.",
    "ethtool": "Show and set what a network card can do.",
    "nvme": "Show and set features of an NVMe drive.",
    "machines": "List the machines that can be booted by name.",
    "check": "Report every problem of machine files.",
    "snapshot": "Describe a real machine as a machine file.",
}


class Commands(click.Group):
    """The commands, each in a module of its own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"pseudokern.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        import platform  # few ask
        from importlib.metadata import version

        python = f"Python {platform.python_version()}"
        build = "compiled" if compiled.is_compiled() else "interpreted"
        click.echo(f"pseudokern {version('pseudokern')}, {python}, {build}")
        context.exit()


@click.command(cls=Commands, invoke_without_command=True)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version, that of Python, and whether it is compiled.",
)
@click.pass_context
def pseudokern(context: click.Context) -> None:
    """Boot a simulated Linux kernel and use its interrupts with ordinary tools.

    \b
        pseudokern boot laptop
        watch -n 0.5 cat mountpoint/proc/interrupts
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    if problem := compiled.problem():
        complain(problem)
        return FAILED
    # Nothing is garbage yet, and looking for it costs an eighth of the time until a machine is up.
    gc.disable()
    try:
        status = pseudokern.main(arguments, prog_name="pseudokern", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except DescriptionErrors as error:
        complain(str(error))
        return MISUSED
    except click.UsageError as error:
        complain(_usage(error))
        return MISUSED
    except click.ClickException as error:
        complain(error.format_message())
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        drop_output()  # the reader went away (| head)
        return FAILED
    finally:
        gc.enable()


def drop_output() -> None:
    """Throw away what is still to be printed; Python would complain again when it flushes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(text: str) -> None:
    """Print lines that say where, what, and what to do."""
    click.echo(text, err=True)


def _usage(error: click.UsageError) -> str:
    """click's message in our words: lower case, no full stop, what to do."""
    path = error.ctx.command_path if error.ctx is not None else "pseudokern"
    text = error.format_message()
    if isinstance(error, click.NoSuchOption):
        text = f"unknown option {error.option_name}"
        if error.possibilities:
            text += f"; did you mean {' or '.join(error.possibilities)}?"
    elif isinstance(error, click.BadParameter) and error.param is not None and error.message:
        joint = " " if error.message.startswith("is ") else ": "
        text = f"{error.param.opts[0]}{joint}{error.message}"
    text = f"{path}: {text[:1].lower()}{text[1:]}".rstrip(".")
    return text if ";" in text else f"{text}; see: {path} --help"
