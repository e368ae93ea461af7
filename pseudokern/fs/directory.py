"""Turn the table of entries into directories.

A directory has fixed children, and members of collections: the interrupts, the CPUs.
"""

import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from pseudokern.fs.entries import COLLECTIONS, Collection, Entry, Folder, Link, Special


@dataclass(slots=True)
class Directory:
    """A directory of the table: fixed children, and collections, by their word in braces."""

    mode: int
    exists: Callable[..., bool] | None = None
    children: "dict[str, Node]" = field(default_factory=dict)
    members: "dict[str, tuple[Collection, Node]]" = field(default_factory=dict)


File: TypeAlias = Entry | Special
Node: TypeAlias = Directory | Entry | Special | Link


class Found(NamedTuple):
    """What a path leads to, and the objects that its components in braces stand for."""

    path: str
    node: Node
    keys: tuple[object, ...]

    @property
    def in_proc(self) -> bool:
        return self.path.startswith("/proc")

    @property
    def in_debugfs(self) -> bool:
        return self.path.startswith("/sys/kernel/debug")


def build(entries: Iterable[Entry | Special | Link | Folder]) -> Directory:
    """The directories that the paths of entries ask for. In /sys they are writable by root."""
    root = Directory(0o755)
    for entry in entries:
        *folders, name = entry.path.split("/")
        parent = root
        for folder in folders:
            parent = _enter(parent, folder, 0o555 if folders[0] == "proc" else 0o755)
        if isinstance(entry, Folder):
            _enter(parent, name, entry.mode).exists = entry.exists
        elif name in COLLECTIONS:
            parent.members[name] = COLLECTIONS[name], entry
        else:
            parent.children[name] = entry
    return root


def proc_create(
    root: Directory,
    name: str,
    mode: int,
    show: Callable[[], bytes] | None,
    store: Callable[[bytes], None] | None,
) -> None:
    """Make /proc/NAME while the machine runs, for a module. EEXIST: it is there already."""
    *folders, last = name.strip("/").split("/")
    parent = root.children["proc"]
    for folder in folders:
        assert isinstance(parent, Directory)
        parent = _enter(parent, folder, 0o555) if folder not in COLLECTIONS else parent
    assert isinstance(parent, Directory)
    if not last or last in parent.children:
        raise OSError(errno.EEXIST, f"/proc/{name} is there already")
    parent.children[last] = Entry(
        f"proc/{name}",
        mode,
        None if show is None else lambda _machine: show(),
        None if store is None else lambda _machine, data: store(data),
    )


def proc_remove(root: Directory, name: str) -> None:
    """Take it away again, with the directories that were made for it."""
    path = ["proc", *name.strip("/").split("/")]
    parents = [root]
    for folder in path[:-1]:
        child = parents[-1].children[folder]
        assert isinstance(child, Directory)
        parents.append(child)
    for parent, last in zip(reversed(parents), reversed(path), strict=True):
        del parent.children[last]
        if parent.children or parent.members:
            break


def _enter(parent: Directory, name: str, mode: int) -> Directory:
    if name in COLLECTIONS:
        _, child = parent.members.setdefault(name, (COLLECTIONS[name], Directory(mode)))
    else:
        child = parent.children.setdefault(name, Directory(mode))
    assert isinstance(child, Directory)
    return child
