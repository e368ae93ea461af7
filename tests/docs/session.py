"""Run the commands of a page in one bash, in a directory that looks like a clone.

It has an empty mountpoint/, the scripts, and the files that the page shows. pseudokern is the one
that is tested, under the Python that tests it.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import ROOT, Command, Page

TIMEOUT_S = 60
_MARK = re.compile(rb"\x1e([0-9]+)\n")  # what follows each command: its status
_LINE_NUMBER = re.compile(r"^(\S*bash|\S+\.sh): line [0-9]+: ", re.MULTILINE)
_NUMBER = re.compile(r" *[0-9]+")


@dataclass
class Outcome:
    """What a command did."""

    command: Command
    status: int
    printed: list[str]

    @property
    def problem(self) -> str:
        """Why it is not what the page says; nothing if it is."""
        command = self.command
        if self.status and not command.shown:
            return f"exit status {self.status}: {self.printed}"
        if command.hidden or self._normal(self.printed) == self._normal(command.shown):
            return ""
        return "\n".join(["the page shows", *command.shown, "it printed", *self.printed])

    def _normal(self, lines: list[str]) -> list[str]:
        if not self.command.counts:
            return [line.rstrip() for line in lines]
        return [_NUMBER.sub(" N", line).rstrip() for line in lines]


def run(page: Page, directory: Path) -> list[Outcome]:
    """Run all commands of a page there; whatever they leave mounted is halted.

    After one that hangs there are no more outcomes.
    """
    (directory / "mountpoint").mkdir()
    shutil.copytree(ROOT / "scripts", directory / "scripts")
    (directory / ".bin").mkdir()
    for name, module in (
        ("pseudokern", "pseudokern"),
        ("pytest", "pytest -p no:cacheprovider -p pseudokern.testing.plugin"),
    ):
        program = directory / ".bin" / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
        program.chmod(0o755)
    for name, text in page.files.items():
        (directory / name).write_text(text)
    script = "".join(
        f"{{\n{command.text}\n}} 2>&1\nprintf '\\036%d\\n' $?\n" for command in page.commands
    )
    try:
        done = subprocess.run(
            ["bash", "-c", script],
            check=False,
            cwd=directory,
            env=_environment(directory),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=TIMEOUT_S,
        ).stdout
    except subprocess.TimeoutExpired as error:
        done = error.stdout or b""
    finally:
        _halt_all(directory)
    parts = _MARK.split(done)
    return [
        Outcome(command, int(status), _lines(printed))
        for command, printed, status in zip(page.commands, parts[::2], parts[1::2], strict=False)
    ]


def _environment(directory: Path) -> dict[str, str]:
    return {
        "PATH": f"{directory}/.bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "PYTHONPATH": str(ROOT),
        "LC_ALL": "C",
        "HOME": str(directory),
        "XDG_STATE_HOME": f"{directory}/.state",
    }


def _lines(printed: bytes) -> list[str]:
    """What an interactive bash prints: without the number of its line."""
    return _LINE_NUMBER.sub(r"\1: ", printed.decode(errors="replace")).splitlines()


def _halt_all(directory: Path) -> None:
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in mounts:
        if mount.startswith(f"{directory}{os.sep}"):
            subprocess.run(
                [sys.executable, "-m", "pseudokern", "halt", "--at", mount],
                check=False,
                stdout=subprocess.DEVNULL,
                timeout=30,
            )
