"""Collect everything that is wrong with a machine file, one line each."""

from typing import NamedTuple


class DescriptionProblem(NamedTuple):
    """One mistake: which file and line, where in it, what, and what to do."""

    file: str
    line: int | None
    where: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        text = ": ".join(part for part in (place, self.where, self.what) if part)
        return f"{text}; {self.hint}" if self.hint else text


class DescriptionErrors(Exception):
    """A machine file that cannot be booted, with every problem it has."""

    def __init__(self, problems: list[DescriptionProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
