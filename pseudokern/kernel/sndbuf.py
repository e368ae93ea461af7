"""Have a program wait until its packets have left, when too many are under way: SO_SNDBUF.

Follows sock_alloc_send_pskb() and sock_def_write_space() of net/core/sock.c. A packet counts with
all that it takes of memory, from sendmsg() until it is freed: by who has cleaned the ring, or who
drops it. A program that waits goes on when half of the buffer is free again.
"""

from collections.abc import Callable

from pseudokern.kernel.udp import truesize


class SendBuffer:
    """What one socket has under way. on_space: it had to wait, and need not any more.

    sndbuf_bytes  SO_SNDBUF; one packet may go beyond it
    """

    __slots__ = ("_on_space", "_used_bytes", "is_waiting", "sndbuf_bytes")

    def __init__(self, sndbuf_bytes: int, on_space: Callable[[], None]) -> None:
        self.sndbuf_bytes = sndbuf_bytes
        self.is_waiting = False
        self._used_bytes = 0
        self._on_space = on_space

    def has_room(self) -> bool:
        """Whether a packet may be sent now; if not, on_space() will be called."""
        self.is_waiting = self._used_bytes >= self.sndbuf_bytes
        return not self.is_waiting

    def charge(self, frame_bytes: int) -> None:
        """A packet is on its way."""
        self._used_bytes += truesize(frame_bytes)

    def free(self, frame_bytes: int) -> None:
        """It has left, or is dropped; sock_wfree(). From any context."""
        self._used_bytes -= truesize(frame_bytes)
        if self.is_waiting and 2 * self._used_bytes <= self.sndbuf_bytes:
            self.is_waiting = False
            self._on_space()

    def close(self) -> None:
        """Nobody waits any more."""
        self.is_waiting = False
