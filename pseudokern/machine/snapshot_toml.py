"""Write values as TOML, with comments, in the way in which the presets are written."""

from collections.abc import Mapping

_ESCAPES = {'"': '\\"', "\\": "\\\\"}


class Raw(str):
    """Text that is TOML already."""

    __slots__ = ()


def toml_value(value: object) -> str:
    """One value. Characters that cannot be printed are written as TOML's escapes."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{"".join(_escaped(letter) for letter in value)}"'
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        if value and isinstance(value[0], Mapping):
            return "[\n" + "".join(f"    {toml_value(item)},\n" for item in value) + "]"
        return f"[{', '.join(map(toml_value, value))}]"
    return str(value)


def toml_table(heading: str, values: Mapping[str, object], notes: Mapping[str, str] = {}) -> str:
    """A table with its heading. notes: a comment for behind a key's value."""
    lines = [heading]
    for key, value in values.items():
        line = f"{key} = {toml_value(value)}"
        note = notes.get(key)
        lines.append(f"{line:32}  # {note}" if note else line)
    return "\n".join(lines) + "\n"


def comment(text: str, width: int = 98) -> str:
    """Lines that begin with #, broken between words."""
    lines, line = [], "#"
    for word in text.split():
        if len(line) + 1 + len(word) > width:
            lines.append(line)
            line = "#  "
        line += f" {word}"
    return "\n".join([*lines, line]) + "\n"


def rate(rate_hz: float) -> str | int:
    """A rate in words that a machine file understands, to three digits."""
    if rate_hz <= 0:
        return 0
    if rate_hz >= 1000:
        return f"{_digits(rate_hz / 1000)} kHz"
    if rate_hz >= 0.1:
        return f"{_digits(rate_hz)} Hz"
    return f"{_digits(rate_hz * 3600)}/h"


def _digits(number: float) -> str:
    text = f"{number:.3g}"
    return text if "e" not in text else f"{number:.10f}".rstrip("0").rstrip(".")


def _escaped(letter: str) -> str:
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    if letter.isprintable():
        return letter
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"
