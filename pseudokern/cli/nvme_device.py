"""Find the controller that nvme is told, read its options, and say what nvme says if it cannot."""

import errno
import getopt
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

NVME = Path("sys/kernel/debug/pseudokern/nvme")
DO_NOT_RETRY = 0x4000

INVALID_FIELD = 0x02
INVALID_NAMESPACE = 0x0B
NOT_SAVEABLE = 0x10D
NOT_OF_NAMESPACE = 0x10F
_STATUS = {
    INVALID_FIELD: "Invalid Field in Command: A reserved coded value or an unsupported value in "
    "a defined field",
    INVALID_NAMESPACE: "Invalid Namespace or Format: The namespace or the format of that "
    "namespace is invalid",
    NOT_SAVEABLE: "Feature Identifier Not Saveable: The Feature Identifier specified does not "
    "support a saveable value",
    NOT_OF_NAMESPACE: "Feature Not Namespace Specific: The Feature Identifier specified is not "
    "namespace specific",
}

_DEVICE = re.compile(r"/dev/(?:(nvme[0-9]+)(?:n([0-9]+))?|ng([0-9]+)n([0-9]+))")
_BYTES = {"feature-id", "sel", "uuid-index"}
_WORDS = {"namespace-id", "cdw11", "cdw12", "data-len"}
_TEXTS = {"data", "output-format"}
_SUFFIXES = " kmgtp"  # of a value, each 1024 times the one before


class NvmeError(Exception):
    """What nvme says before it ends with status 1, and what it has printed before."""

    def __init__(self, text: str, printed: str = "") -> None:
        super().__init__(text)
        self.printed = printed


class Device(NamedTuple):
    """A controller, by its files, and the namespace that the path names; 0: none."""

    folder: Path
    namespace: int


def refused(status: int) -> NvmeError:
    """What the drive has answered."""
    return NvmeError(f"NVMe status: {_STATUS[status]}({status | DO_NOT_RETRY:#x})")


def open_device(verb: str, nvme: Path, rest: Sequence[str]) -> Device:
    """Of /dev/nvme0, /dev/nvme0n1 or /dev/ng0n1; it need not exist on this computer."""
    if not rest:
        raise NvmeError(f"{verb}: {os.strerror(errno.EINVAL)}")
    path = rest[0]
    if match := _DEVICE.fullmatch(path):
        name = match[1] or f"nvme{match[3]}"
        namespace = int(match[2] or match[4] or 0)
        if (nvme / name).is_dir() and namespace <= 1:
            return Device(nvme / name, namespace)
    raise NvmeError(_why(verb, path, is_ours=bool(match)))


def _why(verb: str, path: str, *, is_ours: bool) -> str:
    start = f"{path}: " if path else ""
    if is_ours:
        return f"{start}{os.strerror(errno.ENOENT)}"
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return f"{start}{os.strerror(error.errno or 0)}"
    if not (stat.S_ISBLK(mode) or stat.S_ISCHR(mode)):
        return f"{path} is not a block or character device"
    return f"{verb}: {os.strerror(errno.ENOTTY)}"


class Options(NamedTuple):
    """Numbers, texts and flags, which are 1, by their long names; and what else there is."""

    numbers: Mapping[str, int]
    texts: Mapping[str, str]
    rest: Sequence[str]


def parse(verb: str, arguments: Sequence[str], known: Mapping[str, str]) -> Options:
    """known: long names, with a letter and a colon if there is a value."""
    long = [name + ("=" if short.endswith(":") else "") for name, short in known.items()]
    by_short = {short[0]: name for name, short in known.items()}
    try:
        found, rest = getopt.gnu_getopt(list(arguments), "".join(known.values()), long)
    except getopt.GetoptError as error:
        raise NvmeError(f"{verb}: {_complaint(error)}") from None
    numbers: dict[str, int] = {}
    texts: dict[str, str] = {}
    for option, word in found:
        name = option[2:] if option.startswith("--") else by_short[option[1:]]
        if name in _TEXTS:
            texts[name] = word
        else:
            numbers[name] = _number(name, word) if known[name].endswith(":") else 1
    return Options(numbers, texts, rest)


def _complaint(error: getopt.GetoptError) -> str:
    """getopt_long()'s: what is short is in quotes without its dash if it lacks an argument."""
    is_long = len(error.opt) > 1
    if "requires argument" in error.msg:
        return f"option requires an argument -- '{error.opt}'"
    return f"unrecognized option '{'--' if is_long else '-'}{error.opt}'"


def _number(name: str, word: str) -> int:
    """strtoul() in any base; a value may have a suffix, a sign, or nothing at all."""
    kind, most = "long suffixed integer", (1 << 64) - 1
    if name in _BYTES:
        kind, most = "byte", 255
    elif name in _WORDS:
        kind, most = "word", (1 << 32) - 1
    digits, times = word, 1
    if name == "value":
        match = re.fullmatch(r"(.*?)(?:([kmgtpKMGTP])(?:i?[bB]?))?", word)
        digits = (match[1] if match else word) or "0"
        times = 1024 ** _SUFFIXES.index(match[2].lower()) if match and match[2] else 1
    try:
        number = int(digits, 8 if re.fullmatch("0[0-7]+", digits) else 0) * times
    except ValueError:
        number = most + 1
    if name == "value" and -most <= number < 0:
        number += most + 1
    if not 0 <= number <= most:
        raise NvmeError(f"Expected {kind} argument for '{name}' but got '{word}'!")
    return number
