"""Show and set what ethtool shows and sets, for a card of a mounted machine.

The arguments, the output and the errors are those of ethtool 6.1, which speaks netlink. Everything
is read from and written to DIR/sys/kernel/debug/pseudokern/net/NAME; nothing is known here.
"""

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import click

from pseudokern.cli.at import at_option, check_shows_machine

NET = Path("sys/kernel/debug/pseudokern/net")
HEADERS = 16 + 4 + 4 + 4  # of the message, of generic netlink, of the nest and of the name
PER_ATTRIBUTE = 8
NO_DEVICE_OFFSET = 24
BAD_ARGUMENTS = "ethtool: bad command line argument(s)\nFor more information run ethtool -h"

_COALESCE_ROWS = (
    ("stats-block-usecs", "sample-interval", "pkt-rate-low", "pkt-rate-high"),
    ("rx-usecs", "rx-frames", "rx-usecs-irq", "rx-frames-irq"),
    ("tx-usecs", "tx-frames", "tx-usecs-irq", "tx-frames-irq"),
    ("rx-usecs-low", "rx-frame-low", "tx-usecs-low", "tx-frame-low"),
    ("rx-usecs-high", "rx-frame-high", "tx-usecs-high", "tx-frame-high"),
)
_COALESCE = ("adaptive-rx", "adaptive-tx", *(name for row in _COALESCE_ROWS for name in row))


class EthtoolError(Exception):
    """What ethtool says, and its exit status."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


class Device(NamedTuple):
    """One interface, by its files."""

    folder: Path
    name: str
    option: str

    def read(self, file: str) -> dict[str, str]:
        return dict(line.split(" ", 1) for line in self.text(file).splitlines())

    def text(self, file: str) -> str:
        """EOPNOTSUPP: the card has no such thing, and so no such file."""
        return self._path(file).read_text()

    def write(self, file: str, words: Sequence[str]) -> None:
        self._path(file).write_text(" ".join(words))

    def _path(self, file: str) -> Path:
        path = self.folder / file
        if not path.exists():
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return path

    def offset(self, attribute: int = 0) -> int:
        """Where an attribute begins in the message that ethtool would have sent."""
        name_bytes = -(-(len(self.name) + 1) // 4) * 4
        return HEADERS + name_bytes + attribute * PER_ATTRIBUTE


@click.command(
    "ethtool",
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": ["--help"],
    },
)
@at_option()
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(context: click.Context, directory: Path, arguments: tuple[str, ...]) -> None:
    """Show and set what a network card can do, as ethtool does.

    \b
        pseudokern ethtool -c eth0                       # -c -g -i -k -l -S -x show
        pseudokern ethtool -C eth0 rx-usecs 50           # -C -G -L -X set
        pseudokern ethtool -L eth0 combined 2
        pseudokern ethtool -X eth0 equal 2
    """
    check_shows_machine(directory)
    try:
        click.echo(_run(directory / NET, arguments), nl=False)
    except EthtoolError as error:
        click.echo(str(error), err=True)
        context.exit(error.status)


def _run(net: Path, arguments: Sequence[str]) -> str:
    if len(arguments) < 2 or arguments[0] not in _BY_OPTION:
        raise EthtoolError(BAD_ARGUMENTS)
    option, name, *rest = arguments
    short, run = _BY_OPTION[option]
    device = Device(net / name, name, short)
    if "/" in name or not device.folder.is_dir():
        raise EthtoolError(*_NO_DEVICE.get(short, _NO_DEVICE_BY_NETLINK))
    if short in _SETS and not rest:
        raise EthtoolError(BAD_ARGUMENTS)
    if short not in _SETS and rest:
        raise EthtoolError(BAD_ARGUMENTS)
    return run(device, rest)


def _strerror(error: OSError) -> str:
    return os.strerror(error.errno or 0)


def _netlink_error(error: OSError, reason: str = "") -> NoReturn:
    lines = [f"netlink error: {reason}"] if reason else []
    raise EthtoolError("\n".join([*lines, f"netlink error: {_strerror(error)}"])) from None


def _show_driver(device: Device, _rest: Sequence[str]) -> str:
    try:
        found = device.read("driver")
    except OSError as error:
        raise EthtoolError(f"Cannot get driver information: {_strerror(error)}", 71) from None
    return (
        f"driver: {found['driver']}\n"
        f"version: {found['version']}\n"
        f"firmware-version: {found['firmware-version']}\n"
        "expansion-rom-version: \n"
        f"bus-info: {found['bus-info']}\n"
        "supports-statistics: yes\n"
        "supports-test: no\n"
        "supports-eeprom-access: no\n"
        "supports-register-dump: no\n"
        "supports-priv-flags: no\n"
    )


def _show_ring(device: Device, _rest: Sequence[str]) -> str:
    found = _read(device, "ring")

    def sizes(suffix: str) -> str:
        rx, tx = found[f"rx{suffix}"], found[f"tx{suffix}"]
        return f"RX:\t\t{rx}\nRX Mini:\tn/a\nRX Jumbo:\tn/a\nTX:\t\t{tx}\n"

    return (
        f"Ring parameters for {device.name}:\n"
        f"Pre-set maximums:\n{sizes('-max')}"
        f"Current hardware settings:\n{sizes('')}"
        "RX Buf Len:\t\tn/a\nCQE Size:\t\tn/a\nTX Push:\toff\n"
    )


def _set_ring(device: Device, rest: Sequence[str]) -> str:
    wanted = _wanted(device, rest, ("rx", "rx-mini", "rx-jumbo", "tx"))
    most = _read(device, "ring")
    reason = ""
    for place, (name, value) in enumerate(wanted.items()):
        if int(value) > int(most.get(f"{name}-max", 0)):
            reason = f"requested ring size exceeds maximum (offset {device.offset(place)})"
            break
    return _store(device, "ring", wanted, reason)


def _show_channels(device: Device, _rest: Sequence[str]) -> str:
    found = _read(device, "channels")

    def counts(suffix: str) -> str:
        other, combined = found[f"other{suffix}"], found[f"combined{suffix}"]
        shown = "n/a" if found["other-max"] == "0" else other
        return f"RX:\t\tn/a\nTX:\t\tn/a\nOther:\t\t{shown}\nCombined:\t{combined}\n"

    return (
        f"Channel parameters for {device.name}:\n"
        f"Pre-set maximums:\n{counts('-max')}"
        f"Current hardware settings:\n{counts('')}"
    )


def _set_channels(device: Device, rest: Sequence[str]) -> str:
    wanted = _wanted(device, rest, ("rx", "tx", "other", "combined"))
    most = _read(device, "channels")
    reason = ""
    for place, (name, value) in enumerate(wanted.items()):
        if int(value) > int(most.get(f"{name}-max", 0)):
            reason = f"requested channel count exceeds maximum (offset {device.offset(place)})"
            break
    if wanted.get("combined") == "0":
        reason = "requested channel counts would result in no RX or TX channel being enabled"
    return _store(device, "channels", wanted, reason)


def _show_coalesce(device: Device, _rest: Sequence[str]) -> str:
    found = _read(device, "coalesce")

    def switch(name: str) -> str:
        return {"0": "off", "1": "on"}.get(found.get(name, ""), "n/a")

    rows = "\n".join(
        "".join(f"{name}: {found.get(name, 'n/a')}\n" for name in row) for row in _COALESCE_ROWS
    )
    return (
        f"Coalesce parameters for {device.name}:\n"
        f"Adaptive RX: {switch('adaptive-rx')}  TX: {switch('adaptive-tx')}\n"
        f"{rows}\nCQE mode RX: n/a  TX: n/a\n\n"
    )


def _set_coalesce(device: Device, rest: Sequence[str]) -> str:
    wanted = _wanted(device, rest, _COALESCE)
    known = _read(device, "coalesce")
    reason = ""
    for place, name in enumerate(wanted):
        if name not in known:
            reason = f"cannot modify an unsupported parameter (offset {device.offset(place)})"
            break
    return _store(device, "coalesce", wanted, reason)


def _show_stats(device: Device, _rest: Sequence[str]) -> str:
    try:
        text = device.text("stats")
    except OSError:
        raise EthtoolError("no stats available", 94) from None
    return "NIC statistics:\n" + "".join(f"     {line}\n" for line in text.splitlines())


def _show_rxfh(device: Device, _rest: Sequence[str]) -> str:
    try:
        found = device.read("rxfh")
    except OSError as error:
        raise EthtoolError(f"Cannot get RX ring count: {_strerror(error)}") from None
    table = found["table"].split(",")
    rows = "".join(
        f"{start:5}: " + "".join(f" {queue:>5}" for queue in table[start : start + 8]) + "\n"
        for start in range(0, len(table), 8)
    )
    rings = f"with {found['rings']} RX ring(s)"
    return (
        f"RX flow hash indirection table for {device.name} {rings}:\n{rows}"
        f"RSS hash key:\n{found.get('key', 'Operation not supported')}\n"
        "RSS hash function:\n    toeplitz: on\n    xor: off\n    crc32: off\n"
    )


def _set_rxfh(device: Device, rest: Sequence[str]) -> str:
    try:
        device.write("rxfh", rest)
    except OSError as error:
        text = f"Cannot set RX flow hash configuration: {_strerror(error)}"
        raise EthtoolError(text) from None
    return ""


def _show_features(device: Device, _rest: Sequence[str]) -> str:
    found = _read(device, "features")
    lines = "".join(f"{name} {value}\n" for name, value in found.items())
    return f"Features for {device.name}:\n{lines}"


def _read(device: Device, file: str) -> dict[str, str]:
    try:
        return device.read(file)
    except OSError as error:
        _netlink_error(error)


def _wanted(device: Device, rest: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Names and their values."""
    prefix = f"ethtool ({device.option})"
    wanted: dict[str, str] = {}
    for place in range(0, len(rest), 2):
        name = rest[place]
        if name not in known:
            raise EthtoolError(f"{prefix}: unknown parameter '{name}'")
        if place + 1 == len(rest):
            raise EthtoolError(f"{prefix}: no value for parameter '{name}'")
        value = rest[place + 1]
        good = value in ("on", "off") if name.startswith("adaptive") else _is_u32(value)
        if not good:
            raise EthtoolError(f"{prefix}: invalid value '{value}' for parameter '{name}'")
        wanted[name] = value
    return wanted


def _is_u32(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) < 1 << 32


def _store(device: Device, file: str, wanted: Mapping[str, str], reason: str) -> str:
    """reason: what the kernel says to ethtool before the errno, if it refuses."""
    try:
        device.write(file, [word for pair in wanted.items() for word in pair])
    except OSError as error:
        _netlink_error(error, reason if error.errno == errno.EINVAL else "")
    return ""


_NO_DEVICE_BY_NETLINK = (
    f"netlink error: no device matches name (offset {NO_DEVICE_OFFSET})\n"
    "netlink error: No such device",
    1,
)
_NO_DEVICE = {
    "-i": ("Cannot get driver information: No such device", 71),
    "-S": ("Cannot get stats strings information: No such device", 96),
    "-x": ("Cannot get RX ring count: No such device", 1),
    "-X": ("Cannot get RX ring count: No such device", 1),
}
_SETS = ("-C", "-G", "-L", "-X")
_OPTIONS: Mapping[str, tuple[tuple[str, ...], Callable[[Device, Sequence[str]], str]]] = {
    "-c": (("--show-coalesce",), _show_coalesce),
    "-C": (("--coalesce",), _set_coalesce),
    "-g": (("--show-ring",), _show_ring),
    "-G": (("--set-ring",), _set_ring),
    "-i": (("--driver",), _show_driver),
    "-k": (("--show-features", "--show-offload"), _show_features),
    "-l": (("--show-channels",), _show_channels),
    "-L": (("--set-channels",), _set_channels),
    "-S": (("--statistics",), _show_stats),
    "-x": (("--show-rxfh-indir", "--show-rxfh"), _show_rxfh),
    "-X": (("--set-rxfh-indir", "--rxfh"), _set_rxfh),
}
_BY_OPTION = {
    word: (short, run) for short, (longs, run) in _OPTIONS.items() for word in (short, *longs)
}
