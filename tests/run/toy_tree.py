"""A small tree for the tests of the mount; as a program, it mounts itself on a directory."""

import errno
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import trio

from pseudokern.fs.attributes import Attributes, Caller
from pseudokern.run.fuse_session import FuseSession
from pseudokern.sim.completion import Completion

# To be run in the project's directory.
PROGRAM = (sys.executable, "-m", "tests.run.toy_tree")


class ToyFile:
    """Holds a text; remembers what was written to it."""

    mode = stat.S_IFREG | 0o644

    def __init__(self, text: bytes = b"") -> None:
        self.text = text
        self.written: list[bytes] = []
        self.opened_with: list[int] = []
        self.open_files = 0

    def open(self, flags: int) -> "ToyFile":
        self.opened_with.append(flags)
        self.open_files += 1
        return self

    def read(self, size: int, offset: int) -> bytes | Completion:
        return self.text[offset : offset + size]

    def write(self, data: bytes, offset: int) -> int | Completion:
        if data == b"bad\n":
            raise OSError(errno.EINVAL, "bad is not a value")
        self.written.append(data)
        return len(data)

    def seek(self, offset: int, whence: int) -> int:
        raise OSError(errno.EINVAL, "proc files have no end")

    def release(self) -> None:
        self.open_files -= 1


class ToyQueue(ToyFile):
    """A read waits until something is given; a write until it is let through."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Completion] = []

    def read(self, size: int, offset: int) -> Completion:
        self.waiting.append(Completion())
        return self.waiting[-1]

    def write(self, data: bytes, offset: int) -> Completion:
        self.waiting.append(Completion())
        return self.waiting[-1]

    def give(self, result: object) -> None:
        """Hand result to the first who still waits, as a device would."""
        next(completion for completion in self.waiting if not completion.done).complete(result)


class ToyBug(ToyFile):
    def read(self, size: int, offset: int) -> bytes:
        raise ZeroDivisionError("a bug in the tests' file")


class ToyHook(ToyFile):
    """Calls hook from inside a read."""

    hook: Callable[[], None]

    def read(self, size: int, offset: int) -> bytes:
        self.hook()
        return b""


class ToyTree:
    def __init__(self) -> None:
        self.digits = ToyFile(b"0123456789")
        self.long = ToyFile(b"".join(b"%7d\n" % number for number in range(40_000)))
        self.register = ToyFile()
        self.queue = ToyQueue()
        self.bug = ToyBug()
        self.hook = ToyHook()
        self.files: dict[str, ToyFile] = {
            "/digits": self.digits,
            "/long": self.long,
            "/register": self.register,
            "/queue": self.queue,
            "/bug": self.bug,
            "/hook": self.hook,
            "/dir/inner": ToyFile(b"inner\n"),
            "/dir/\udcff\udcfe": ToyFile(b"not UTF-8\n"),
        }
        self.calls: list[tuple[object, ...]] = []

    def fsync(self, path: str) -> None:
        self.getattr(path)

    def getattr_open(self, path: str) -> Attributes:
        return self.getattr(path)

    def getattr(self, path: str) -> Attributes:
        self.calls.append(("getattr", path))
        if path in ("/", "/dir"):
            return Attributes(stat.S_IFDIR | 0o555, nlink=3)
        if path == "/link":
            return Attributes(stat.S_IFLNK | 0o777)
        return Attributes(self._find(path).mode, mtime_s=1_000_000_000.25)

    def readdir(self, path: str) -> list[tuple[str, int]]:
        prefix = path.rstrip("/") + "/"
        names = [
            (name.removeprefix(prefix), file.mode)
            for name, file in self.files.items()
            if os.path.dirname(name) == path
        ]
        if path == "/":
            names += [("dir", stat.S_IFDIR | 0o555), ("link", stat.S_IFLNK | 0o777)]
        return names

    def readlink(self, path: str) -> str:
        return "dir/inner"

    def open(self, path: str, flags: int, caller: Caller) -> ToyFile:
        self.calls.append(("open", path, caller))
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "no O_DIRECT here")
        return self._find(path).open(flags)

    def access(self, path: str, mask: int, caller: Caller) -> None:
        if mask & os.X_OK and path == "/digits":
            raise OSError(errno.EACCES, "not a program")

    def chmod(self, path: str, mode: int, caller: Caller) -> None:
        self.calls.append(("chmod", path, mode))

    def chown(self, path: str, uid: int, gid: int, caller: Caller) -> None:
        self.calls.append(("chown", path, uid, gid))

    def utimens(self, path: str, caller: Caller) -> None:
        self.calls.append(("utimens", path))

    def truncate(self, path: str, length: int, caller: Caller) -> None:
        self.calls.append(("truncate", path, length))

    def create(self, path: str, caller: Caller) -> None:
        raise OSError(errno.EACCES, "create")

    def mkdir(self, path: str, caller: Caller) -> None:
        raise OSError(errno.EPERM, "mkdir")

    def mknod(self, path: str, caller: Caller) -> None:
        raise OSError(errno.EROFS, "mknod")

    def symlink(self, path: str, caller: Caller) -> None:
        raise OSError(errno.ENOSPC, "symlink")

    def link(self, path: str, caller: Caller) -> None:
        raise OSError(errno.EMLINK, "link")

    def unlink(self, path: str, caller: Caller) -> None:
        raise OSError(errno.EBUSY, "unlink")

    def rmdir(self, path: str, caller: Caller) -> None:
        raise OSError(errno.ENOTEMPTY, "rmdir")

    def rename(self, old: str, new: str, caller: Caller) -> None:
        raise OSError(errno.EFBIG, "rename")

    def _find(self, path: str) -> ToyFile:
        if path not in self.files:
            raise OSError(errno.ENOENT, f"{path} is not there")
        return self.files[path]


async def serve_toy(directory: Path) -> None:
    session = FuseSession.mount(ToyTree(), directory, allow_other=True)
    with trio.open_signal_receiver(signal.SIGTERM) as terminations:
        print("mounted", flush=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(unmount_after, terminations, session)
            await session.serve()
            nursery.cancel_scope.cancel()


async def unmount_after(signals: AsyncIterator[int], session: FuseSession) -> None:
    async for _ in signals:
        session.unmount()


if __name__ == "__main__":
    trio.run(serve_toy, Path(sys.argv[1]))
