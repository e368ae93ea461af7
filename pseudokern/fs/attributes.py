"""Say what stat() says of a file, and who asks."""

from dataclasses import dataclass
from typing import NamedTuple

PROC_BLOCK_SIZE = 1024


@dataclass(slots=True)
class Attributes:
    """What stat() says. mode includes the type."""

    mode: int
    nlink: int = 1
    uid: int = 0
    gid: int = 0
    size: int = 0
    blksize: int = PROC_BLOCK_SIZE
    mtime_s: float = 0.0


class Caller(NamedTuple):
    """Who asks."""

    uid: int
    gid: int
    pid: int


def allows(attributes: Attributes, caller: Caller, mask: int) -> bool:
    """Whether the mode bits let caller do what mask asks for; root is not treated otherwise."""
    mode = attributes.mode
    if caller.uid == attributes.uid:
        mode >>= 6
    elif caller.gid == attributes.gid:
        mode >>= 3
    return mode & mask == mask
