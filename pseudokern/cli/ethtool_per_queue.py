"""Show and set coalescing of single queues as ethtool does: -Q."""

import errno
import os
import re
from collections.abc import Mapping, Sequence

from pseudokern.cli.ethtool_device import TOO_LONG, Device, EthtoolError, bad_arguments
from pseudokern.cli.ethtool_settings import COALESCE, COALESCE_ROWS

CANNOT = 242  # exit statuses
NO_MASK = 255
NO_COMMAND = 161
FILE = "coalesce_queues"
_SHOW = ("-c", "--show-coalesce")
_SET = ("-C", "--coalesce")


def per_queue(device: Device, rest: Sequence[str], known: Sequence[str]) -> str:
    """known: all options that ethtool has."""
    if device.is_too_long:
        raise EthtoolError(TOO_LONG)
    words = list(rest)
    if not words:
        raise bad_arguments()
    said, mask = "", None
    if words[0] == "queue_mask":
        if len(words) < 3:
            raise bad_arguments()
        mask = _mask(words[1])
        words = words[2:]
    else:
        count = _count(device)
        mask = (1 << count) - 1
        said = f"The sub commands will be applied to all {count} queues\n"
    if words[0] not in known:
        raise EthtoolError(str(bad_arguments()), printed=said)
    if words[0] not in (*_SHOW, *_SET):
        text = "The subcommand is not supported yet: Success"
        raise EthtoolError(text, NO_COMMAND, printed=said)
    queues = _read(device, mask, said)
    if words[0] in _SHOW:
        return said + "".join(_shown(number, found) for number, found in queues.items())
    return said + _set(device, queues, words[1:], said)


def _mask(text: str) -> int:
    """Hexadecimal, with 0x or without."""
    digits = text[2:] if text[:2].lower() == "0x" else text
    if not re.fullmatch("[0-9a-fA-F]*", digits):
        raise EthtoolError("", NO_MASK, printed="Invalid queue mask\n")
    return int(digits or "0", 16)


def _count(device: Device) -> int:
    try:
        found = device.read("channels")
        return int(found.get("combined", found.get("rx", 0)))
    except OSError as error:
        text = f"Cannot get number of queues: {os.strerror(error.errno or 0)}"
        raise EthtoolError(text, CANNOT) from None


def _read(device: Device, mask: int, said: str) -> dict[int, dict[str, str]]:
    """Coalescing of the queues of mask."""
    number = 0
    found: dict[int, dict[str, str]] = {}
    try:
        for line in device.text(FILE).splitlines():
            words = line.split()
            if mask >> int(words[0]) & 1:
                found[int(words[0])] = dict(zip(words[1::2], words[2::2], strict=True))
        if mask.bit_count() > len(found):
            number = errno.EINVAL
    except OSError as error:
        number = error.errno or 0
    if number:
        start = "Cannot get device per queue parameters:"
        text = f"{start} {os.strerror(number)}\n{start} {os.strerror(errno.EINVAL)}"
        raise EthtoolError(text, CANNOT, printed=said)
    return found


def _shown(number: int, found: Mapping[str, str]) -> str:
    """What the driver does not have is 0 here, and frames have their s."""

    def switch(name: str) -> str:
        return "on" if found.get(name) == "1" else "off"

    rows = "\n".join(
        "".join(f"{name}: {found.get(name, '0')}\n" for name in map(_plural, row))
        for row in COALESCE_ROWS
    )
    head = f"Queue: {number}\nAdaptive RX: {switch('adaptive-rx')}  TX: {switch('adaptive-tx')}\n"
    return f"{head}{rows}\n"


def _plural(name: str) -> str:
    return name.replace("frame-", "frames-")


def _set(
    device: Device, queues: Mapping[int, Mapping[str, str]], rest: Sequence[str], said: str
) -> str:
    """Complaints do not change the exit status."""
    wanted = _wanted(rest, said)
    complaints = []
    for number, found in queues.items():
        changed = {}
        for name, value in wanted.items():
            is_now = _value(name, found.get(name, "0"))
            if value == is_now and name not in ("adaptive-rx", "adaptive-tx"):
                complaints.append(f"{name} unmodified, ignoring")
            elif value != is_now:
                changed[name] = value
        if not changed:
            complaints.append(f"Queue {number}, no coalesce parameters changed")
            continue
        try:
            words = [word for pair in changed.items() for word in pair]
            device.write(FILE, [str(number), *words])
        except OSError as error:
            text = os.strerror(error.errno or 0)
            complaints.append(f"Cannot set device per queue parameters: {text}")
            break
    if complaints:
        raise EthtoolError("\n".join(complaints), 0, printed=said)
    return ""


def _value(name: str, text: str) -> str:
    return text if COALESCE[name] == "u32" else {"0": "off", "1": "on"}[text]


def _wanted(rest: Sequence[str], said: str) -> dict[str, str]:
    """Names and values; -1 is as if the name were not there."""
    wanted: dict[str, str] = {}
    for place in range(0, len(rest), 2):
        name, value = rest[place], "".join(rest[place + 1 : place + 2])
        pattern = {"switch": "on|off", "u32": r"-1|[0-9]{1,9}"}.get(COALESCE.get(name, ""), "(?!)")
        if not re.fullmatch(pattern, value):
            raise EthtoolError(str(bad_arguments()), printed=said)
        if value != "-1":
            wanted[name] = value
    return wanted
