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
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def parse_load(text: str, keys: Mapping[str, Key], limits: Limits) -> dict[str, Any]:
    """Read key=value words; EINVAL: one that is unknown, or has a value that cannot be."""
    written: dict[str, str] = {}
    place = 0
    text = text.strip()
    while place < len(text):
        match = _WORD.match(text, place)
        if match is None:
            raise OSError(errno.EINVAL, f"load {text[place:]!r}: write it like key=value")
        written[match[1]] = match[2].strip('"')
        place = match.end()
    for name in written:
        if name not in keys:
            hint = did_you_mean(name, keys) or f"the keys are {', '.join(keys)}"
            raise OSError(errno.EINVAL, f"load: unknown key {name!r}; {hint}")
    options: dict[str, Any] = {}
    for name, key in keys.items():
        if name in written:
            options[name] = key.parse(_typed(written[name], key), limits, options)
        else:
            options[name] = key.parse_default(limits, options)
        value = options[name]
        if isinstance(value, Problems):
            told = "; ".join(filter(None, value[0]))
            raise OSError(errno.EINVAL, f"load: {name} {told}")
    return options


def _typed(word: str, key: Key) -> object:
    """A word as TOML would have it, without which a number could not be told from text."""
    if isinstance(key.kind, Integer) and word.isascii() and word.isdigit() and len(word) < 20:
        return int(word)
    if isinstance(key.kind, Flag):
        return _FLAGS.get(word, word)
    return word
