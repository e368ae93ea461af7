"""Read what somebody wants of a card's flow hash: the words of `ethtool -X`."""

import errno
from collections.abc import Sequence
from typing import NamedTuple

from pseudokern.drivers.rss import spread, weigh

SYNTAX = "equal N, weight W0 W1 ..., default, hkey KEY, or hfunc NAME"


class Rxfh(NamedTuple):
    """table, key, function: None where nothing was said. is_default: as the driver likes it."""

    table: list[int] | None = None
    is_default: bool = False
    key: bytes | None = None
    function: str | None = None


def parse_rxfh(words: Sequence[str], entries: int, queues: int) -> Rxfh:
    """For a table of so many entries. EINVAL: not understood."""
    try:
        return _parse(list(words), entries, queues)
    except ValueError:
        raise OSError(errno.EINVAL, f"{' '.join(words)!r}: {SYNTAX}") from None


def _parse(words: list[str], entries: int, queues: int) -> Rxfh:
    """ValueError: not understood."""
    said: dict[str, str] = {}
    weights: list[int] = []
    while words:
        word = words.pop(0)
        if word == "weight":
            said[word] = ""
            while words and words[0].isdecimal():
                weights.append(int(words.pop(0)))
        elif word == "default":
            said[word] = ""
        elif word in ("equal", "start", "hkey", "hfunc") and words:
            said[word] = words.pop(0)
        else:
            raise ValueError(word)
    start, equal = int(said.get("start", 0)), int(said.get("equal", 1))
    tables = {"equal", "weight", "default"} & set(said)
    if len(tables) > 1 or not (tables or "hkey" in said or "hfunc" in said):
        raise ValueError(said)
    if start < 0 or equal < 1:
        raise ValueError(said)
    table = None
    if "weight" in said:
        table = weigh(entries, weights, start)
    elif tables:
        table = spread(entries, equal, start) if "equal" in said else spread(entries, queues)
    key = bytes.fromhex(said["hkey"].replace(":", "")) if "hkey" in said else None
    return Rxfh(table, "default" in said, key, said.get("hfunc"))
