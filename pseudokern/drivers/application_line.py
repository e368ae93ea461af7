"""Write what a program is on one line of key=value words, and read such a line.

kind=server device=eth0 threads=2 cpus=2-3 nice=5

The keys and values are those of [[application]], without quotes where there are no blanks. A line
that is shown begins with "off" if the program has no threads. One that is written says "off" or
"on", or neither: then that stays as it is.
"""

from collections.abc import Mapping
from typing import NamedTuple

from pseudokern.drivers.keys import Key
from pseudokern.drivers.load import split_words

ON, OFF, REMOVE = "on", "off", "remove"


class ApplicationLine(NamedTuple):
    """What a line says; is_on is None if it does not say that."""

    words: Mapping[str, str]
    is_on: bool | None


def parse_line(text: str) -> ApplicationLine:
    """EINVAL: it is no line of key=value words."""
    first, _, rest = text.strip().partition(" ")
    if first in (ON, OFF):
        return ApplicationLine(split_words(rest, "line"), is_on=first == ON)
    return ApplicationLine(split_words(text, "line"), is_on=None)


def words_of(values: Mapping[str, object]) -> dict[str, str]:
    """The words of a table of a machine file."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
    }


def format_line(words: Mapping[str, str], keys: Mapping[str, Key], *, is_on: bool) -> str:
    """All keys that have a value, in their order, but for the name."""
    shown = [] if is_on else [OFF]
    for name, key in keys.items():
        word = words.get(name)
        if word is None and key.default is not None:
            word = words_of({name: key.default})[name]
        if word is None or name == "name":
            continue
        word = word.replace(" ", "")
        shown.append(f"{name}={word}")
    return " ".join(shown)
