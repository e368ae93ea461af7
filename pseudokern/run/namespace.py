"""Give this process mounts of its own, and take from it what could undo them.

Follows unshare(2), user_namespaces(7), mount_namespaces(7) and capabilities(7). Python has had
os.unshare() only since 3.12, and mount(2) never.
"""

import ctypes
import errno
import os
from pathlib import Path

# include/uapi/linux/sched.h, mount.h, prctl.h, capability.h
CLONE_NEWNS = 0x0002_0000
CLONE_NEWUSER = 0x1000_0000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x4_0000
PR_CAPBSET_DROP = 24
CAP_SYS_PTRACE = 19
CAP_SYS_ADMIN = 21
CAP_SYS_RESOURCE = 24

# A bind that is remounted keeps these, or the kernel refuses; statvfs() gives them the same bits.
KEPT = MS_NOSUID | MS_NODEV | MS_NOEXEC

# What forbids namespaces to an ordinary user, the value that does, and what allows them again.
_FORBIDDEN_BY = (
    ("kernel/unprivileged_userns_clone", "0", "1"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
    ("user/max_user_namespaces", "0", "10000"),
)
_IN_A_CONTAINER = (
    "in a container start it with: --cap-add SYS_ADMIN --security-opt apparmor=unconfined"
    " --security-opt seccomp=unconfined"
)

_libc = ctypes.CDLL(None, use_errno=True)


class NamespaceError(Exception):
    """Why programs cannot be given another view of this machine, in one line."""


def unshare_mounts() -> None:
    """Give this process a copy of all mounts, changes of which nobody else sees.

    Root gets a mount namespace alone. Anybody else gets a user namespace too, in which he is root:
    of these mounts, and of nothing that he was not root of before.

    NamespaceError  this machine permits neither
    """
    uid, gid = os.geteuid(), os.getegid()
    try:
        try:
            _unshare(CLONE_NEWNS)
        except PermissionError:
            _unshare(CLONE_NEWUSER | CLONE_NEWNS)
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
            Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
        _mount("none", "/", MS_REC | MS_PRIVATE)
    except OSError as error:
        why = f"no mount namespace for user {uid}: {(error.strerror or str(error)).lower()}"
        raise NamespaceError(f"{why}; {_cure()}") from None


def bind(source: str, target: str) -> None:
    """Let target, a file or a directory, show source. OSError if it cannot."""
    _mount(source, target, MS_BIND)


def bind_all(source: str, target: str) -> None:
    """The same, with all that is mounted below source."""
    _mount(source, target, MS_BIND | MS_REC)


def make_read_only(path: str) -> None:
    """Nothing at or below path can be written by this name any more; EROFS."""
    # With what is mounted below, for in a namespace of a namespace nothing may be uncovered.
    _mount(path, path, MS_BIND | MS_REC)
    flags = os.statvfs(path).f_flag & KEPT
    _mount("none", path, MS_REMOUNT | MS_BIND | MS_RDONLY | flags)


def mount_tmpfs(target: str) -> None:
    """An empty directory that ends with the namespace."""
    _mount("tmpfs", target, MS_NOSUID | MS_NODEV, fstype="tmpfs", data="mode=755")


def forget_how_to_mount() -> None:
    """Keep the programs that this process becomes from undoing a mount, or going around it.

    CAP_SYS_ADMIN unmounts. CAP_SYS_PTRACE opens /proc/PID/root of programs outside, where the
    mounts are not; and root needs none for programs that have no capability which he has not, if
    they are in his user namespace. So this process leaves it. A namespace below gets the
    capabilities again, but there our mounts are locked.

    CAP_SYS_RESOURCE is worth nothing there, and programs that see it believe that it is: those of
    LTP report that they cannot be protected from the OOM killer, even so.

    NamespaceError  there cannot be another user namespace
    """
    try:
        _leave_user_namespace()
    except OSError as error:
        why = f"no user namespace for user {os.geteuid()}: {(error.strerror or str(error)).lower()}"
        raise NamespaceError(f"{why}; {_cure()}") from None
    for capability in (CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_SYS_RESOURCE):
        if _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            raise _error("prctl")


def _leave_user_namespace() -> None:
    """Move to a user namespace below this one, in which every user is who he was.

    Only somebody who has stayed may map more users than one: a child of ours.
    """
    maps = {name: Path("/proc/self", name).read_text() for name in ("uid_map", "gid_map")}
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(writer)
            os.read(reader, 1)  # until our parent has moved, or has ended
            for name, text in maps.items():
                lines = (line.split() for line in text.splitlines())
                same = "".join(f"{inside} {inside} {count}\n" for inside, _, count in lines)
                Path(f"/proc/{os.getppid()}", name).write_text(same)
            status = 0
        finally:
            os._exit(status)
    os.close(reader)
    try:
        _unshare(CLONE_NEWUSER)
    finally:
        os.close(writer)
        _, status = os.waitpid(child, 0)
    if status != 0:
        raise PermissionError(errno.EPERM, "its users may not be mapped")


def _unshare(flags: int) -> None:
    if _libc.unshare(flags) != 0:
        raise _error("unshare")


def _mount(source: str, target: str, flags: int, fstype: str = "none", data: str = "") -> None:
    done = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        fstype.encode(),
        ctypes.c_ulong(flags),
        data.encode() or None,
    )
    if done != 0:
        raise _error(target)


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)


def _cure() -> str:
    for name, forbidding, allowing in _FORBIDDEN_BY:
        try:
            value = Path("/proc/sys", name).read_text().strip()
        except OSError:
            continue
        if value == forbidding:
            return f"allow it with: sudo sysctl {name.replace('/', '.')}={allowing}"
    return _IN_A_CONTAINER
