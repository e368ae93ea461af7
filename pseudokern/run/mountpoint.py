"""Find out whether a directory can be mounted on, and clean it up after a crash.

Follows Documentation/filesystems/proc.rst, section 3.5 (/proc/PID/mountinfo).

A server that was killed leaves a dead mount: the directory still stands in mountinfo, but every
access to it gives ENOTCONN until it is unmounted.
"""

import ctypes
import errno
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FSTYPE = "fuse.pseudokern"
MOUNTINFO = Path("/proc/self/mountinfo")
FUSE_DEVICE = Path("/dev/fuse")
FUSE_CONF = Path("/etc/fuse.conf")

# An empty directory cannot be kept in git; these are what people keep it with.
PLACEHOLDERS = frozenset({".gitignore", ".gitkeep"})

UMOUNT_DETACH = 2 | 8  # MNT_DETACH | UMOUNT_NOFOLLOW, include/linux/fs.h


class Mount(NamedTuple):
    """A line of mountinfo. root is the directory of the file system that point shows."""

    point: str
    fstype: str
    root: str
    device: int


class MountError(Exception):
    """Why there is no mount, and what to do about it, in one line."""


def prepare(directory: Path, *, covers: bool = False) -> None:
    """Raise MountError unless directory can be mounted on; clean a dead mount first.

    covers: what is in it may be hidden, since nobody else sees this mount.
    """
    if not covers:
        clean_dead_mount(directory)
        _check_directory(directory)
    check_fuse()


def is_mounted(directory: Path) -> bool:
    """Is a pseudokern mounted there, alive or dead?"""
    return _is_ours(_resolve(directory))


def is_dead(directory: Path) -> bool:
    """Did the server of this mount die without unmounting it?"""
    try:
        os.stat(directory)
    except OSError as error:
        return error.errno in (errno.ENOTCONN, errno.ECONNABORTED)
    return False


def clean_dead_mount(directory: Path) -> bool:
    """Unmount directory if its server died; say whether it had to be done."""
    dead = is_dead(directory)
    if dead:
        lazy_unmount(directory)
    return dead


def lazy_unmount(directory: Path) -> None:
    """Take the mount out of the tree now; files that are still open keep it until they close.

    Somebody else may have done it a moment ago: then there is nothing left to do.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(_resolve(directory)), UMOUNT_DETACH) == 0:
        return
    if ctypes.get_errno() != errno.EPERM:
        if not is_mounted(directory):
            return
        why = os.strerror(ctypes.get_errno())
        raise MountError(f"{directory} cannot be unmounted: {why}; see: findmnt {directory}")
    fusermount = subprocess.run(
        [_fusermount(), "-u", "-z", "--", str(directory)],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if fusermount.returncode != 0 and is_mounted(directory):
        raise MountError(f"{directory} cannot be unmounted: {one_line(fusermount.stderr)}")


def may_allow_other() -> bool:
    """May this user let others into the mount? fusermount refuses unless fuse.conf says so."""
    if os.geteuid() == 0:
        return True
    try:
        lines = FUSE_CONF.read_text(errors="replace").splitlines()
    except OSError:
        return False
    return "user_allow_other" in (line.strip() for line in lines)


def has_placeholder(directory: Path) -> bool:
    return any(name in PLACEHOLDERS for name in os.listdir(directory))


def _check_directory(directory: Path) -> None:
    try:
        mode = os.stat(directory).st_mode
        if not stat.S_ISDIR(mode):
            raise MountError(f"{directory} is not a directory; choose another with --at DIR")
        if is_mounted(directory):
            raise MountError(
                f"{directory} is already mounted; unmount it with: fusermount -u {directory}"
            )
        if not PLACEHOLDERS.issuperset(os.listdir(directory)):
            raise MountError(f"{directory} is not empty; choose another with --at DIR or empty it")
    except FileNotFoundError:
        raise MountError(f"{directory} does not exist; create it with: mkdir {directory}") from None
    except OSError as error:
        raise MountError(f"{directory}: {error.strerror}; choose another with --at DIR") from None
    if not os.access(directory, os.W_OK):
        raise MountError(f"{directory} is not yours to write; choose another with --at DIR")


def check_fuse() -> None:
    """Raise MountError unless this user may mount anything at all."""
    if os.geteuid() != 0:
        _fusermount()
    try:
        os.close(os.open(FUSE_DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except (FileNotFoundError, NotADirectoryError):
        raise MountError(f"{FUSE_DEVICE} is missing; bring it with: modprobe fuse") from None
    except PermissionError as error:
        if error.errno == errno.EACCES:
            cure = f"allow it with: sudo chmod 666 {FUSE_DEVICE}"
        else:  # EPERM comes from the device cgroup of a container
            cure = "start the container with: --device /dev/fuse --cap-add SYS_ADMIN"
        raise MountError(f"{FUSE_DEVICE} may not be opened; {cure}") from None
    except OSError as error:
        raise MountError(f"{FUSE_DEVICE}: {error.strerror}; try: modprobe fuse") from None


def _fusermount() -> str:
    path = shutil.which("fusermount")
    if path is None:
        raise MountError("fusermount is missing; install it with: apt-get install fuse3")
    return path


def _resolve(directory: Path) -> str:
    """The name that mountinfo has for directory, without a question to a server that hangs."""
    name = os.path.join(os.path.realpath(directory.parent), directory.name)
    return name if _is_ours(name) else os.path.realpath(directory)


def mounts() -> Iterator[Mount]:
    """Every mount, as they were made."""
    for line in MOUNTINFO.read_bytes().splitlines():
        before, _, after = line.partition(b" - ")
        _, _, device, root, point, *_ = before.split()
        major, minor = map(int, device.split(b":"))
        yield Mount(
            point=os.fsdecode(_unescape(point)),
            fstype=os.fsdecode(after.split()[0]),
            root=os.fsdecode(_unescape(root)),
            device=os.makedev(major, minor),
        )


def _is_ours(point: str) -> bool:
    return any(mount.point == point and mount.fstype == FSTYPE for mount in mounts())


def _unescape(field: bytes) -> bytes:
    """mangle_path(), backwards: blank, tab, newline and backslash stand there as \\ooo."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), field)


def one_line(text: str) -> str:
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())
