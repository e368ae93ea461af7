"""Read the parameters of a module: annotated attributes of its class, with a default.

    interval: int = 1
    name: str = parameter("eth0", mode=0o644, doc="the interface to watch")

Follows kernel/params.c: what values look like, and what is said of bad ones.
"""

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import get_annotations
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

_NUMBER_RANGE = range(-(1 << 31), 1 << 31)  # int is 32 bits wide
_TRUE = ("y", "Y", "1", "on", "On", "t", "T")
_FALSE = ("n", "N", "0", "off", "Off", "f", "F")
READ_ONLY = 0o444


@dataclass(frozen=True, slots=True)
class _Default:
    value: object
    mode: int
    doc: str


def parameter(default: Any, *, mode: int = READ_ONLY, doc: str = "") -> Any:
    """A default with more to say: the mode of its file in /sys/module, and what it means.

    With mode 0o644 root may change the attribute while the module runs.
    """
    return _Default(default, mode, doc)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; type is int, bool or str, or a list of one of them."""

    name: str
    type: type
    is_list: bool
    default: object
    mode: int
    doc: str

    def parse(self, text: str | None) -> object:
        """What text stands for. ValueError: it is nothing of that type."""
        if self.is_list:
            return [self._parse_one(part) for part in text.split(",")] if text else []
        return self._parse_one(text)

    def show(self, value: object) -> str:
        """As /sys/module/NAME/parameters shows it."""
        if isinstance(value, list):
            return ",".join(self._show_one(item) for item in value)
        return self._show_one(value)

    def _parse_one(self, text: str | None) -> object:
        if self.type is bool:
            # `insmod x.py debug` means yes, and so does the kernel's kstrtobool() with these.
            if text is None or text in _TRUE:
                return True
            if text in _FALSE:
                return False
            raise ValueError(text)
        if text is None:
            raise ValueError(text)
        if self.type is int:
            number = int(text, 0)
            if number not in _NUMBER_RANGE:
                raise ValueError(text)
            return number
        return text

    @staticmethod
    def _show_one(value: object) -> str:
        return ("N", "Y")[value] if isinstance(value, bool) else str(value)


def parameters_of(module: type, base: type) -> dict[str, Parameter]:
    """The parameters that a module's class declares itself.

    TypeError  one has a type that no parameter can have
    """
    found = {}
    own = [name for cls in module.__mro__ if cls not in base.__mro__ for name in _annotated(cls)]
    hints = get_type_hints(module)
    for name in own:
        if name.startswith("_") or not hasattr(module, name):
            continue
        hint, default = hints[name], getattr(module, name)
        if get_origin(hint) is ClassVar:
            continue
        is_list = get_origin(hint) is list
        kind = get_args(hint)[0] if is_list else hint
        if kind not in (int, bool, str):
            raise TypeError(f"parameter {name}: {hint} is not int, bool, str or a list of them")
        if not isinstance(default, _Default):
            default = _Default(default, READ_ONLY, "")
        found[name] = Parameter(name, kind, is_list, default.value, default.mode, default.doc)
    return found


def read_arguments(
    parameters: Mapping[str, Parameter], arguments: list[str]
) -> tuple[dict[str, object], list[str]]:
    """The values of all parameters, and the names that are none.

    BadValueError  a value is nothing of the parameter's type
    """
    values = {name: known.default for name, known in parameters.items()}
    unknown = []
    for argument in arguments:
        name, equals, text = argument.partition("=")
        name = name.replace("-", "_")
        known = parameters.get(name)
        if known is None:
            unknown.append(name)
            continue
        try:
            values[name] = known.parse(text if equals else None)
        except ValueError:
            raise BadValueError(text, name) from None
    return values, unknown


class BadValueError(OSError):
    """EINVAL, and the kernel's words for it."""

    def __init__(self, text: str, name: str) -> None:
        self.said = f"`{text}' invalid for parameter `{name}'"
        super().__init__(errno.EINVAL, self.said)


def _annotated(cls: type) -> list[str]:
    return list(get_annotations(cls))
