"""Show and set rings, channels, coalescing and pause frames, as ethtool does over netlink.

The reasons of refusals are the kernel's: net/ethtool/rings.c, channels.c and coalesce.c. It names
the first attribute that it does not like, in its own order, by where that is in the message.
"""

import errno
import json
from collections.abc import Mapping, Sequence

from pseudokern.cli.ethtool_device import Device, EthtoolError, no_more, pairs

COALESCE_ROWS = (
    ("stats-block-usecs", "sample-interval", "pkt-rate-low", "pkt-rate-high"),
    ("rx-usecs", "rx-frames", "rx-usecs-irq", "rx-frames-irq"),
    ("tx-usecs", "tx-frames", "tx-usecs-irq", "tx-frames-irq"),
    ("rx-usecs-low", "rx-frame-low", "tx-usecs-low", "tx-frame-low"),
    ("rx-usecs-high", "rx-frame-high", "tx-usecs-high", "tx-frame-high"),
)
# In the order of the kernel's attributes.
_COALESCE = (
    "rx-usecs", "rx-frames", "rx-usecs-irq", "rx-frames-irq", "tx-usecs", "tx-frames",
    "tx-usecs-irq", "tx-frames-irq", "stats-block-usecs", "adaptive-rx", "adaptive-tx",
    "pkt-rate-low", "rx-usecs-low", "rx-frames-low", "tx-usecs-low", "tx-frames-low",
    "pkt-rate-high", "rx-usecs-high", "rx-frames-high", "tx-usecs-high", "tx-frames-high",
    "sample-interval", "cqe-mode-tx", "cqe-mode-rx",
)  # fmt: skip
_SWITCHES = ("adaptive-rx", "adaptive-tx", "cqe-mode-rx", "cqe-mode-tx")
COALESCE = {name: "switch" if name in _SWITCHES else "u32" for name in _COALESCE}
_RINGS = ("rx", "rx-mini", "rx-jumbo", "tx")
_RING = {**dict.fromkeys(_RINGS, "u32"), "rx-buf-len": "u32", "cqe-size": "u32"}
_RING["tx-push"] = "switch"
_CHANNELS = dict.fromkeys(("rx", "tx", "other", "combined"), "u32")
_PAUSE = dict.fromkeys(("autoneg", "rx", "tx"), "switch")


def show_ring(device: Device, rest: Sequence[str]) -> str:
    no_more(rest)
    found = device.ask("ring")

    def sizes(suffix: str) -> str:
        rx, tx = found[f"rx{suffix}"], found[f"tx{suffix}"]
        jumbo = found.get(f"rx-jumbo{suffix}", "n/a")
        return f"RX:\t\t{rx}\nRX Mini:\tn/a\nRX Jumbo:\t{jumbo}\nTX:\t\t{tx}\n"

    return (
        f"Ring parameters for {device.name}:\n"
        f"Pre-set maximums:\n{sizes('-max')}"
        f"Current hardware settings:\n{sizes('')}"
        "RX Buf Len:\t\tn/a\nCQE Size:\t\tn/a\nTX Push:\toff\nTCP data split:\tn/a\n"
    )


def set_ring(device: Device, rest: Sequence[str]) -> str:
    wanted = pairs(device, rest, _RING)
    most = device.ask("ring")
    for name in ("rx-buf-len", "cqe-size", "tx-push"):
        if name in wanted:
            said = f"setting {name.replace('-', ' ')} not supported {device.place(wanted, name)}"
            device.refuse(errno.EOPNOTSUPP, said)
    _check_most(device, wanted, most, _RINGS, "ring size")
    device.tell("ring", wanted)
    return ""


def show_channels(device: Device, rest: Sequence[str]) -> str:
    no_more(rest)
    found = device.ask("channels")

    def counts(suffix: str) -> str:
        def count(kind: str) -> str:
            return found[kind + suffix] if int(found.get(f"{kind}-max", 0)) else "n/a"

        return (
            f"RX:\t\t{count('rx')}\nTX:\t\t{count('tx')}\n"
            f"Other:\t\t{count('other')}\nCombined:\t{count('combined')}\n"
        )

    return (
        f"Channel parameters for {device.name}:\n"
        f"Pre-set maximums:\n{counts('-max')}"
        f"Current hardware settings:\n{counts('')}"
    )


def set_channels(device: Device, rest: Sequence[str]) -> str:
    wanted = pairs(device, rest, _CHANNELS)
    found = device.ask("channels")
    if found["settable"] == "0":
        device.refuse(errno.EOPNOTSUPP)
    _check_most(device, wanted, found, tuple(_CHANNELS), "channel count")
    start = "requested channel counts"
    for kind in ("rx", "tx", "combined"):
        if kind in found and int(wanted.get(kind, found[kind])) == 0:
            place = device.place(wanted, kind)
            said = f"{start} would result in no RX or TX channel being configured {place}"
            device.refuse(errno.EINVAL, said)
    receiving = "combined" if "combined" in found else "rx"
    if (most := _highest_ring_set(device)) >= int(wanted.get(receiving, found[receiving])):
        said = f"{start} are too low for existing indirection table ({most})"
        device.refuse(errno.EINVAL, said)
    device.tell("channels", wanted)
    return ""


def _highest_ring_set(device: Device) -> int:
    """Of the indirection table, if somebody has set it; else -1."""
    try:
        found = device.read("rxfh")
    except OSError:
        return -1
    return max(map(int, found["table"].split(","))) if found["default"] == "no" else -1


def _check_most(
    device: Device,
    wanted: Mapping[str, str],
    found: Mapping[str, str],
    names: Sequence[str],
    what: str,
) -> None:
    for name in names:
        if int(wanted.get(name, 0)) > int(found.get(f"{name}-max", 0)):
            said = f"requested {what} exceeds maximum {device.place(wanted, name)}"
            device.refuse(errno.EINVAL, said)


def show_coalesce(device: Device, rest: Sequence[str]) -> str:
    no_more(rest)
    found = device.ask("coalesce")
    return f"Coalesce parameters for {device.name}:\n{_coalesce_lines(found)}"


def _coalesce_lines(found: Mapping[str, str]) -> str:
    def switch(name: str) -> str:
        return {"0": "off", "1": "on"}.get(found.get(name, ""), "n/a")

    rows = "\n".join(
        "".join(f"{name}: {found.get(name, 'n/a')}\n" for name in row) for row in COALESCE_ROWS
    )
    return (
        f"Adaptive RX: {switch('adaptive-rx')}  TX: {switch('adaptive-tx')}\n"
        f"{rows}\nCQE mode RX: {switch('cqe-mode-rx')}  TX: {switch('cqe-mode-tx')}\n\n"
    )


def set_coalesce(device: Device, rest: Sequence[str]) -> str:
    wanted = pairs(device, rest, COALESCE)
    known = device.ask("coalesce")
    for name in _COALESCE:
        if name in wanted and name not in known:
            said = f"cannot modify an unsupported parameter {device.place(wanted, name)}"
            device.refuse(errno.EINVAL, said)
    device.tell("coalesce", wanted)
    return ""


def show_pause(device: Device, rest: Sequence[str]) -> str:
    no_more(rest)
    found = device.ask("pause")
    text = f"Pause parameters for {device.name}:\n"
    for name, shown in (("autoneg", "Autonegotiate"), ("rx", "RX"), ("tx", "TX")):
        tabs = "\t" if name == "autoneg" else "\t\t"
        text += f"{shown}:{tabs}{found[name]}\n"
    if "rx-negotiated" in found:
        text += f"RX negotiated: {found['rx-negotiated']}\n"
        text += f"TX negotiated: {found['tx-negotiated']}\n"
    return text + "\n"


def show_pause_json(device: Device, rest: Sequence[str], *, statistics: bool) -> str:
    """ethtool 6.1 says true of whatever there is, on or off."""
    no_more(rest)
    found = ask_for_json(device, "pause")
    shown: dict[str, object] = {"ifname": device.name, "autonegotiate": True}
    shown |= {"rx": True, "tx": True}
    if "rx-negotiated" in found:
        shown["negotiated"] = {"rx": True, "tx": True}
    if statistics:
        shown["statistics"] = {}
    return as_json(shown)


def ask_for_json(device: Device, file: str) -> dict[str, str]:
    """EthtoolError, which prints an empty list."""
    try:
        return device.ask(file)
    except EthtoolError as error:
        raise EthtoolError(str(error), error.status, printed="[ ]\n") from None


def as_json(shown: Mapping[str, object]) -> str:
    """As ethtool lays it out: one level is eight columns, those below four."""
    lines = json.dumps(shown, indent=4).splitlines()[1:-1]
    return "[ {\n" + "".join(f"    {line}\n" for line in lines) + "    } ]\n"


def set_pause(device: Device, rest: Sequence[str]) -> str:
    wanted = pairs(device, rest, _PAUSE)
    device.ask("pause")
    device.tell("pause", wanted)
    return ""
