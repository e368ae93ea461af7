"""What ethtool 6.1 and nvme 2.3 of Debian 12 printed under its Linux 6.12, in QEMU.

`$ ` a command, `| ` what it wrote to its output, `! ` to its errors, `= ` its exit status.
Commands follow one another on one machine, cards.toml, that has just been booted. The usage that
nvme adds to some errors was left out.
"""

from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
MACHINE = FOLDER / "cards.toml"


class Said(NamedTuple):
    output: str
    errors: str
    status: int


class Command(NamedTuple):
    """line: where it is in the file."""

    text: str
    said: Said
    line: int


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def commands(name: str) -> list[Command]:
    found: list[Command] = []
    text, output, errors, start = "", "", "", 0
    for number, line in enumerate((FOLDER / f"{name}.txt").read_text().splitlines(), 1):
        kind, rest = line[0], line[2:]
        if kind == "$":
            text, output, errors, start = rest, "", "", number
        elif kind == "|":
            output += f"{rest}\n"
        elif kind == "!":
            errors += f"{rest}\n"
        else:
            found.append(Command(text, Said(output, errors, int(rest)), start))
    return found
