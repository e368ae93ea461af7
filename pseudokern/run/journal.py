"""Note what is written from outside, and when in simulated time; and write it again.

A line of JSON for each write: the time in ns, the path, the bytes as Latin-1; or the mode, where
chmod changed one. The clock's own
files are left out: what they did is in the times. The first line is when the machine was booted,
in seconds since 1970, for /proc/stat and the files' times say so.
"""

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pseudokern.fs.attributes import Caller
from pseudokern.fs.tree import Tree
from pseudokern.run.options import BootError
from pseudokern.sim.timeline import Timeline

T = TypeVar("T")

LOG = logging.getLogger("pseudokern")

_NOT_NOTED = ("/sys/kernel/debug/pseudokern/clock/", "/sys/kernel/debug/pseudokern/halt")
_ROOT = Caller(uid=0, gid=0, pid=0)


class Write(NamedTuple):
    """One write from outside."""

    now_ns: int
    path: str
    data: bytes


class Chmod(NamedTuple):
    """One change of a file's mode."""

    now_ns: int
    path: str
    mode: int


class Journal(NamedTuple):
    """What was written to a machine, in order, and which modes were changed."""

    boot_time_s: int
    writes: list[Write | Chmod]


class Recorder:
    """Appends to a journal. Each line is on its way to the disk when the write returns."""

    def __init__(self, path: Path, timeline: Timeline, boot_time_s: int) -> None:
        self._timeline = timeline
        try:
            self._file = path.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise BootError(f"{path} cannot be written: {error.strerror}") from None
        self._file.write(json.dumps({"boot_time_s": boot_time_s}) + "\n")

    def note(self, path: str, data: bytes) -> None:
        if not path.startswith(_NOT_NOTED):
            self._append(path, "data", data.decode("latin-1"))

    def note_mode(self, path: str, mode: int) -> None:
        self._append(path, "mode", mode)

    def _append(self, path: str, key: str, value: object) -> None:
        line = {"now_ns": self._timeline.now_ns, "path": path, key: value}
        self._file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        self._file.close()


class Player:
    """Feeds a journal back. next_ns is when the next write is due; None when all are done."""

    def __init__(self, journal: Journal, tree: Tree) -> None:
        self._tree = tree
        self._writes = journal.writes[::-1]

    @property
    def next_ns(self) -> int | None:
        return self._writes[-1].now_ns if self._writes else None

    def play(self, now_ns: int) -> None:
        """Make the writes that are due. One that fails failed when it was recorded, too."""
        while self._writes and self._writes[-1].now_ns <= now_ns:
            write = self._writes.pop()
            try:
                self._make(write)
            except OSError as error:
                LOG.info("replay: %s at %d ns: %s", write.path, write.now_ns, error)
            except Exception:
                LOG.exception("replay: %s at %d ns: a bug", write.path, write.now_ns)

    def _make(self, write: Write | Chmod) -> None:
        if isinstance(write, Chmod):
            self._tree.chmod(write.path, write.mode, _ROOT)
            return
        file = self._tree.open(write.path, os.O_WRONLY, _ROOT)
        file.write(write.data, 0)
        file.release()


def read_journal(path: Path) -> Journal:
    """BootError names the line that is none of a journal."""
    try:
        first, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
    except (OSError, UnicodeError) as error:
        raise BootError(f"{path} cannot be read: {error}") from None
    return Journal(
        _parse(path, 1, first, lambda entry: int(entry["boot_time_s"])),
        [_parse(path, number, line, _write) for number, line in enumerate(lines, start=2)],
    )


def _write(entry: dict[str, Any]) -> Write | Chmod:
    if "mode" in entry:
        return Chmod(int(entry["now_ns"]), str(entry["path"]), int(entry["mode"]))
    return Write(int(entry["now_ns"]), str(entry["path"]), entry["data"].encode("latin-1"))


def _parse(path: Path, number: int, line: str, read: Callable[[dict[str, Any]], T]) -> T:
    try:
        return read(json.loads(line))
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        raise BootError(f"{path}:{number} is no line of a journal: {line[:60]!r}") from None
