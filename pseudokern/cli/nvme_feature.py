"""Show and set features as nvme does: get-feature and set-feature."""

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pseudokern.cli.at import write_once
from pseudokern.cli.nvme_device import (
    INVALID_FIELD,
    INVALID_NAMESPACE,
    NOT_OF_NAMESPACE,
    NOT_SAVEABLE,
    Device,
    NvmeError,
    open_device,
    parse,
    refused,
)
from pseudokern.cli.nvme_fields import fields

ERROR_RECOVERY = 0x05  # the only one here that belongs to a namespace
NUMBER_OF_QUEUES = 0x07
VECTOR_CONFIGURATION = 0x09
CHANGED, SUPPORTED, LAST_RESERVED = 8, 3, 7
CHANGEABLE = 4
ALL_NAMESPACES = 0xFFFFFFFF
ROW = 16  # bytes
MOST_BYTES = 128 * 1024  # mdts

_NAMES = {
    0x01: "Arbitration",
    0x02: "Power Management",
    0x04: "Temperature Threshold",
    0x05: "Error Recovery",
    0x06: "Volatile Write Cache",
    0x07: "Number of Queues",
    0x08: "Interrupt Coalescing",
    0x09: "Interrupt Vector Configuration",
    0x0A: "Write Atomicity Normal",
    0x0B: "Async Event Configuration",
}
_SELECTIONS = {0: "Current", 1: "Default", 2: "Saved", 3: "Supported capabilities", 8: "Changed"}
_GET_OPTIONS = {
    "feature-id": "f:", "namespace-id": "n:", "sel": "s:", "data-len": "l:", "raw-binary": "b",
    "cdw11": "c:", "uuid-index": "U:", "human-readable": "H",
}  # fmt: skip
_SET_OPTIONS = {
    "namespace-id": "n:", "feature-id": "f:", "value": "v:", "cdw12": "c:", "uuid-index": "U:",
    "data-len": "l:", "data": "d:", "save": "s",
}  # fmt: skip


class Feature(NamedTuple):
    value: int
    default: int


def get_feature(nvme: Path, arguments: Sequence[str]) -> str:
    """Without a number it asks for feature 0, of which no drive knows."""
    options, _, rest = parse("get-feature", arguments, _GET_OPTIONS)
    device = open_device("get-feature", nvme, rest)
    selection, number = options.get("sel", 0), options.get("feature-id", 0)
    if selection > CHANGED:
        raise NvmeError(f"invalid 'select' param:{selection}")
    namespace = options.get("namespace-id", device.namespace)
    if number == ERROR_RECOVERY and namespace != 1:
        is_none = namespace in (0, ALL_NAMESPACES)
        raise refused(INVALID_NAMESPACE if is_none else INVALID_FIELD)
    index = options.get("cdw11", 0) & 0xFFFF if number == VECTOR_CONFIGURATION else 0
    feature = _read(device).get((number, index))
    if feature is None or SUPPORTED < selection <= LAST_RESERVED:
        raise refused(INVALID_FIELD)
    if selection == CHANGED and feature.value == feature.default:
        return ""
    buffer = bytes(_length("get-feature", options))
    if "raw-binary" in options and buffer:
        return buffer.decode()
    is_readable = "human-readable" in options
    return _show(number, feature, selection, is_readable=is_readable) + _dump(buffer)


def _show(number: int, feature: Feature, selection: int, *, is_readable: bool) -> str:
    match selection:
        case 1 | 2:  # nothing is ever saved, and then the saved value is the default
            value = feature.default
        case 3:
            value = CHANGEABLE
        case _:
            value = feature.value
    name = f"{_hexadecimal(number, 2)} ({_NAMES[number]})"
    line = f"get-feature:{name}, {_SELECTIONS[selection]} value:{_hexadecimal(value, 8)}\n"
    if selection == SUPPORTED:
        return line + ("  Feature is changeable\n" if value & CHANGEABLE else "")
    return line + (fields(number, value) if is_readable else "")


def set_feature(nvme: Path, arguments: Sequence[str]) -> str:
    """The kernel keeps the number of queues to itself."""
    options, texts, rest = parse("set-feature", arguments, _SET_OPTIONS)
    device = open_device("set-feature", nvme, rest)
    number, value = options.get("feature-id", 0), options.get("value", 0)
    if not number:
        raise NvmeError("feature-id required param")
    buffer = _buffer(_length("set-feature", options), texts.get("data", ""))
    if number == NUMBER_OF_QUEUES:
        raise NvmeError(f"set-feature: {os.strerror(errno.EACCES)}")
    _check_set(device, number, options)
    try:
        write_once(device.folder / "features", f"{number:#x} {value & 0xFFFFFFFF:#x}")
    except OSError:
        raise refused(INVALID_FIELD) from None
    cdw12 = _hexadecimal(options.get("cdw12", 0), 8)
    name = f"{_hexadecimal(number, 2)} ({_NAMES[number]})"
    line = f"set-feature:{name}, value:{_hexadecimal(value, 8)}, cdw12:{cdw12}, save:0\n"
    return line + _dump(buffer)


def _check_set(device: Device, number: int, options: Mapping[str, int]) -> None:
    if number not in _NAMES:
        raise refused(INVALID_FIELD)
    if "save" in options:
        raise refused(NOT_SAVEABLE)
    namespace = options.get("namespace-id", device.namespace)
    if number != ERROR_RECOVERY and namespace not in (0, ALL_NAMESPACES):
        raise refused(NOT_OF_NAMESPACE)


def _length(verb: str, options: Mapping[str, int]) -> int:
    """Of a buffer. The drive takes so much at a time, and the kernel no more than that."""
    length = options.get("data-len", 0)
    if length > MOST_BYTES:
        raise NvmeError(f"{verb}: {os.strerror(errno.EINVAL)}")
    return length


def _buffer(length: int, name: str) -> bytes:
    """What goes with the command; no feature here has any use for it."""
    if not length:
        return b""
    try:
        if name:
            with open(name, "rb") as file:
                return file.read(length).ljust(length, b"\0")
        return sys.stdin.buffer.read(length).ljust(length, b"\0")
    except OSError as error:
        text = os.strerror(error.errno or 0)
        raise NvmeError(f"Failed to open file {name}: {text}") from None


def _dump(buffer: bytes) -> str:
    if not buffer:
        return ""
    text = f"      {' '.join(f'{column:2x}' for column in range(ROW))}\n"
    for start in range(0, len(buffer), ROW):
        row = buffer[start : start + ROW]
        seen = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        width = ROW * 3 - (len(row) == ROW)  # a row that is not full is set a column further right
        text += f'{start:04x}: {row.hex(" "):<{width}} "{seen}"\n'
    return text


def _read(device: Device) -> Mapping[tuple[int, int], Feature]:
    """Features by their number; those of a vector by that, too."""
    features: dict[tuple[int, int], Feature] = {}
    for line in (device.folder / "features").read_text().splitlines():
        number, value, default = (int(word, 16) for word in line.split())
        index = value & 0xFFFF if number == VECTOR_CONFIGURATION else 0
        features[number, index] = Feature(value, default)
    return features


def _hexadecimal(number: int, digits: int) -> str:
    """printf's %#0*x with the widths that nvme gives it: no 0x before a zero."""
    return f"{number:#0{digits + 2}x}" if number else "0" * digits
