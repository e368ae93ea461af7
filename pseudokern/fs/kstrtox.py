"""Read the numbers that are written to files of /sys.

Follows lib/kstrtox.c. One line feed may be at the end, and nothing else around the number.
"""

import errno
import re

ULONG_RANGE = 2**64
UINT_RANGE = 2**32

_BASES = {
    16: re.compile(rb"0[xX][0-9a-fA-F]+"),
    8: re.compile(rb"0[0-7]*"),
    10: re.compile(rb"[1-9][0-9]*"),
}


def strtoul(digits: bytes) -> int | None:
    """A number without a sign, in base 16 or 8 if it begins with 0x or 0; None: that is none."""
    for base, pattern in _BASES.items():
        if pattern.fullmatch(digits):
            return int(digits, base)
    return None


def kstrtoul(data: bytes, name: str) -> int:
    """In the base that it shows. EINVAL: no number; ERANGE: more than 64 bits."""
    return _checked(strtoul(_digits(data)), data, name, ULONG_RANGE)


def kstrtouint(data: bytes, name: str) -> int:
    """In base 10. EINVAL: no number; ERANGE: more than 32 bits."""
    return _checked(_decimal(data), data, name, UINT_RANGE)


def kstrtoull(data: bytes, name: str) -> int:
    """In base 10. EINVAL: no number; ERANGE: more than 64 bits."""
    return _checked(_decimal(data), data, name, ULONG_RANGE)


def _decimal(data: bytes) -> int | None:
    digits = _digits(data)
    return int(digits) if digits.isdigit() else None


def _digits(data: bytes) -> bytes:
    return data.removesuffix(b"\n").removeprefix(b"+")


def _checked(number: int | None, data: bytes, name: str, beyond: int) -> int:
    if number is None:
        raise OSError(errno.EINVAL, f"{name}: {data!r} is no number")
    if number >= beyond:
        raise OSError(errno.ERANGE, f"{name}: {number} is more than {beyond - 1}")
    return number
