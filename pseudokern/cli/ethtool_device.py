"""Read and write the files of one interface for ethtool, and say what ethtool says if it cannot."""

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from pseudokern.cli.at import write_once

HEADERS = 16 + 4 + 4 + 4  # of the message, of generic netlink, of the nest and of the name
PER_ATTRIBUTE = 8
NO_DEVICE_OFFSET = 24
LONGEST_NAME = 15
BAD_ARGUMENTS = "ethtool: bad command line argument(s)\nFor more information run ethtool -h"
TOO_LONG = (
    "ethtool netlink support for subcommand missing, device name longer than 15 not supported"
)
U32 = 1 << 32


class EthtoolError(Exception):
    """What ethtool says, its exit status, and what it has printed before."""

    def __init__(self, text: str, status: int = 1, printed: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.printed = printed


def bad_arguments() -> EthtoolError:
    return EthtoolError(BAD_ARGUMENTS)


class Device(NamedTuple):
    """One interface, by its files.

    option  that of the command, in its short form
    status  of ethtool when the kernel refuses; the subcommands differ in that
    """

    folder: Path
    name: str
    option: str
    status: int = 1

    @property
    def exists(self) -> bool:
        return bool(self.name) and "/" not in self.name and self.folder.is_dir()

    @property
    def is_too_long(self) -> bool:
        """Whether the name is, for an ioctl."""
        return len(os.fsencode(self.name)) > LONGEST_NAME

    def text(self, file: str) -> str:
        """ENODEV: there is no such interface. EOPNOTSUPP: nor such a thing, and so no file."""
        return self._path(file).read_text()

    def read(self, file: str) -> dict[str, str]:
        """A name and a value in each line. OSError as text()."""
        return dict(line.split(" ", 1) for line in self.text(file).splitlines())

    def write(self, file: str, words: Iterable[str]) -> None:
        """OSError as text(), and what the driver says."""
        write_once(self._path(file), " ".join(words))

    def _path(self, file: str) -> Path:
        if not self.exists:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        path = self.folder / file
        if not path.exists():
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return path

    def ask(self, file: str) -> dict[str, str]:
        """read() over netlink. EthtoolError: why not."""
        try:
            return self.read(file)
        except OSError as error:
            self.refuse(error)

    def tell(self, file: str, wanted: Mapping[str, str]) -> None:
        """write() over netlink. EthtoolError: why not."""
        if not wanted:
            return
        try:
            self.write(file, (word for pair in wanted.items() for word in pair))
        except OSError as error:
            self.refuse(error)

    def refuse(self, error: OSError | int, reason: str = "") -> NoReturn:
        """Say what the kernel has answered: a reason, if it has one, and the error."""
        number = error if isinstance(error, int) else error.errno
        if number == errno.ENODEV:
            reason = f"no device matches name (offset {NO_DEVICE_OFFSET})"
        lines = [reason] if reason else []
        lines.append(os.strerror(number or 0))
        text = "\n".join(f"netlink error: {line}" for line in lines)
        raise EthtoolError(text, self.status) from None

    def offset(self, attribute: int = 0) -> int:
        """Where an attribute begins in the message that ethtool would have sent."""
        return HEADERS + padded(self.name) + attribute * PER_ATTRIBUTE

    def place(self, wanted: Iterable[str], name: str) -> str:
        """The end of a reason: where the attribute of that name begins."""
        return f"(offset {self.offset(list(wanted).index(name))})"


def padded(text: str) -> int:
    """The length of a string in a message."""
    return -(-(len(os.fsencode(text)) + 1) // 4) * 4


def pairs(device: Device, rest: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
    """Names and their values; known says which are `switch`es, on or off, and which numbers."""
    prefix = f"ethtool ({device.option})"
    wanted: dict[str, str] = {}
    for place in range(0, len(rest), 2):
        name = rest[place]
        if name not in known:
            raise EthtoolError(f"{prefix}: unknown parameter '{name}'")
        if name in wanted:
            raise EthtoolError(f"{prefix}: duplicate parameter '{name}'")
        if place + 1 == len(rest):
            raise EthtoolError(f"{prefix}: no value for parameter '{name}'")
        text = rest[place + 1]
        value = text if text in ("on", "off") else None
        if known[name] != "switch":
            number = _u32(text)
            value = None if number is None else str(number)
        if value is None:
            raise EthtoolError(f"{prefix}: invalid value '{text}' for parameter '{name}'")
        wanted[name] = value
    return wanted


def _u32(text: str) -> int | None:
    """strtoul() in base 10, or 16 behind 0x; None: that is no number, or too large."""
    base = 16 if text[:2].lower() == "0x" else 10
    digits = text[2:] if base == 16 else text.lstrip().removeprefix("+")
    if not (digits.isascii() and digits.isalnum()):
        return None
    try:
        number = int(digits, base)
    except ValueError:
        return None
    return number if number < U32 else None


def no_more(rest: Sequence[str]) -> None:
    """For a command that netlink answers, and that has no arguments."""
    if rest:
        raise EthtoolError(f"ethtool: unexpected parameter '{rest[0]}'")
