"""Keep why the last writes were refused: a program sees the errno alone."""

import errno
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

KEPT = 64


_NAMES = {errno.EOPNOTSUPP: "EOPNOTSUPP"}  # Python knows the number as ENOTSUP


class Refusal(NamedTuple):
    """One write that failed."""

    now_ns: int
    path: str
    number: int
    reason: str

    def __str__(self) -> str:
        seconds, rest_ns = divmod(self.now_ns, 1_000_000_000)
        name = _NAMES.get(self.number) or errno.errorcode.get(self.number, str(self.number))
        return f"[{seconds:5d}.{rest_ns // 1000:06d}] {self.path}: {name}: {self.reason}"


class Refusals:
    """The last KEPT of them, the oldest first."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._kept: deque[Refusal] = deque(maxlen=KEPT)

    def __iter__(self) -> Iterator[Refusal]:
        return iter(self._kept)

    def note(self, path: str, error: OSError) -> None:
        reason = " ".join((error.strerror or "").split())
        self._kept.append(Refusal(self._now_ns(), path, error.errno or errno.EIO, reason))
