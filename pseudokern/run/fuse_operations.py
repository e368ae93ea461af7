"""Translate libfuse's callbacks into calls of the tree, and its errors into errnos.

Follows libfuse 2.9, include/fuse.h, struct fuse_operations.

read, write and release are missing: fuse_session answers or notes them before libfuse sees them.
setxattr, getxattr, removexattr and flush are missing so that the kernel stops asking after the
first time: an ENOSYS from libfuse is remembered for the whole mount.
"""

import ctypes
import errno
import itertools
import logging
import os
import stat
from collections.abc import Callable
from typing import Any

from pseudokern.fs.attributes import Attributes, Caller
from pseudokern.fs.open_file import OpenFile
from pseudokern.fs.tree import Tree
from pseudokern.run.libfuse import Libfuse

LOG = logging.getLogger("pseudokern")

FUSE_GETATTR = 3  # include/uapi/linux/fuse.h
UNCHANGED_ID = 0xFFFF_FFFF  # (uid_t)-1, chown(2)


class FuseOperations:
    """The callbacks of one mount, and the files that are open in it."""

    def __init__(self, tree: Tree, libfuse: Libfuse) -> None:
        self.tree = tree
        self.files: dict[int, OpenFile] = {}
        self.opened: bytes | None = None  # the path that libfuse last had opened
        self.opcode = 0
        self.uid = self.gid = self.pid = 0
        self._next_handle = itertools.count(1)
        self._timespec = libfuse.structures.c_timespec()
        self._entry = libfuse.structures.c_stat()
        self._entry_pointer = ctypes.pointer(self._entry)
        self.table = libfuse.structures.fuse_operations()
        for name, prototype, *_ in self.table._fields_:
            method = getattr(self, f"_{name}", None)
            if method is not None:
                setattr(self.table, name, prototype(_answering(name, method)))

    def _caller(self) -> Caller:
        return Caller(self.uid, self.gid, self.pid)

    def _getattr(self, path: bytes, answer: Any) -> None:
        # A LOOKUP asks for a name, a GETATTR for a file that is known, and perhaps open and gone.
        known = self.opcode == FUSE_GETATTR
        get = self.tree.getattr_open if known else self.tree.getattr
        self._fill(answer.contents, get(os.fsdecode(path)))

    def _fgetattr(self, path: bytes, answer: Any, info: Any) -> None:
        # The kernel names the open file only when lseek(SEEK_END) asks for the size; fstat()
        # and the answer to a chmod go by the path.
        if self.opcode == FUSE_GETATTR:
            self.files[info.contents.fh].seek(0, os.SEEK_END)
        self._getattr(path, answer)

    def _fill(self, answer: Any, attributes: Attributes) -> None:
        answer.st_mode = attributes.mode
        answer.st_nlink = attributes.nlink
        answer.st_uid = attributes.uid
        answer.st_gid = attributes.gid
        answer.st_size = attributes.size
        answer.st_blksize = attributes.blksize
        time = self._timespec
        time.tv_sec = seconds = int(attributes.mtime_s)
        time.tv_nsec = int((attributes.mtime_s - seconds) * 1e9)
        answer.st_atimespec = answer.st_mtimespec = answer.st_ctimespec = time

    def _access(self, path: bytes, mask: int) -> None:
        self.tree.access(os.fsdecode(path), mask, self._caller())

    def _opendir(self, path: bytes, _info: Any) -> None:
        self.tree.access(os.fsdecode(path), os.R_OK, self._caller())

    def _readdir(self, path: bytes, buffer: int, fill: Any, _offset: int, _info: Any) -> None:
        names = self.tree.readdir(os.fsdecode(path))
        entry, pointer = self._entry, self._entry_pointer
        entry.st_mode = stat.S_IFDIR
        fill(buffer, b".", pointer, 0)
        fill(buffer, b"..", pointer, 0)
        for name, mode in names:
            entry.st_mode = mode
            fill(buffer, os.fsencode(name), pointer, 0)

    def _readlink(self, path: bytes, buffer: Any, size: int) -> None:
        target = os.fsencode(self.tree.readlink(os.fsdecode(path)))[: size - 1] + b"\0"
        ctypes.memmove(buffer, target, len(target))

    def open(self, path: str, flags: int, mark: int = 0) -> int:
        """Open a file for who asks; its handle, with the bits of mark set in it."""
        file = self.tree.open(path, flags, self._caller())
        handle = next(self._next_handle) | mark
        self.files[handle] = file
        return handle

    def _open(self, path: bytes, info: Any) -> None:
        self.opened = path
        opened = info.contents
        opened.fh = self.open(os.fsdecode(path), opened.flags)
        opened.direct_io = 1

    def _fsync(self, path: bytes, _data_only: int, _info: Any) -> None:
        self.tree.fsync(os.fsdecode(path))

    _fsyncdir = _fsync

    def _truncate(self, path: bytes, length: int) -> None:
        self.tree.truncate(os.fsdecode(path), length, self._caller())

    def _ftruncate(self, path: bytes, length: int, _info: Any) -> None:
        self._truncate(path, length)

    def _chmod(self, path: bytes, mode: int) -> None:
        self.tree.chmod(os.fsdecode(path), mode, self._caller())

    def _chown(self, path: bytes, uid: int, gid: int) -> None:
        uid, gid = (-1 if number == UNCHANGED_ID else number for number in (uid, gid))
        self.tree.chown(os.fsdecode(path), uid, gid, self._caller())

    def _utimens(self, path: bytes, _times: Any) -> None:
        self.tree.utimens(os.fsdecode(path), self._caller())

    def _statfs(self, _path: bytes, answer: Any) -> None:
        answer.contents.f_bsize = answer.contents.f_frsize = 4096  # simple_statfs()
        answer.contents.f_namemax = 255

    def _listxattr(self, _path: bytes, _names: Any, _size: int) -> None:
        """No names."""

    def _create(self, path: bytes, _mode: int, _info: Any) -> None:
        self.tree.create(os.fsdecode(path), self._caller())

    def _mkdir(self, path: bytes, _mode: int) -> None:
        self.tree.mkdir(os.fsdecode(path), self._caller())

    def _mknod(self, path: bytes, _mode: int, _device: int) -> None:
        self.tree.mknod(os.fsdecode(path), self._caller())

    def _symlink(self, _target: bytes, path: bytes) -> None:
        self.tree.symlink(os.fsdecode(path), self._caller())

    def _link(self, _old: bytes, new: bytes) -> None:
        self.tree.link(os.fsdecode(new), self._caller())

    def _unlink(self, path: bytes) -> None:
        self.tree.unlink(os.fsdecode(path), self._caller())

    def _rmdir(self, path: bytes) -> None:
        self.tree.rmdir(os.fsdecode(path), self._caller())

    def _rename(self, old: bytes, new: bytes) -> None:
        self.tree.rename(os.fsdecode(old), os.fsdecode(new), self._caller())


def _answering(name: str, method: Callable[..., None]) -> Callable[..., int]:
    """What libfuse calls: 0, or the errno of what method raised."""

    def answer(*arguments: Any) -> int:
        try:
            method(*arguments)
        except Exception as error:
            return -errno_of(error, f"{name} {os.fsdecode(arguments[0])}")
        return 0

    return answer


def errno_of(error: Exception, what: str) -> int:
    """The errno that error stands for; EIO and a traceback in the log if it is our bug."""
    if isinstance(error, OSError) and error.errno:
        LOG.debug("%s: %s", what, error)
        return error.errno
    LOG.error("%s: EIO, because of a bug in pseudokern", what, exc_info=error)
    return errno.EIO
