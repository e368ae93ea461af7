"""Show and set what ethtool shows and sets, for a card of a mounted machine.

The arguments, the output, the errors and the exit statuses are those of ethtool 6.1: most by
netlink, -i, -Q, -S, -x and -X by ioctl. Everything is read from and written to
DIR/sys/kernel/debug/pseudokern/net/NAME; nothing is known here.
"""

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click

from pseudokern.cli.at import at_option, check_shows_machine
from pseudokern.cli.ethtool_device import TOO_LONG, Device, EthtoolError, bad_arguments
from pseudokern.cli.ethtool_features import set_features, show_features, show_features_json
from pseudokern.cli.ethtool_flow_hash import set_flow_hash, show_flow_hash
from pseudokern.cli.ethtool_link import show_link
from pseudokern.cli.ethtool_per_queue import per_queue
from pseudokern.cli.ethtool_rxfh import set_rxfh, show_rxfh
from pseudokern.cli.ethtool_settings import (
    set_channels,
    set_coalesce,
    set_pause,
    set_ring,
    show_channels,
    show_coalesce,
    show_pause,
    show_pause_json,
    show_ring,
)

NET = Path("sys/kernel/debug/pseudokern/net")
VERSION = "ethtool version 6.1\n"
NO_STATISTICS, NO_STRINGS, NO_DRIVER = 94, 96, 71  # exit statuses

Run = Callable[[Device, Sequence[str]], str]


class Option(NamedTuple):
    """One option, by its long names. status: of ethtool when the kernel refuses."""

    longs: tuple[str, ...]
    run: Run
    status: int = 1


@click.command(
    "ethtool",
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": [],
    },
)
@at_option()
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(context: click.Context, directory: Path, arguments: tuple[str, ...]) -> None:
    """Show and set what a network card can do, as ethtool does.

    \b
        pseudokern ethtool eth0
        pseudokern ethtool -c eth0                       # show: -a -c -g -i -k -l -P -S -x
        pseudokern ethtool -C eth0 rx-usecs 50           # set: -A -C -G -K -L -X
        pseudokern ethtool -Q eth0 queue_mask 0x3 --coalesce rx-usecs 20
        pseudokern ethtool -L eth0 combined 2
        pseudokern ethtool -X eth0 equal 2
        pseudokern ethtool -N eth0 rx-flow-hash udp4 sdfn
        pseudokern ethtool --json -k eth0                # also -a
    """
    if arguments in (("-h",), ("--help",)):
        click.echo(VERSION + context.get_help())
        return
    if arguments == ("--version",):
        click.echo(VERSION, nl=False)
        return
    check_shows_machine(directory)
    try:
        click.echo(_run(directory / NET, list(arguments)), nl=False)
    except EthtoolError as error:
        click.echo(error.printed, nl=False)
        if str(error):
            click.echo(str(error), err=True)
        context.exit(error.status)


def _run(net: Path, arguments: list[str]) -> str:
    is_json, statistics = _flags(arguments)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in _BY_OPTION):
        raise bad_arguments()
    option = arguments.pop(0) if arguments[0].startswith("-") else ""
    if not arguments or (is_json and not option):
        raise bad_arguments()
    short, found = _BY_OPTION[option]
    run = found.run
    if is_json:
        if short not in _JSON:
            raise bad_arguments()
        run = _JSON[short]
        if short == "-a":
            run = partial(show_pause_json, statistics=statistics)
    name, *rest = arguments
    return run(Device(net / name, name, short, found.status), rest)


def _flags(arguments: list[str]) -> tuple[bool, bool]:
    """Take what stands before the option: whether to print JSON, and statistics too."""
    is_json = statistics = False
    while arguments:
        match arguments[0]:
            case "--json":
                is_json = True
            case "-I" | "--include-statistics":
                statistics = True
            case "--debug":
                if len(arguments) < 2 or not arguments[1].isdecimal():
                    raise bad_arguments()
                del arguments[0]
            case _:
                break
        del arguments[0]
    return is_json, statistics


def _show_driver(device: Device, rest: Sequence[str]) -> str:
    if device.is_too_long:
        raise EthtoolError(TOO_LONG)
    if rest:
        raise bad_arguments()
    try:
        found = device.read("driver")
    except OSError as error:
        text = f"Cannot get driver information: {os.strerror(error.errno or 0)}"
        raise EthtoolError(text, NO_DRIVER) from None
    supports = {name: found.get(f"supports-{name}", "no") for name in _SUPPORTS}
    return (
        f"driver: {found['driver']}\n"
        f"version: {found['version']}\n"
        f"firmware-version: {found['firmware-version']}\n"
        "expansion-rom-version: \n"
        f"bus-info: {found['bus-info']}\n"
        "supports-statistics: yes\n"
    ) + "".join(f"supports-{name}: {can}\n" for name, can in supports.items())


def _show_stats(device: Device, rest: Sequence[str]) -> str:
    if rest:
        raise EthtoolError(f"ethtool (-S): unknown parameter '{rest[0]}'")
    if device.is_too_long:
        raise EthtoolError("ioctl-only request, device name longer than 15 not supported")
    if not device.exists:
        text = f"Cannot get stats strings information: {os.strerror(errno.ENODEV)}"
        raise EthtoolError(text, NO_STRINGS)
    try:
        text = device.text("stats")
    except OSError:
        raise EthtoolError("no stats available", NO_STATISTICS) from None
    return "NIC statistics:\n" + "".join(f"     {line}\n" for line in text.splitlines())


def _show_address(device: Device, _rest: Sequence[str]) -> str:
    """-P: that which it was made with; nobody can set another."""
    if not device.exists:
        raise EthtoolError(f"netlink error: {os.strerror(errno.ENODEV)}")
    mount = device.folder.parents[len(NET.parts)]
    address = (mount / "sys/class/net" / device.name / "address").read_text()
    return f"Permanent address: {address}"


def _per_queue(device: Device, rest: Sequence[str]) -> str:
    return per_queue(device, rest, list(_BY_OPTION))


_SUPPORTS = ("test", "eeprom-access", "register-dump", "priv-flags")
_OPTIONS: Mapping[str, Option] = {
    "": Option((), show_link),
    "-a": Option(("--show-pause",), show_pause),
    "-A": Option(("--pause",), set_pause, 76),
    "-c": Option(("--show-coalesce",), show_coalesce),
    "-C": Option(("--coalesce",), set_coalesce),
    "-g": Option(("--show-ring",), show_ring),
    "-G": Option(("--set-ring",), set_ring, 81),
    "-i": Option(("--driver",), _show_driver),
    "-k": Option(("--show-features", "--show-offload"), show_features),
    "-K": Option(("--features", "--offload"), set_features, 92),
    "-l": Option(("--show-channels",), show_channels),
    "-L": Option(("--set-channels",), set_channels),
    "-n": Option(("-u", "--show-nfc", "--show-ntuple"), show_flow_hash),
    "-N": Option(("-U", "--config-nfc", "--config-ntuple"), set_flow_hash),
    "-P": Option(("--show-permaddr",), _show_address),
    "-Q": Option(("--per-queue",), _per_queue),
    "-S": Option(("--statistics",), _show_stats),
    "-x": Option(("--show-rxfh-indir", "--show-rxfh"), show_rxfh),
    "-X": Option(("--set-rxfh-indir", "--rxfh"), set_rxfh),
}
_JSON: Mapping[str, Run] = {
    "-a": partial(show_pause_json, statistics=False),
    "-k": show_features_json,
}
_BY_OPTION = {
    word: (short, option) for short, option in _OPTIONS.items() for word in (short, *option.longs)
}
