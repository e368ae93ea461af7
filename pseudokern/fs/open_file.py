"""Say what an open file can do, whatever it is."""

import errno
import select

from pseudokern.sim.completion import Completion


DEFAULT_POLLMASK = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDNORM | select.EPOLLWRNORM


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

    def release(self) -> None:
        """The last descriptor was closed."""
