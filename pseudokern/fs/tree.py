"""Answer file system calls from the table of entries.

Knows nothing of FUSE. Follows fs/proc/generic.c, fs/proc/inode.c and fs/kernfs for what can be
done to such files: they can be opened, read, written and chmodded, but not made or removed. Which
errno says so differs between /proc and /sys.

The user who mounted, and uid 0, are root here.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable
from functools import partial

from pseudokern.fs.attributes import PROC_BLOCK_SIZE, Attributes, Caller, allows
from pseudokern.fs.directory import Directory, Found, Node, build, proc_create, proc_remove
from pseudokern.fs.entries import ENTRIES, Entry, Link, Special
from pseudokern.fs.open_file import OpenFile, Opening
from pseudokern.fs.tree_file import JournaledFile, TreeFile
from pseudokern.machine.machine import Machine

PAGE_SIZE = 4096


class Tree:
    """The files of one machine. on_write(path, data) hears of every write,
    on_chmod(path, mode) of every changed mode."""

    def __init__(self, machine: Machine, owner_uid: int = 0) -> None:
        self.machine = machine
        self.on_write: Callable[[str, bytes], None] = lambda _path, _data: None
        self.on_chmod: Callable[[str, int], None] = lambda _path, _mode: None
        self._owner_uid = owner_uid
        self._root = build(ENTRIES)
        machine.kernel.proc_create = partial(proc_create, self._root)
        machine.kernel.proc_remove = partial(proc_remove, self._root)
        self._open: dict[str, list[TreeFile]] = {}
        self._changed: dict[tuple[int, tuple[object, ...]], Attributes] = {}

    def getattr(self, path: str) -> Attributes:
        """ENOENT, ENOTDIR as for any file system."""
        return self._attributes(self._find(path))

    def getattr_open(self, path: str) -> Attributes:
        """The same for a file that somebody may have open: then it need not be there any more."""
        try:
            return self.getattr(path)
        except OSError:
            if path in self._open:
                return self._open[path][-1].last_attributes
            raise

    def fsync(self, path: str) -> None:
        """fsync(2): EINVAL in /proc and for directories, nothing for other files."""
        found = self._find(path)
        if found.in_proc or isinstance(found.node, Directory):
            raise OSError(errno.EINVAL, f"{path} cannot be synced")

    def readdir(self, path: str) -> list[tuple[str, int]]:
        """Names and modes, in the kernel's order: in /proc shorter names first."""
        found = self._find(path)
        if not isinstance(found.node, Directory):
            raise OSError(errno.ENOTDIR, path)
        names = [(name, self._mode(found, child)) for name, child in self._children(found)]
        if found.in_proc:
            names.sort(key=lambda item: (len(item[0]), item[0]))
        return names

    def readlink(self, path: str) -> str:
        found = self._find(path)
        if not isinstance(found.node, Link):
            raise OSError(errno.EINVAL, f"{path} is no link")
        return found.node.target(self.machine, *found.keys)

    def open(self, path: str, flags: int, caller: Caller) -> OpenFile:
        """EACCES: not for this caller, or not made for that. EINVAL: O_DIRECT."""
        found = self._find(path)
        node = found.node
        if isinstance(node, Directory):
            raise OSError(errno.EISDIR, path)
        if isinstance(node, Link):
            raise OSError(errno.ELOOP, path)
        access = flags & os.O_ACCMODE
        reads, writes = access in (os.O_RDONLY, os.O_RDWR), access in (os.O_WRONLY, os.O_RDWR)
        self._check(found, caller, os.R_OK * reads | os.W_OK * writes)
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, f"{path} cannot be opened with O_DIRECT")
        if isinstance(node, Special):
            opening = Opening(flags, self._is_root(caller))
            return JournaledFile(self, path, node.open(self.machine, opening, *found.keys))
        if writes and node.store is None and not found.in_proc:
            raise OSError(errno.EACCES, f"{path} cannot be written")
        if reads and node.show is None and not found.in_proc and not found.in_debugfs:
            raise OSError(errno.EACCES, f"{path} cannot be read")
        # Only what stands for an object can be gone while it is open.
        file = TreeFile(self, found, node, self._attributes(found) if found.keys else None)
        self._open.setdefault(path, []).append(file)
        return file

    def access(self, path: str, mask: int, caller: Caller) -> None:
        """access(2). EACCES: not allowed. Root may do all but execute a file."""
        found = self._find(path)
        if mask & os.X_OK and not isinstance(found.node, Directory):
            raise OSError(errno.EACCES, path)
        self._check(found, caller, mask)

    def chmod(self, path: str, mode: int, caller: Caller) -> None:
        """Kept until the object is gone. EPERM: the caller does not own the file."""
        found, attributes = self._own(path, caller)
        attributes.mode = stat.S_IFMT(attributes.mode) | stat.S_IMODE(mode)
        self._changed[_key(found)] = attributes
        self.on_chmod(path, stat.S_IMODE(mode))

    def chown(self, path: str, uid: int, gid: int, caller: Caller) -> None:
        """-1 leaves an id as it is. EPERM: only root may."""
        found, attributes = self._own(path, caller)
        if not self._is_root(caller):
            raise OSError(errno.EPERM, path)
        attributes.uid = attributes.uid if uid == -1 else uid
        attributes.gid = attributes.gid if gid == -1 else gid
        self._changed[_key(found)] = attributes

    def utimens(self, path: str, caller: Caller) -> None:
        """Accepted from the owner, and forgotten. EACCES: somebody else."""
        found = self._find(path)
        attributes = self._attributes(found)
        if not self._is_root(caller) and caller.uid != attributes.uid:
            self._check(found, caller, os.W_OK)

    def truncate(self, path: str, _length: int, caller: Caller) -> None:
        """Accepted and without effect. EACCES: the caller may not write."""
        self._check(self._find(path), caller, os.W_OK)

    def create(self, path: str, caller: Caller) -> None:
        """Always fails: EACCES in /sys, ENOENT in /proc."""
        raise self._refusal(path, caller, proc=errno.ENOENT, sys=errno.EACCES)

    def mkdir(self, path: str, caller: Caller) -> None:
        raise self._refusal(path, caller, proc=errno.ENOENT, sys=errno.EPERM)

    mknod = symlink = link = mkdir

    def unlink(self, path: str, caller: Caller) -> None:
        raise self._refusal(path, caller, proc=errno.EPERM, sys=errno.EPERM)

    rmdir = unlink

    def rename(self, old: str, new: str, caller: Caller) -> None:
        """Always fails. In /proc a new name is ENOENT, one that is there EPERM."""
        try:
            self._find(new)
        except OSError:
            proc = errno.ENOENT
        else:
            proc = errno.EPERM
        raise self._refusal(old, caller, proc=proc, sys=errno.EPERM)

    def forget(self, file: "TreeFile", path: str) -> None:
        """An open file was closed."""
        self._open[path].remove(file)
        if not self._open[path]:
            del self._open[path]

    def is_current(self, found: Found) -> bool:
        """Whether the path still leads to the same object."""
        try:
            now = self._find(found.path)
        except OSError:
            return False
        return len(now.keys) == len(found.keys) and all(
            a is b or (isinstance(a, str | int) and a == b)
            for a, b in zip(now.keys, found.keys, strict=True)
        )

    def _find(self, path: str) -> Found:
        node: Node = self._root
        keys: tuple[object, ...] = ()
        for name in path.split("/"):
            if not name:
                continue
            if not isinstance(node, Directory):
                raise OSError(errno.ENOTDIR, path)
            child = node.children.get(name)
            if child is None:
                key, child = self._find_member(node, name, keys)
                if key is None or child is None:
                    raise OSError(errno.ENOENT, path)
                keys = (*keys, key)
            node = child
            if not self._exists(node, keys):
                raise OSError(errno.ENOENT, path)
        return Found(path, node, keys)

    def _find_member(
        self, directory: Directory, name: str, keys: tuple[object, ...]
    ) -> tuple[object | None, Node | None]:
        for collection, member in directory.members.values():
            if (key := collection.find(self.machine, name, *keys)) is not None:
                return key, member
        return None, None

    def _exists(self, node: Node, keys: tuple[object, ...]) -> bool:
        exists = node.exists if isinstance(node, Entry | Directory | Link) else None
        return exists is None or exists(self.machine, *keys)

    def _children(self, found: Found) -> Iterable[tuple[str, Node]]:
        directory = found.node
        assert isinstance(directory, Directory)
        for name, child in directory.children.items():
            if self._exists(child, found.keys):
                yield name, child
        for collection, member in directory.members.values():
            for name in collection.names(self.machine, *found.keys):
                yield name, member

    def _mode(self, parent: Found, child: Node) -> int:
        """The type of a child, which is all that readdir() needs."""
        if isinstance(child, Directory):
            return stat.S_IFDIR
        return stat.S_IFLNK if isinstance(child, Link) else stat.S_IFREG

    def _attributes(self, found: Found) -> Attributes:
        changed = self._changed.get(_key(found)) if self._changed else None
        if changed is not None:
            return changed
        node = found.node
        plain = not found.path.startswith("/sys") or found.in_debugfs
        attributes = Attributes(
            mode=0,
            size=0 if plain else PAGE_SIZE,
            blksize=PROC_BLOCK_SIZE if found.in_proc else PAGE_SIZE,
            mtime_s=self.machine.boot_time_s,
        )
        if isinstance(node, Directory):
            folders = sum(isinstance(child, Directory) for _, child in self._children(found))
            attributes.mode, attributes.nlink = stat.S_IFDIR | node.mode, 2 + folders
            attributes.size = 0
        elif isinstance(node, Link):
            attributes.mode, attributes.size = stat.S_IFLNK | 0o777, 0
        else:
            mode = node.mode
            if callable(mode):
                mode = mode(self.machine, *found.keys)
            attributes.mode = stat.S_IFREG | mode
        return attributes

    def _is_root(self, caller: Caller) -> bool:
        return caller.uid in (0, self._owner_uid)

    def _check(self, found: Found, caller: Caller, mask: int) -> None:
        """Ask the mode bits; root needs none. Directories on the way have to be searchable."""
        if self._is_root(caller):
            return
        parts = found.path.strip("/").split("/")
        for depth in range(1, len(parts)):
            folder = self._find("/" + "/".join(parts[:depth]))
            if not allows(self._attributes(folder), caller, os.X_OK):
                raise OSError(errno.EACCES, found.path)
        if not allows(self._attributes(found), caller, mask):
            raise OSError(errno.EACCES, found.path)

    def _own(self, path: str, caller: Caller) -> tuple[Found, Attributes]:
        found = self._find(path)
        attributes = self._attributes(found)
        if not self._is_root(caller) and caller.uid != attributes.uid:
            raise OSError(errno.EPERM, path)
        return found, attributes

    def _refusal(self, path: str, caller: Caller, *, proc: int, sys: int) -> OSError:
        if not self._is_root(caller):
            return OSError(errno.EACCES, path)
        if path.startswith("/dev"):  # where root could, on Linux
            return OSError(errno.EPERM, path)
        return OSError(proc if path.startswith("/proc") else sys, path)


def _key(found: Found) -> tuple[int, tuple[object, ...]]:
    return id(found.node), found.keys
