"""Show and set offloads as ethtool does: -k and -K."""

import errno
from collections.abc import Mapping, Sequence

from pseudokern.cli.ethtool_device import Device, EthtoolError, no_more, padded
from pseudokern.cli.ethtool_settings import as_json, ask_for_json

_CHECKSUMS = (
    "tx-checksum-ipv4", "tx-checksum-ip-generic", "tx-checksum-ipv6", "tx-checksum-fcoe-crc",
    "tx-checksum-sctp",
)  # fmt: skip
_SEGMENTATION = (
    "tx-tcp-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp-mangleid-segmentation",
    "tx-tcp6-segmentation",
)  # fmt: skip
# The names that ethtool has had since before the kernel had any: long, short, the kernel's.
_OLD = (
    ("rx-checksumming", "rx", ("rx-checksum",)),
    ("tx-checksumming", "tx", _CHECKSUMS),
    ("scatter-gather", "sg", ("tx-scatter-gather", "tx-scatter-gather-fraglist")),
    ("tcp-segmentation-offload", "tso", _SEGMENTATION),
    ("udp-fragmentation-offload", "ufo", ()),
    ("generic-segmentation-offload", "gso", ("tx-generic-segmentation",)),
    ("generic-receive-offload", "gro", ("rx-gro",)),
    ("large-receive-offload", "lro", ("rx-lro",)),
    ("rx-vlan-offload", "rxvlan", ("rx-vlan-hw-parse",)),
    ("tx-vlan-offload", "txvlan", ("tx-vlan-hw-insert",)),
    ("ntuple-filters", "ntuple", ("rx-ntuple-filter",)),
    ("receive-hashing", "rxhash", ("rx-hashing",)),
)  # fmt: skip
_GROUPS = {name: members for long, short, members in _OLD for name in (long, short)}
NOT_FOUND_AT = 20  # bytes from the first attribute of -K to the first name in it
BIT = 4 + 4  # the nest of a bit, and the head of its name
ON = 4  # bytes: the flag that a bit is on


def _lines(found: Mapping[str, str]) -> list[tuple[str, str, bool]]:
    """Name, state, and whether it is one of the group above it."""
    shown: list[tuple[str, str, bool]] = []
    grouped = set()
    for long, _, members in _OLD:
        grouped |= set(members)
        if len(members) == 1:
            shown.append((long, found[members[0]], False))
        elif members:
            is_on = any(found[name].startswith("on") for name in members)
            shown.append((long, "on" if is_on else "off", False))
            shown += [(name, found[name], True) for name in members]
    return shown + [(name, state, False) for name, state in found.items() if name not in grouped]


def show_features(device: Device, rest: Sequence[str]) -> str:
    no_more(rest)
    lines = [
        f"{chr(9) if is_member else ''}{name}: {state}\n"
        for name, state, is_member in _lines(device.ask("features"))
    ]
    return f"Features for {device.name}:\n" + "".join(lines)


def show_features_json(device: Device, rest: Sequence[str]) -> str:
    no_more(rest)
    found = ask_for_json(device, "features")
    groups = {long for long, _, members in _OLD if len(members) > 1}
    shown: dict[str, object] = {"ifname": device.name}
    for name, state, _ in _lines(found):
        active, _, note = state.partition(" ")
        is_active = active == "on"
        fixed: bool | None = note == "[fixed]"
        requested: bool | None = not fixed and is_active != note.startswith("[requested")
        if name in groups:
            fixed = requested = None
        shown[name] = {"active": is_active, "fixed": fixed, "requested": requested}
    return as_json(shown)


def set_features(device: Device, rest: Sequence[str]) -> str:
    """What else has changed, or has not, is printed."""
    asked = _asked(rest)
    before = device.ask("features")
    offset = device.offset() + NOT_FOUND_AT
    wanted: dict[str, str] = {}
    for word, state in asked:
        for name in _GROUPS.get(word, (word,)):
            if name not in before:
                reason = f"bit name not found (offset {offset})"
                device.refuse(errno.EOPNOTSUPP, reason)
            wanted.setdefault(name, state)
            offset += BIT + padded(name) + (ON if state == "on" else 0)
    device.tell("features", wanted)
    after = device.read("features")
    changed, missed = [], 0
    for name, state in after.items():
        is_now, was = state.split()[0], before[name].split()[0]
        if name in wanted and is_now != wanted[name]:
            missed += 1
            changed.append(f"{name}: {is_now} [requested {wanted[name]}]\n")
        elif is_now != was:
            changed.append(f"{name}: {is_now}{'' if name in wanted else ' [not requested]'}\n")
    said = [line for line in changed if "requested" in line]
    printed = "Actual changes:\n" + "".join(changed) if said else ""
    if missed == len(wanted):
        raise EthtoolError("Could not change any device features", printed=printed)
    return printed


def _asked(rest: Sequence[str]) -> list[tuple[str, str]]:
    """Words and on or off; ethtool 6.1 has no name for the parameter in its message."""
    asked = []
    for place in range(0, len(rest), 2):
        state = rest[place + 1] if place + 1 < len(rest) else "(null)"
        if state not in ("on", "off"):
            said = f"flag '{state}' for parameter '(null)' is not followed by 'on' or 'off'"
            raise EthtoolError(f"ethtool (-K): {said}")
        asked.append((rest[place], state))
    return asked
