"""Read the numbers of boot parameters. Follows lib/cmdline.c: get_option(), memparse()."""

import re

_INTEGER = re.compile(r"(-?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([0-9]+))", re.ASCII)


def get_option(value: str | None) -> int | None:
    """A number in any of C's bases, None if there is no text, and 0 for text that is no number."""
    if not value:
        return None
    match = _INTEGER.match(value[:20])
    if match is None:
        return 0
    sign, hexadecimal, octal, decimal = match.groups()
    if hexadecimal:
        number = int(hexadecimal, 16)
    else:
        number = int(octal, 8) if octal else int(decimal)
    return -number if sign else number


def memparse(value: str | None) -> int:
    """A number with K, M or G behind it; memparse()."""
    size = max(get_option(value) or 0, 0)
    return size << {"K": 10, "M": 20, "G": 30}.get((value or "")[-1:].upper(), 0)
