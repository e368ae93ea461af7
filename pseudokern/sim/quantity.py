"""Read quantities the way people write them: 250ms, 20 kHz, 3/s, 12%, 512 KB.

A quantity is text with a unit. A bare number is refused, because the reader of a machine file
cannot see whether it means seconds or nanoseconds; only 0 needs no unit.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

NS_PER_SECOND = 1_000_000_000
LONGEST_NS = 100 * 365 * 86_400 * NS_PER_SECOND  # a hundred years; still far below 2**62


class Ratio(NamedTuple):
    """An exact number; Fraction would do, but takes 2 ms to import, and boot has no time."""

    numerator: int
    denominator: int


_DURATIONS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": NS_PER_SECOND,
    "min": 60 * NS_PER_SECOND,
    "h": 3_600 * NS_PER_SECOND,
}
_RATES: Mapping[str, int | Ratio] = {
    "Hz": 1,
    "kHz": 1_000,
    "MHz": 1_000_000,
    "GHz": 1_000_000_000,
    "/s": 1,
    "/min": Ratio(1, 60),
    "/h": Ratio(1, 3_600),
}
_SIZES = {"KB": 1, "MB": 1_024, "GB": 1_024 * 1_024}
_SHARES = {"%": Ratio(1, 100)}

# The bound on the digits keeps a malicious file from asking for arithmetic on megabytes.
_QUANTITY = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?)\s*([^\s0-9.]\S*|)", re.ASCII)


class QuantityError(ValueError):
    """Text that is not the quantity wanted: what is wrong, and what to write instead."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what}; {hint}")
        self.what = what
        self.hint = hint


def parse_duration_ns(text: str) -> int:
    """Read a duration such as 250ms or "3 s" into whole nanoseconds."""
    numerator, denominator = _parse(text, _DURATIONS, "a duration", "250ms")
    duration_ns, rest = divmod(numerator, denominator)
    if rest:
        raise QuantityError(f'is "{text}", a fraction of a nanosecond', "use whole ns")
    if duration_ns > LONGEST_NS:
        raise QuantityError(f'is "{text}", longer than a hundred years', "use less")
    return duration_ns


def parse_rate_hz(text: str) -> float:
    """Read a rate such as "20 kHz" or 3/s into events per second."""
    rate_hz = _parse(text, _RATES, "a rate", "20 kHz")
    return rate_hz.numerator / rate_hz.denominator


def parse_share(text: str) -> float:
    """Read a share such as 12% into a number from 0 to 1."""
    share = _parse(text, _SHARES, "a share", "12%")
    if share.numerator > share.denominator:
        raise QuantityError(f'is "{text}"', "a share is at most 100%")
    return share.numerator / share.denominator


def parse_size_kb(text: str) -> int:
    """Read a size such as "512 KB" into units of 1024 bytes."""
    numerator, denominator = _parse(text, _SIZES, "a size", "512 KB")
    size_kb, rest = divmod(numerator, denominator)
    if rest:
        raise QuantityError(f'is "{text}", a fraction of a KB', "use whole KB")
    return size_kb


def _parse(text: str, units: Mapping[str, int | Ratio], noun: str, example: str) -> Ratio:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise QuantityError(f'is "{text}", not {noun}', f'write it like "{example}"')
    whole, _, decimals = match[1].partition(".")
    number, unit = int(whole + decimals), match[2]
    if not unit and number == 0:
        return Ratio(0, 1)
    if not unit:
        raise QuantityError(f'is "{text}", a number without a unit', f'write it like "{example}"')
    if unit not in units:
        known = ", ".join(name for name in units if name.isascii())
        raise QuantityError(f'is "{text}" with the unknown unit "{unit}"', f"{noun} is in {known}")
    size = units[unit]  # an int is a ratio, too
    return Ratio(number * size.numerator, 10 ** len(decimals) * size.denominator)
