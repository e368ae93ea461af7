"""Let programs see a machine's files in /proc, /sys and /dev, and prove that they do.

What the machine has is bound over what this computer has, in a mount namespace of our own. /proc
stays the real one below that: processes cannot be simulated by files. /sys is replaced as a whole,
for its links lead all over it.

It fails closed. A program that is let loose on the real interrupts, because one bind was missing,
does real harm. So each bind is looked at through the new view; and whatever else would still lead
to the real interrupts is covered too, or nothing is run.
"""

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pseudokern.run import namespace
from pseudokern.run.mountpoint import Mount, mounts
from pseudokern.run.namespace import NamespaceError

# Without one of these a program would see two machines at once.
REQUIRED = frozenset(
    ("cmdline", "cpuinfo", "interrupts", "irq", "softirqs", "stat", "uptime", "version")
)

# Nothing here belongs to the simulated machine, so nothing can be set: else a script that is being
# tried out would tune, or reset, this computer.
READ_ONLY = ("/proc/bus", "/proc/sys", "/proc/sysrq-trigger")

RUN = "/run"
IRQBALANCE = "/run/irqbalance"  # where irqbalance makes its socket; it may not exist here


class Binding(NamedTuple):
    """One path of the machine and where it is seen."""

    source: str
    target: str


def show_machine(at: Path) -> None:
    """Bind the files of the machine mounted at `at`; call once mounts are our own.

    NamespaceError  why it is not all there; then this process must not run anything
    """
    try:
        machine = os.open(at, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _show(f"/proc/self/fd/{machine}", at)
        finally:
            os.close(machine)
    except OSError as error:  # it was halted just now, or does not let this user in
        raise NamespaceError(f"{at}: {_why(error)}; nothing was run") from None


def _show(root: str, at: Path) -> None:
    device = os.stat(root).st_dev
    real = {mount.device for mount in mounts() if mount.fstype in ("proc", "sysfs")}
    bindings = list(_bindings(root))
    missing = REQUIRED - {Path(each.target).name for each in bindings}
    if missing:
        names = ", ".join(f"/proc/{name}" for name in sorted(missing))
        raise NamespaceError(f"{at}: nothing could be put over {names}; nothing was run")
    for path in READ_ONLY:
        if os.path.exists(path):
            _change(path, namespace.make_read_only, path)
    for each in bindings:
        _change(each.target, namespace.bind, each.source, each.target)
    _cover_other_mounts(root, device)
    _make_run_writable()
    for each in bindings:
        _verify(each, device)
    _open_descriptors_again(real)
    # The directory that we are in was opened before; what stands there now is another one.
    try:
        os.chdir(os.getcwd())
    except OSError:
        os.chdir("/")


def _bindings(root: str) -> Iterator[Binding]:
    """What of the machine has its place in this computer's tree."""
    yield from _proc_bindings(root)
    yield Binding(f"{root}/sys", "/sys")
    if os.path.exists("/dev/kmsg"):
        yield Binding(f"{root}/dev/kmsg", "/dev/kmsg")


def _proc_bindings(root: str) -> Iterator[Binding]:
    for name in os.listdir(f"{root}/proc"):
        if name.isdigit() or name == "net":
            # Threads of the machine's stand beside processes of this computer. /proc/net is a
            # link to self/net, and what is bound there is not seen by children.
            continue
        source, target = f"{root}/proc/{name}", f"/proc/{name}"
        if name == "sys":
            yield from _files(source, target)
        elif os.path.exists(target):
            yield Binding(source, target)


def _files(source: str, target: str) -> Iterator[Binding]:
    """Each file below source; what stands beside it in the same directory stays real."""
    for folder, _, files in os.walk(source):
        for name in files:
            place = f"{target}{folder.removeprefix(source)}/{name}"
            if os.path.exists(place):
                yield Binding(f"{folder}/{name}", place)


def _cover_other_mounts(root: str, device: int) -> None:
    """Hide the real interrupts where /proc or /sys are mounted a second time, in a chroot say."""
    for mount in mounts():
        for source, target in _leaks(root, mount):
            if _device(target) == mount.device:
                _change(target, namespace.bind, source, target)
                if _device(target) != device:
                    raise NamespaceError(f"{target} is still this computer's; nothing was run")


def _leaks(root: str, mount: Mount) -> Iterator[tuple[str, str]]:
    """What of the machine to put over which part of another mount of /proc or /sys."""
    if mount.fstype == "sysfs" and mount.root == "/":
        yield f"{root}/sys", mount.point
    if mount.fstype != "proc":
        return
    if mount.root == "/":
        yield f"{root}/proc/irq", f"{mount.point}/irq"
    elif mount.root == "/irq" or mount.root.startswith("/irq/"):
        is_file = os.path.isfile(mount.point)
        yield f"{root}/proc/irq{'/default_smp_affinity' if is_file else ''}", mount.point


def _device(path: str) -> int | None:
    try:
        return os.stat(path).st_dev
    except OSError:
        return None  # out of reach for programs as well


def _change(target: str, change: Callable[..., None], *arguments: str) -> None:
    try:
        change(*arguments)
    except OSError as error:
        raise NamespaceError(
            f"{target} cannot be covered: {_why(error)}; nothing was run"
        ) from None


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _verify(binding: Binding, device: int) -> None:
    """Look at it by the name that programs use: it must be that file of the machine.

    Attributes are never kept, so the machine itself has answered.
    """
    try:
        seen, wanted = os.stat(binding.target), os.stat(binding.source)
    except OSError as error:
        raise NamespaceError(f"{binding.target}: {_why(error)}; nothing was run") from None
    if seen.st_dev != device or seen.st_ino != wanted.st_ino:
        raise NamespaceError(f"{binding.target} is still this computer's; nothing was run")


def _open_descriptors_again(real: set[int]) -> None:
    """Let descriptors that the program inherits lead where their names lead now.

    A file of /proc or /sys that the shell has opened is this computer's; and by /proc/self/fd/N
    any directory does lead there.
    """
    for number in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):  # what lists them is gone already
            if os.get_inheritable(number) and _leads_back(number, real):
                _open_again(number)


def _leads_back(number: int, real: set[int]) -> bool:
    attributes = os.fstat(number)
    return stat.S_ISDIR(attributes.st_mode) or attributes.st_dev in real


def _open_again(number: int) -> None:
    name = os.readlink(f"/proc/self/fd/{number}")
    try:
        again = os.open(name, fcntl.fcntl(number, fcntl.F_GETFL))
    except OSError as error:
        raise NamespaceError(
            f"descriptor {number}, {name}: {_why(error)}; nothing was run"
        ) from None
    os.dup2(again, number)
    os.close(again)


def _make_run_writable() -> None:
    """Give irqbalance its directory; without one it works too, and complains.

    An ordinary user cannot make a directory in /run. So it becomes one of ours, in which
    everything is where it was.
    """
    with suppress(OSError):
        if os.path.isdir(IRQBALANCE):
            namespace.mount_tmpfs(IRQBALANCE)
            return
        old = os.open(RUN, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            names = os.listdir(RUN)
            namespace.mount_tmpfs(RUN)
            for name in names:
                _put_back(f"/proc/self/fd/{old}/{name}", f"{RUN}/{name}")
        finally:
            os.close(old)
        os.mkdir(IRQBALANCE)


def _put_back(source: str, target: str) -> None:
    with suppress(OSError):
        mode = os.lstat(source).st_mode
        if stat.S_ISLNK(mode):
            os.symlink(os.readlink(source), target)
        elif stat.S_ISDIR(mode):
            os.mkdir(target)
            namespace.bind_all(source, target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
            namespace.bind(source, target)
