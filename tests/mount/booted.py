"""A machine booted by the command line, and what a user does with its mount."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pseudokern.cli.detach import log_path
from pseudokern.run import mountpoint

PSEUDOKERN = (sys.executable, "-m", "pseudokern")
DEBUG = "sys/kernel/debug/pseudokern"
PATIENCE_S = 30  # when a test would hang; nothing is measured
POLL_S = 0.01


def pseudokern(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command of ours to its end."""
    return subprocess.run(
        [*PSEUDOKERN, *arguments],
        check=False,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def wait_until(condition, what: str) -> None:
    """Return when condition() is true; what says what never came."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(POLL_S)


class Rows:
    """/proc/interrupts, taken apart: the CPUs of its columns, and the counts of each row."""

    def __init__(self, text: str) -> None:
        header, *lines = text.splitlines()
        self.cpus = [int(word.removeprefix("CPU")) for word in header.split()]
        self.rows: dict[str, list[int]] = {}
        for line in lines:
            label, _, rest = line.partition(":")
            columns = 1 if label.strip() in ("ERR", "MIS") else len(self.cpus)
            self.rows[label.strip()] = [int(word) for word in rest.split()[:columns]]

    def count(self, row: int | str, cpu: int) -> int:
        return self.rows[str(row)][self.cpus.index(cpu)]

    def total(self, row: int | str) -> int:
        return sum(self.rows[str(row)])


class Booted:
    """A machine that is up on directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __truediv__(self, name: str) -> Path:
        return self.directory / name

    @property
    def clock(self) -> Path:
        return self / f"{DEBUG}/clock"

    @property
    def log(self) -> str:
        """What a detached machine has logged."""
        return log_path(self.directory).read_text()

    def now_ns(self) -> int:
        return int((self.clock / "now_ns").read_text())

    def advance(self, duration: str) -> None:
        """Return when so much simulated time is over."""
        (self.clock / "advance").write_text(duration)

    def rows(self) -> Rows:
        return Rows((self / "proc/interrupts").read_text(errors="surrogateescape"))

    def irq(self, action: str) -> int:
        """The number of the interrupt that action handles."""
        lines = (self / "proc/interrupts").read_text().splitlines()
        (line,) = [line for line in lines if line.endswith(f"  {action}")]
        return int(line.partition(":")[0])

    def shell(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run script with bash; $M is the mount."""
        return subprocess.run(
            ["bash", "-c", script],
            check=False,
            env={
                "M": str(self.directory),
                "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
                "LC_ALL": "C",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    def halt(self) -> subprocess.CompletedProcess[str]:
        return pseudokern("halt", "--at", self.directory)


@contextmanager
def booted(directory: Path, machine: str | Path, *options: str, **environment: str):
    """A detached machine; halted at the end, and taken away if it does not obey."""
    directory.mkdir(exist_ok=True)
    up = pseudokern("boot", machine, "--at", directory, "--detach", *options, **environment)
    assert (up.returncode, up.stderr) == (0, ""), up.stderr
    try:
        yield Booted(directory)
    finally:
        pseudokern("halt", "--at", directory)
        take_away(directory)


@contextmanager
def in_foreground(
    directory: Path, machine: str | Path, *options: str
) -> Iterator[subprocess.Popen]:
    """The process of a machine that is up; its two lines have been read."""
    directory.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [*PSEUDOKERN, "boot", machine, "--at", directory, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        process.said = [process.stdout.readline(), process.stdout.readline()]
        yield process
    finally:
        process.kill()
        process.communicate()
        take_away(directory)


def take_away(directory: Path) -> None:
    if mountpoint.is_mounted(directory):
        mountpoint.lazy_unmount(directory)


def needs_program(name: str) -> str:
    """Why a test that uses this program cannot run; empty if it can."""
    return "" if shutil.which(name) else f"{name} is not installed"


def snapshot(*trees: Path) -> dict[str, bytes]:
    """Every file below trees that can be read, by path; directories and links as what they are."""
    found: dict[str, bytes] = {}
    for tree in trees:
        top = tree.parent
        for folder, folders, files in os.walk(tree):
            folders.sort()
            for name in folders + files:
                path = Path(folder, name)
                status = path.lstat()
                key = f"{path.relative_to(top)} {status.st_mode:o} {status.st_mtime}"
                if path.is_symlink():
                    found[key] = os.fsencode(os.readlink(path))
                elif path.is_dir():
                    found[key] = b""
                else:
                    found[key] = _contents(path) if status.st_mode & 0o444 else b""
    return found


def _contents(path: Path) -> bytes:
    """What can be read, or why not: some files of a queue are only of use if there are others."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b"ENOENT"
