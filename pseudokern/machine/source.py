"""Find a machine file, read it, and remember where everything in it stands.

A machine is named by a preset's name or by a path. What has a slash or ends in .toml is a path.
"""

import os
import re
import tomllib
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pseudokern.drivers.keys import Key, Limits, Problems, did_you_mean, quoted
from pseudokern.machine.inherit import merge
from pseudokern.machine.problems import DescriptionErrors, DescriptionProblem

if TYPE_CHECKING:
    from pseudokern.machine.toml_lines import Place

PRESETS = Path(__file__).parent / "presets"
RECORDED = PRESETS / "recorded"  # variants of q4 that were recorded: to be booted, not to be listed
DEFAULT_PRESET = "laptop"

Table: TypeAlias = Mapping[str, object]

_PLACE = re.compile(r" \(at (?:line ([0-9]+), column [0-9]+|end of document)\)")


def preset_names() -> list[str]:
    """The machines that come with pseudokern, the default one first."""
    names = sorted(path.stem for path in PRESETS.glob("*.toml"))
    return sorted(names, key=lambda name: name != DEFAULT_PRESET)


def preset_path(name: str) -> Path:
    """The file of a preset. DescriptionErrors if there is none of that name."""
    names = preset_names()
    if name in names:
        return PRESETS / f"{name}.toml"
    if name in {path.stem for path in RECORDED.glob("*.toml")}:
        return RECORDED / f"{name}.toml"
    known = f"the presets are {', '.join(names)}, and a file is named like ./mine.toml"
    similar = did_you_mean(name, names)
    problem = DescriptionProblem(
        name, None, "", "no such machine", f"{similar} {known}" if similar else known
    )
    raise DescriptionErrors([problem])


class Spot(NamedTuple):
    """A table of a machine file: what messages call it, its name, which of that name it is."""

    where: str = ""
    table: str = ""
    number: int = 0


FILE = Spot()


class Source:
    """A machine file while it is being checked; label is what messages call it."""

    def __init__(self, path: Path, label: str) -> None:
        self.path = path
        self.label = label
        self.tables: Table = {}
        self.problems: list[DescriptionProblem] = []
        self._text = ""
        self._places: Mapping[int, int] = {}  # of a [[device]] here -> together with the base

    @classmethod
    def open(cls, machine: str | os.PathLike[str]) -> "Source":
        """Read a preset or a file. DescriptionErrors if it cannot be read, or is not TOML."""
        text = os.fspath(machine)
        if not isinstance(machine, str) or "/" in text or text.endswith(".toml"):
            source = cls(Path(text), text)
        else:
            source = cls(preset_path(text), f"{text}.toml")
        source._read()
        source._inherit()
        return source

    def line_of(self, spot: Spot, key: str = "") -> int | None:
        """Where a key stands, or else its table."""
        return (
            self._lines.get((spot.table, spot.number, key))
            or self._lines.get((spot.table, spot.number, ""))
            or self._lines.get(("", 0, spot.table or key))
        )

    @cached_property
    def _lines(self) -> "dict[Place, int]":
        from pseudokern.machine.toml_lines import find_lines  # 4 ms that only a mistake should cost

        return {
            (table, self._places.get(number, number) if table == "device" else number, key): line
            for (table, number, key), line in find_lines(self._text).items()
        }

    def report(self, spot: Spot, key: str, what: str, hint: str = "") -> None:
        """Note a problem with a key, or with the whole table if key is empty."""
        line = self.line_of(spot, key)
        self.problems.append(DescriptionProblem(self.label, line, spot.where, what, hint))

    def table(self, spot: Spot) -> Table:
        """The values of a table that stands once, empty if it does not."""
        values = self.tables.get(spot.table, {})
        if isinstance(values, dict):
            return values
        self.report(spot, "", f"{spot.table} is not a table", f"write it once, as [{spot.table}]")
        return {}

    def read(
        self, spot: Spot, values: Table, keys: Mapping[str, Key], limits: Limits
    ) -> dict[str, Any]:
        """Read values by their keys, in the order of keys; those with a problem are left out."""
        parsed: dict[str, Any] = {}
        for name, key in keys.items():
            if name in values:
                result = key.parse(values[name], limits, parsed)
            elif key.required:
                self.report(spot, "", f"{name} is missing", key.doc)
                continue
            else:
                result = key.parse_default(limits, parsed)
            if not isinstance(result, Problems):
                parsed[name] = result
                continue
            for problem in result:
                joint = "" if problem.what.startswith("[") else " "
                self.report(spot, name, f"{name}{joint}{problem.what}", problem.hint)
        return parsed

    def report_unknown(self, spot: Spot, values: Table, known: Collection[str]) -> None:
        """A key nobody reads is a mistake, not a silence."""
        for name in values:
            if name not in known:
                hint = did_you_mean(name, known) or f"known here: {', '.join(known)}"
                self.report(spot, name, f"unknown key {quoted(name)}", hint)

    def raise_if_any(self) -> None:
        """DescriptionErrors if a problem was reported."""
        if self.problems:
            self.problems.sort(key=lambda problem: problem.line or 0)
            raise DescriptionErrors(self.problems)

    def _read(self) -> None:
        try:
            text = self.path.read_bytes().decode()
        except OSError as error:
            self._refuse(f"cannot be read: {(error.strerror or str(error)).lower()}")
        except UnicodeDecodeError as error:
            self._refuse(f"is not UTF-8 text: byte {error.object[error.start]:#x} at {error.start}")
        try:
            self.tables = tomllib.loads(text)
        except RecursionError:
            self._refuse("is nested too deeply")
        except ValueError as error:  # besides TOMLDecodeError, a number with thousands of digits
            what, line = _split_message(str(error), text)
            self._refuse(f"not TOML: {what[:1].lower()}{what[1:]}", line)
        self._text = text.replace("\r\n", "\n")

    def _inherit(self) -> None:
        """Take what this file does not say from its base, which may have one, too."""
        machine = self.tables.get("machine")
        base = machine.get("base") if isinstance(machine, dict) else None
        if not isinstance(base, str):
            return
        is_path = "/" in base or base.endswith(".toml")
        path = self.path.parent / base
        if is_path and path.resolve() == self.path.resolve():
            line = self.line_of(Spot(table="machine"), "base")
            self._refuse(f"base {quoted(base)} is this file itself", line)
        other = Source.open(path) if is_path else Source.open(base)
        self.tables, self._places = merge(other.tables, self.tables)

    def _refuse(self, what: str, line: int | None = None) -> None:
        raise DescriptionErrors([DescriptionProblem(self.label, line, "", what)])


def _split_message(message: str, text: str) -> tuple[str, int | None]:
    """What tomllib says, without the place, and the line of that place."""
    match = _PLACE.search(message)
    if match is None:
        return message, None
    line = int(match[1]) if match[1] else text.rstrip("\n").count("\n") + 1
    return message[: match.start()], line
