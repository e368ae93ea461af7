"""Say what an open file can do, whatever it is."""

import errno
import os
import select
from collections.abc import Callable
from typing import NamedTuple

from pseudokern.sim.completion import Completion

DEFAULT_POLLMASK = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDNORM | select.EPOLLWRNORM


class Opening(NamedTuple):
    """How and by whom a file is opened: open(2)'s flags, and whether that is root."""

    flags: int
    by_root: bool


class OpenFile:
    """What open() returns. Positions are the kernel's business: each call gets its offset."""

    def read(self, size: int, offset: int) -> bytes | Completion:
        """At most size bytes; none at the end. A Completion's result is such bytes."""
        raise OSError(errno.EINVAL, "this file cannot be read")

    def write(self, data: bytes, offset: int) -> int | Completion:
        """How many bytes were taken. A Completion's result is such a number."""
        raise OSError(errno.EINVAL, "this file cannot be written")

    def poll(self) -> int:
        """What poll(2) says, as EPOLL bits: by default that nothing would block."""
        return DEFAULT_POLLMASK

    def call_when_ready(self, callback: Callable[[], None]) -> None:
        """Call callback when poll() may say more than now; by default it never does."""

    def seek(self, offset: int, whence: int) -> int:
        """lseek(2) with SEEK_END, SEEK_DATA or SEEK_HOLE; the others are the kernel's business.

        ENXIO  no data and no hole from offset on: the file is empty, as far as its size says
        """
        if whence == os.SEEK_END:
            return 0
        raise OSError(errno.ENXIO, f"there is nothing at {offset}")

    def release(self) -> None:
        """The last descriptor was closed."""
