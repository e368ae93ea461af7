"""List the presets, and print one as a file to start from."""

import tomllib

import click

from pseudokern.machine.source import DEFAULT_PRESET, PRESETS, preset_names, preset_path


@click.group("machines", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """List the machines that can be booted by name.

    The file of any of them is a good start for one of your own:

    \b
        pseudokern machines show laptop > mine.toml
        pseudokern boot ./mine.toml
    """
    if context.invoked_subcommand is None:
        width = max(map(len, preset_names()))
        for name in preset_names():
            with (PRESETS / f"{name}.toml").open("rb") as file:
                title = tomllib.load(file)["machine"]["title"]
            default = " (the default)" if name == DEFAULT_PRESET else ""
            click.echo(f"{name:{width}}  {title}{default}")


@command.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Print the machine file of a preset.

    \b
        pseudokern machines show laptop
        pseudokern machines show q4 > mine.toml
    """
    click.echo(preset_path(name).read_text(), nl=False)
