"""Read what a device is told to have to do: a [[load]] table, or a line written to load/NAME.

The keys are those of the device (Device.load_keys()), and a line has the values of the table
without their quotes: depth=32 read=70% size=4KB.
"""

import errno
import re
from collections.abc import Mapping
from typing import Any

from pseudokern.drivers.keys import Flag, Integer, Key, Limits, Problems, did_you_mean

_WORD = re.compile(r"""([a-z_]+)\s*=\s*("[^"]*"|\S+)\s*""", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def parse_load(text: str, keys: Mapping[str, Key], limits: Limits) -> dict[str, Any]:
    """Read key=value words; EINVAL: one that is unknown, or has a value that cannot be."""
    return read_words(split_words(text, "load"), keys, limits, "load: ")


def split_words(text: str, what: str) -> dict[str, str]:
    """The words of a line by their keys. EINVAL: something else; what: what the line is about."""
    written: dict[str, str] = {}
    place = 0
    text = text.strip()
    while place < len(text):
        match = _WORD.match(text, place)
        if match is None:
            raise OSError(errno.EINVAL, f"{what} {text[place:]!r}: write it like key=value")
        written[match[1]] = match[2].strip('"')
        place = match.end()
    return written


def read_words(
    written: Mapping[str, str], keys: Mapping[str, Key], limits: Limits, what: str
) -> dict[str, Any]:
    """What the words stand for. EINVAL: one that is unknown or missing, or cannot be.

    what  begins the reason
    """
    for name in written:
        if name not in keys:
            hint = did_you_mean(name, keys) or f"the keys are {', '.join(keys)}"
            raise OSError(errno.EINVAL, f"{what}unknown key {name!r}; {hint}")
    options: dict[str, Any] = {}
    for name, key in keys.items():
        if name in written:
            options[name] = key.parse(_typed(written[name], key), limits, options)
        elif key.required:
            raise OSError(errno.EINVAL, f"{what}{name} is missing; {key.doc}".rstrip("; "))
        else:
            options[name] = key.parse_default(limits, options)
        value = options[name]
        if isinstance(value, Problems):
            told = "; ".join(filter(None, value[0]))
            raise OSError(errno.EINVAL, f"{what}{name} {told}")
    return options


def _typed(word: str, key: Key) -> object:
    """A word as TOML would have it, without which a number could not be told from text."""
    if isinstance(key.kind, Integer) and _NUMBER.fullmatch(word):
        return int(word)
    if isinstance(key.kind, Flag):
        return _FLAGS.get(word, word)
    return word
