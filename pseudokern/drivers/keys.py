"""Say what a device may be told in a machine file, and read it.

A driver declares its keys, and the machine file is checked against them before anything boots:

    KEYS: ClassVar = {
        **PCI_KEYS,
        "queues": Key(Integer(1, 256), default=1, doc="receive queues, one vector each"),
        "rate": Key(OneOrEach(Rate()), per="queues", default="0 Hz", doc="frames per queue"),
    }

A default is written as a user would write it, and read by the same code; None means that the key
was left out. Bad text never raises: it is given back as Problems, so that a file's every mistake
can be told in one go.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeVar

from pseudokern.kernel.cpumask import cpulist_format, cpulist_parse
from pseudokern.sim.quantity import (
    QuantityError,
    parse_duration_ns,
    parse_rate_hz,
    parse_share,
    parse_size_kb,
)

NR_CPUS = 8192  # CONFIG_NR_CPUS of distributions' kernels: what a CPU list may name at all
FASTEST_HZ = 10_000_000.0  # ten times what one CPU can handle when it does nothing else
MOST_IRQS = 524_543  # NR_IRQS of a kernel for 8192 CPUs, less one

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,62}")


class Problem(NamedTuple):
    """What is wrong with a value, worded to follow the name of its key, and what to do."""

    what: str
    hint: str = ""


class Problems(tuple[Problem, ...]):
    """What a kind gives instead of a value."""

    __slots__ = ()


class Limits(NamedTuple):
    """What the machine has, for the values that refer to it. folder: where relative paths begin."""

    cpus: int
    nodes: int
    gsis: int
    folder: Path = Path()


class Kind(Protocol):
    """How a value is written in a machine file.

    Those without a parameter are plain classes: a dataclass costs a millisecond at each start.
    """

    def parse(self, value: object, limits: Limits) -> object:
        """The value, or Problems."""
        ...


Derive = Callable[[Limits, Mapping[str, object]], object]


class Key(NamedTuple):
    """One key of a device: how it is written, and what it is when it is left out.

    per names an earlier key that counts something; a list then has as many items as that says.
    derive gives the default where it depends on the machine or on the keys before this one.
    """

    kind: Kind
    default: object = None
    required: bool = False
    per: str = ""
    derive: Derive | None = None
    doc: str = ""

    def parse(self, value: object, limits: Limits, parsed: Mapping[str, object]) -> object:
        """Read value into what the driver sees, or Problems. parsed: the keys before this one."""
        result = self.kind.parse(value, limits)
        count = parsed.get(self.per) if self.per else None
        if isinstance(result, Each) and isinstance(count, int):
            return result.items * count
        if isinstance(result, Each):
            return result.items
        if isinstance(result, tuple) and not isinstance(result, Problems):
            return self._check_count(result, count)
        return result

    def parse_default(self, limits: Limits, parsed: Mapping[str, object]) -> object:
        """What the driver sees if the file says nothing."""
        default = self.default if self.derive is None else self.derive(limits, parsed)
        return None if default is None else self.parse(default, limits, parsed)

    def _check_count(self, items: tuple[object, ...], count: object) -> object:
        if not isinstance(count, int) or len(items) == count or not items:
            return items
        return problem(
            f"has {plural(len(items), 'item')}, but {self.per} is {count}",
            f"give one for each of the {self.per}",
        )


class Each(NamedTuple):
    """One value that stands for every item of a list; Key.parse() multiplies it."""

    items: tuple[object]


class Integer(NamedTuple):
    """A whole number from minimum to maximum. why: who says so, for the error message."""

    minimum: int = 0
    maximum: int = 2**31 - 1
    why: str = ""

    def parse(self, value: object, limits: Limits) -> object:
        if not isinstance(value, int) or isinstance(value, bool):
            return mistyped(value, "a whole number", "write it without quotes, like 4")
        if value < self.minimum:
            return problem(f"is {value}, but must be at least {self.minimum}", self.why)
        if value > self.maximum:
            return problem(f"is {value}, but must be at most {self.maximum}", self.why)
        return value


class Flag:
    """true or false."""

    def parse(self, value: object, limits: Limits) -> object:
        if isinstance(value, bool):
            return value
        return mistyped(value, "true or false", "write it without quotes")


class Text:
    """Any text of one line."""

    def parse(self, value: object, limits: Limits) -> object:
        if not isinstance(value, str):
            return mistyped(value, "text", "put it in quotes")
        if not value.isprintable():
            return problem("has characters that cannot be printed", "write it on one line")
        return value


class Name:
    """A word that can stand in /proc/interrupts and be a file's name."""

    def parse(self, value: object, limits: Limits) -> object:
        if not isinstance(value, str):
            return mistyped(value, "a name", 'put it in quotes, like "eth0"')
        if not _NAME.fullmatch(value):
            return problem(
                f'is "{value}", which cannot be a file\'s name',
                "use letters, digits and . _ : @ -, at most 63 of them",
            )
        return value


class Choice:
    """One of a few words or numbers."""

    __slots__ = ("choices",)

    def __init__(self, *choices: str | int) -> None:
        self.choices = choices

    def parse(self, value: object, limits: Limits) -> object:
        if not isinstance(value, bool) and value in self.choices:
            return value
        known = f"use {', '.join(quoted(choice) for choice in self.choices)}"
        similar = did_you_mean(value, self.choices) if isinstance(value, str) else ""
        return problem(f"is {quoted(value)}", f"{similar} {known}" if similar else known)


class Rate(NamedTuple):
    """How often something happens, such as "20 kHz", "3/s" or 0; events per second."""

    maximum_hz: float = FASTEST_HZ

    def parse(self, value: object, limits: Limits) -> object:
        rate_hz = _parse_quantity(value, parse_rate_hz, "20 kHz")
        if isinstance(rate_hz, float) and rate_hz > self.maximum_hz:
            return problem(
                f"is {quoted(value)}, faster than any CPU can follow",
                f'use at most "{self.maximum_hz / 1e6:g} MHz"',
            )
        return rate_hz


class Duration(NamedTuple):
    """How long something takes, such as "250ms" or "10 us"; whole nanoseconds."""

    maximum_ns: int = 10**18
    least_us: int = 0

    def parse(self, value: object, limits: Limits) -> object:
        duration_ns = _parse_quantity(value, parse_duration_ns, "10 us")
        if isinstance(duration_ns, int) and duration_ns < self.least_us * 1000:
            return problem(f"is {quoted(value)}", f'use at least "{self.least_us} us"')
        if isinstance(duration_ns, int) and duration_ns > self.maximum_ns:
            return problem(
                f"is {quoted(value)}", f'use at most "{self.maximum_ns / 1_000_000:g} ms"'
            )
        return duration_ns


class Share(NamedTuple):
    """A part of the whole, such as "12%"; a number from 0 to most."""

    most: float = 1.0

    def parse(self, value: object, limits: Limits) -> object:
        share = _parse_quantity(value, parse_share, "12%")
        if isinstance(share, float) and share > self.most:
            return problem(f"is {quoted(value)}", f"use {self.most:.0%} or less")
        return share


class Size(NamedTuple):
    """An amount of memory, such as "512 KB"; units of 1024 bytes."""

    least_kb: int = 0
    most_kb: int = 1 << 50

    def parse(self, value: object, limits: Limits) -> object:
        size_kb = _parse_quantity(value, parse_size_kb, "512 KB")
        if isinstance(size_kb, int) and size_kb < self.least_kb:
            return problem(f"is {quoted(value)}", f'use at least "{self.least_kb} KB"')
        if isinstance(size_kb, int) and size_kb > self.most_kb:
            return problem(f"is {quoted(value)}", f'use at most "{self.most_kb} KB"')
        return size_kb


IO_SIZE = Size(1, 1024)  # of one I/O


class CpuList:
    """CPUs of this machine, such as "0-3,8"; a mask."""

    def parse(self, value: object, limits: Limits) -> object:
        if not isinstance(value, str):
            return mistyped(value, "a CPU list", 'put it in quotes, like "0-3,8"')
        try:
            # N is the last CPU, as in smp_affinity_list, so try with this machine's number first.
            mask = cpulist_parse(value.encode(), limits.cpus)
        except OSError:
            try:
                mask = cpulist_parse(value.encode(), NR_CPUS)
            except OSError:
                return problem(f'is "{value}", not a CPU list', 'write it like "0-3,8"')
        if missing := mask >> limits.cpus << limits.cpus:
            one = missing.bit_count() == 1
            return problem(
                f"names {'CPU' if one else 'CPUs'} {cpulist_format(missing)}, "
                f"but the machine has {cpus_text(limits.cpus)}"
            )
        if not mask:
            return problem(f'is "{value}", which names no CPU', 'write it like "0-3,8"')
        return mask


class Gsi(NamedTuple):
    """An I/O APIC line, counted through all I/O APICs; trigger and shared: how it is used.

    optional  0 is none, for a device without a pin

    A driver that has keys "trigger" or "shared" lets the file decide those.
    """

    minimum: int = 0
    trigger: Literal["edge", "level"] = "edge"
    shared: bool = False
    optional: bool = False

    def parse(self, value: object, limits: Limits) -> object:
        if not isinstance(value, int) or isinstance(value, bool):
            return mistyped(value, "a line's number", "write it without quotes, like 16")
        if self.optional and value == 0:
            return value
        if not self.minimum <= value < limits.gsis:
            return problem(
                f"is {value}, which is no line of an I/O APIC that it can use",
                f"choose {self.minimum}-{limits.gsis - 1}, or give the machine more ioapics",
            )
        return value


class ListOf(NamedTuple):
    """Several values of one kind; a tuple."""

    kind: Kind

    def parse(self, value: object, limits: Limits) -> object:
        if not isinstance(value, list | tuple):
            return mistyped(value, "a list", "put it in [ ]")
        items = [self.kind.parse(item, limits) for item in value]
        problems = [
            Problem(f"[{index}] {problem.what}", problem.hint)
            for index, item in enumerate(items)
            if isinstance(item, Problems)
            for problem in item
        ]
        return Problems(problems) if problems else tuple(items)


class TableOf:
    """An inline table with keys of its own, such as {irq = 24, name = "eth0"}; a dict."""

    __slots__ = ("keys",)

    def __init__(self, **keys: Key) -> None:
        self.keys = keys

    def parse(self, value: object, limits: Limits) -> object:
        if not isinstance(value, dict):
            return mistyped(value, "a table", "put it in { }")
        problems = [
            Problem(f"has the unknown key {quoted(name)}", f"known here: {', '.join(self.keys)}")
            for name in value
            if name not in self.keys
        ]
        parsed: dict[str, object] = {}
        for name, key in self.keys.items():
            if name in value:
                parsed[name] = key.parse(value[name], limits, parsed)
            elif key.required:
                problems.append(Problem(f"has no {name}", key.doc))
            else:
                parsed[name] = key.parse_default(limits, parsed)
            found = parsed.get(name)
            if isinstance(found, Problems):
                problems += [Problem(f"{name} {p.what}", p.hint) for p in found]
        return Problems(problems) if problems else parsed


class OneOrEach(NamedTuple):
    """One value for all, or a list with one for each of Key.per; always a tuple."""

    kind: Kind

    def parse(self, value: object, limits: Limits) -> object:
        if isinstance(value, list | tuple):
            return ListOf(self.kind).parse(value, limits)
        item = self.kind.parse(value, limits)
        return item if isinstance(item, Problems) else Each((item,))


def did_you_mean(word: object, known: Iterable[str | int]) -> str:
    """A hint with the known word that looks like this one, or nothing."""
    import difflib  # 10 ms that only a mistake should cost

    close = difflib.get_close_matches(str(word), [str(choice) for choice in known], n=1)
    return f'did you mean "{close[0]}"?' if close else ""


def quoted(value: object) -> str:
    """A value as it stands in the file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"' if value.isprintable() else ascii(value)
    return str(value) if isinstance(value, int | float) else f"a {_TOML_TYPES[type(value)]}"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


_TOML_TYPES: Mapping[type, str] = {
    list: "list",
    dict: "table",
    datetime: "date",
    date: "date",
    time: "time of day",
}


def _parse_quantity(value: object, parse: Callable[[str], T], example: str) -> T | Problems:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value != 0:
            return problem(f"is {value}, a number without a unit", f'write it like "{example}"')
        value = "0"
    if not isinstance(value, str):
        return mistyped(value, "a quantity", f'write it like "{example}"')
    try:
        return parse(value)
    except QuantityError as error:
        return problem(error.what, error.hint)


def mistyped(value: object, wanted: str, hint: str) -> Problems:
    """A value of another type was written than is wanted."""
    return problem(f"is {quoted(value)}, but must be {wanted}", hint)


def problem(what: str, hint: str = "") -> Problems:
    """One problem."""
    return Problems([Problem(what, hint)])


def cpus_text(count: int) -> str:
    """CPUs 0-7, for messages."""
    return "CPU 0 only" if count == 1 else f"CPUs 0-{count - 1}"
