"""Show and set the flow hash of a card as ethtool does: -x and -X, over ioctl."""

import errno
import os
import re
from collections.abc import Sequence

from pseudokern.cli.ethtool_device import TOO_LONG, Device, EthtoolError, bad_arguments

MOST_INT, MOST_DIGITS = 2**31 - 1, 10
WRONG_KEY = 2  # the exit status
_CANNOT_SET = "Cannot set RX flow hash configuration:"
_FUNCTIONS = ("toeplitz", "xor", "crc32")


def show_rxfh(device: Device, rest: Sequence[str]) -> str:
    _check_name(device)
    context = rest[1] if len(rest) == 2 and rest[0] == "context" else ""
    if rest and _number(context) is None:
        raise bad_arguments()
    found = _read(device)
    if _number(context):
        text = "Cannot get RX flow hash indir size and/or key size: "
        raise EthtoolError(text + os.strerror(errno.EOPNOTSUPP))
    table = found["table"].split(",")
    rows = "".join(
        f"{start:5}: " + "".join(f" {queue:>5}" for queue in table[start : start + 8]) + "\n"
        for start in range(0, len(table), 8)
    )
    rings = f"with {found['rings']} RX ring(s)"
    key = found.get("key", os.strerror(errno.EOPNOTSUPP))
    return (
        f"RX flow hash indirection table for {device.name} {rings}:\n{rows}"
        f"RSS hash key:\n{key}\n"
        "RSS hash function:\n    toeplitz: on\n    xor: off\n    crc32: off\n"
    )


def set_rxfh(device: Device, rest: Sequence[str]) -> str:
    """The words are looked at before the device, and its key and functions before the table."""
    _check_name(device)
    if not rest:
        raise bad_arguments()
    words = _parsed(list(rest))
    found = _read(device)
    if "hkey" in words:
        _check_key(words["hkey"][0], found.get("key", ""))
    function = words.get("hfunc", ["toeplitz"])[0]
    if function not in _FUNCTIONS:
        raise EthtoolError(f"Unknown hash function: {function}")
    if "weight" in words and not any(map(int, words["weight"])):
        raise EthtoolError("At least one weight must be non-zero")
    if "context" in words:
        raise EthtoolError(f"{_CANNOT_SET} {os.strerror(errno.EOPNOTSUPP)}")
    try:
        device.write("rxfh", [each for word, said in words.items() for each in (word, *said)])
    except OSError as error:
        raise EthtoolError(f"{_CANNOT_SET} {os.strerror(error.errno or 0)}") from None
    return ""


def _parsed(rest: list[str]) -> dict[str, list[str]]:
    """Words with what belongs to them. EthtoolError: they do not make sense."""
    words: dict[str, list[str]] = {}
    while rest:
        word = rest.pop(0)
        match word:
            case "default" | "delete":
                words[word] = []
            case "weight":
                words[word] = []
                while rest and _number(rest[0]) is not None:
                    words[word].append(rest.pop(0))
                if not words[word]:
                    raise bad_arguments()
            case "equal" | "start" | "hkey" | "hfunc" | "context" if rest:
                words[word] = [rest.pop(0)]
            case _:
                raise bad_arguments()
    _check_numbers(words)
    _check_together(words)
    return words


def _check_numbers(words: dict[str, list[str]]) -> None:
    for word, least in (("equal", 1), ("start", 0)):
        number = _number(words[word][0]) if word in words else least
        if number is None or number < least:
            raise bad_arguments()
    if "context" in words and words["context"] != ["new"] and not _number(words["context"][0]):
        raise bad_arguments()


def _check_together(words: dict[str, list[str]]) -> None:
    for one, other in (("Equal", "weight"), ("Equal", "default"), ("Weight", "default")):
        if one.lower() in words and other in words:
            raise EthtoolError(f"{one} and {other} options are mutually exclusive")
    if "start" in words and "equal" not in words and "weight" not in words:
        raise EthtoolError("Start must be used with equal or weight options")
    if "delete" in words and "context" not in words:
        raise EthtoolError("Delete option requires context option")


def _check_key(text: str, key: str) -> None:
    """key: that which the card has; none if it cannot be seen."""
    if not key:
        raise EthtoolError(f"{_CANNOT_SET}\n Hash key setting not supported")
    has, wanted = len(key.split(":")), text.removesuffix(":").split(":")
    if not all(re.fullmatch("[0-9a-fA-F]{2}", byte) for byte in wanted):
        raise EthtoolError("Invalid RSS hash key format", WRONG_KEY)
    if len(wanted) != has:
        said = f"short for device ({len(wanted)} < {has})"
        if len(wanted) > has:
            said = f"long for device ({len(wanted)} > {has})"
        raise EthtoolError(f"Key is too {said}", WRONG_KEY)


def _check_name(device: Device) -> None:
    if device.is_too_long:
        raise EthtoolError(TOO_LONG)


def _read(device: Device) -> dict[str, str]:
    try:
        return device.read("rxfh")
    except OSError as error:
        text = f"Cannot get RX ring count: {os.strerror(error.errno or 0)}"
        raise EthtoolError(text) from None


def _number(text: str) -> int | None:
    """None: that is none, or too large for an int."""
    is_number = text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS
    return int(text) if is_number and int(text) <= MOST_INT else None
