"""Be an open file of the tree: rendered when it is read from the start, then read on from that."""

import errno
import os
import select
from collections.abc import Callable
from typing import TYPE_CHECKING

from pseudokern.fs.attributes import Attributes
from pseudokern.fs.debug import written_when_done
from pseudokern.fs.directory import Found
from pseudokern.fs.entries import Entry
from pseudokern.fs.open_file import OpenFile
from pseudokern.fs.seq_file import SeqReader
from pseudokern.kernel.panic import KernelStopsError
from pseudokern.sim.completion import Completion

if TYPE_CHECKING:
    from pseudokern.fs.tree import Tree


class TreeFile(OpenFile):
    """An open entry: rendered when it is read from the start, then read on from that."""

    __slots__ = ("_entry", "_found", "_reader", "_tree", "_attributes")

    def __init__(
        self, tree: "Tree", found: Found, entry: Entry, attributes: Attributes | None
    ) -> None:
        self._attributes = attributes
        self._tree = tree
        self._found = found
        self._entry = entry
        self._reader: SeqReader | None = None

    @property
    def last_attributes(self) -> Attributes:
        """What stat() said when it was opened, or says now."""
        return self._attributes or self._tree.getattr(self._found.path)

    def read(self, size: int, offset: int) -> bytes | Completion:
        if offset == 0 or self._reader is None:
            self._check_alive()
            if self._entry.show is None:
                raise OSError(errno.EINVAL, f"{self._found.path} cannot be read")
            shown = self._entry.show(self._tree.machine, *self._found.keys)
            self._reader = SeqReader([shown] if isinstance(shown, bytes) else shown)
        return self._reader.read(size, offset)

    def write(self, data: bytes, offset: int) -> int | Completion:
        return noting_refusal(self._tree, self._found.path, data, lambda: self._write(data))

    def _write(self, data: bytes) -> int | Completion:
        self._check_alive()
        if self._entry.store is None:
            raise OSError(errno.EIO, f"{self._found.path} cannot be written")
        machine = self._tree.machine
        if machine.kernel.has_panicked and not self._found.path.endswith("/pseudokern/halt"):
            raise OSError(errno.EIO, f"{self._found.path}: the kernel has panicked")
        try:
            begun = self._entry.store(machine, data, *self._found.keys)
        except KernelStopsError:
            begun = None  # what the write has brought about; the writer itself is not in there
        self._tree.on_write(self._found.path, data)
        return written_when_done(begun, len(data)) if isinstance(begun, Completion) else len(data)

    def poll(self) -> int:
        """A file of /sys that was not read yet is news; kernfs_generic_poll()."""
        is_news = self._reader is None and not self._found.in_proc
        return super().poll() | (select.EPOLLERR | select.EPOLLPRI if is_news else 0)

    def seek(self, offset: int, whence: int) -> int:
        """EINVAL: files of /proc have no end. Others are data up to their size, then a hole."""
        if self._found.in_proc:
            raise OSError(errno.EINVAL, f"{self._found.path} has no end to seek to")
        size = self.last_attributes.size
        if whence == os.SEEK_END or offset >= size:
            return super().seek(offset, whence)
        return offset if whence == os.SEEK_DATA else size

    def release(self) -> None:
        self._tree.forget(self, self._found.path)

    def _check_alive(self) -> None:
        """EIO in /proc, ENODEV in /sys: the object that the file belonged to is gone."""
        if self._found.keys and not self._tree.is_current(self._found):
            raise OSError(errno.EIO if self._found.in_proc else errno.ENODEV, self._found.path)


def noting_refusal(
    tree: "Tree", path: str, data: bytes, write: Callable[[], int | Completion]
) -> int | Completion:
    """Write, and keep the reason if it is refused, now or when it is over.

    A write that is refused is told of like the others: a replay has to refuse it again.
    """
    refusals = tree.machine.refusals
    try:
        written = write()
    except OSError as error:
        refusals.note(path, error)
        tree.on_write(path, data)
        raise
    if isinstance(written, Completion):

        def look(done: Completion = written) -> None:
            if done.error is not None:
                refusals.note(path, done.error)

        written.on_done(look)
    return written


class JournaledFile(OpenFile):
    """A file with a mind of its own, whose writes are told of like all others."""

    __slots__ = ("_file", "_path", "_tree")

    def __init__(self, tree: "Tree", path: str, file: OpenFile) -> None:
        self._tree = tree
        self._path = path
        self._file = file

    def read(self, size: int, offset: int) -> bytes | Completion:
        return self._file.read(size, offset)

    def write(self, data: bytes, offset: int) -> int | Completion:
        return noting_refusal(self._tree, self._path, data, lambda: self._write(data, offset))

    def _write(self, data: bytes, offset: int) -> int | Completion:
        try:
            written = self._file.write(data, offset)
        except KernelStopsError:
            written = len(data)
        self._tree.on_write(self._path, data)
        return written

    def poll(self) -> int:
        return self._file.poll()

    def call_when_ready(self, callback: Callable[[], None]) -> None:
        self._file.call_when_ready(callback)

    def seek(self, offset: int, whence: int) -> int:
        return self._file.seek(offset, whence)

    def release(self) -> None:
        self._file.release()
