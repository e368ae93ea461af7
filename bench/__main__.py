"""scripts/bench [--quick] [--record] [NAME...]: measure, and say what is reached."""

import os

import click

from bench import compile as compiling
from bench import hotplug, interrupts, mount, packets, rendering, start
from bench.figure import Result
from bench.table import as_text, record
from pseudokern import compiled

GROUPS = {
    "interrupts": interrupts.measure,
    "packets": packets.measure,
    "mount": mount.measure,
    "rendering": rendering.measure,
    "hotplug": hotplug.measure,
    "compile": compiling.measure,
    "start": start.measure,
}
REPEATS, QUICK_REPEATS = 9, 3


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(GROUPS)), metavar="[NAME]...")
@click.option("--quick", is_flag=True, help="Fewer repeats: less to wait for, more noise.")
@click.option("--record", "keep", is_flag=True, help="Write the table to bench/RESULTS.md.")
def main(names: tuple[str, ...], quick: bool, keep: bool) -> None:
    """Measure the figures of speed, or those that are named: interrupts, packets, mount,
    rendering, hotplug, compile, start.

    But for hotplug all are ratios in one run, made of the medians of repeats that take turns.
    """
    if problem := compiled.problem():
        raise click.ClickException(problem)
    other_load, _, _ = os.getloadavg()
    results: list[Result] = []
    for name in names or GROUPS:
        click.echo(f"{name} ...", err=True)
        results += GROUPS[name](QUICK_REPEATS if quick else REPEATS)
    click.echo(as_text(results))
    if keep:
        record(results, other_load)


if __name__ == "__main__":
    main(prog_name="scripts/bench")
