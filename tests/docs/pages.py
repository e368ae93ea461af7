"""Read what the manual shows: its commands with their output, its files, its tables.

A fence with the word `console` holds commands after "$ ", continued after "> ", and what they
print. `console counts` says that numbers in it differ from run to run. A fence that names a file
(`toml mine.toml`) is that file. A line like <!-- run: true --> is run and not shown. Fences with
any other word are neither run nor checked.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"```(\w*) ?(\S*)")
_HIDDEN = re.compile(r"<!-- run: (.*) -->")


@dataclass
class Command:
    """One command of a page. first and end: the lines of shown, as a slice of the page's."""

    text: str
    line: int
    counts: bool = False
    hidden: bool = False
    shown: list[str] = field(default_factory=list)
    first: int = 0
    end: int = 0


@dataclass
class Page:
    """The commands of a page in their order, and the files that they find."""

    path: Path
    lines: list[str]
    commands: list[Command] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Page":
        page = cls(path, path.read_text().splitlines())
        number = 0
        while number < len(page.lines):
            line = page.lines[number]
            if hidden := _HIDDEN.fullmatch(line):
                page.commands.append(Command(hidden[1], number + 1, hidden=True))
            elif fence := _FENCE.fullmatch(line):
                end = page.lines.index("```", number + 1)
                if fence[1] == "console":
                    page._read_console(number + 1, end, counts=fence[2] == "counts")
                elif fence[2]:
                    page.files[fence[2]] = "\n".join(page.lines[number + 1 : end]) + "\n"
                number = end
            number += 1
        return page

    def _read_console(self, start: int, end: int, *, counts: bool) -> None:
        for number in range(start, end):
            line = self.lines[number]
            if line.startswith("$ "):
                place = number + 1
                self.commands.append(
                    Command(line[2:], place, counts=counts, first=place, end=place)
                )
                continue
            command = self.commands[-1]
            if line.startswith("> ") and not command.shown:
                command.text += "\n" + line[2:]
                command.first = command.end = number + 1
            else:
                command.shown.append(line)
                command.end = number + 1


def rows_below(path: Path, heading: str = "") -> list[list[str]]:
    """The cells of every table row below a heading, or on the whole page. A bar is written \\|."""
    rows = []
    current = ""
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            current = line.lstrip("# ")
        elif line.startswith("| ") and not line.startswith(("| key |", "| ---")):
            cells = [
                cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]
            ]
            if current == heading or not heading:
                rows.append(cells)
    return rows
