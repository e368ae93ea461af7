"""Keep the kernel log: a ring of records with a level and the simulated time.

Follows kernel/printk/printk.c and the prefix of a line as dmesg prints it.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

RING_RECORDS = 65_536


class Level(IntEnum):
    EMERG = 0
    ALERT = 1
    CRIT = 2
    ERR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the log; sequence counts from 0 and never repeats."""

    sequence: int
    time_ns: int
    level: Level
    text: str

    def __str__(self) -> str:
        seconds, rest_ns = divmod(self.time_ns, 1_000_000_000)
        return f"[{seconds:5d}.{rest_ns // 1000:06d}] {self.text}"


class KernelLog:
    """The ring; the oldest records go first."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._records: deque[Record] = deque(maxlen=RING_RECORDS)
        self._next_sequence = 0

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def printk(self, level: Level, text: str) -> None:
        """Log text, one record a line. From either context."""
        for line in text.split("\n"):
            record = Record(self._next_sequence, self._now_ns(), level, line)
            self._records.append(record)
            self._next_sequence += 1
