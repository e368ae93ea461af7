"""Keep the kernel log: a ring of records with a level, a facility and the simulated time.

Follows kernel/printk/printk.c, and kernel/printk/printk_ringbuffer.c for what fits into the ring.

A record is one printk(), however many lines its text has; a reader puts the time before each line.
A record that was logged with more=True is not over: pr_cont() adds to it, and nobody sees it
before it is over or something else is logged.

Not modelled: consoles, and syslog(2) with its "clear".
"""

from collections import deque
from collections.abc import Callable, Iterator
from enum import IntEnum, StrEnum
from typing import NamedTuple

LOG_BUF_LEN = 1 << 17  # CONFIG_LOG_BUF_SHIFT=17, as most distributions have it
LOG_CPU_MAX_BUF_LEN = 1 << 12  # CONFIG_LOG_CPU_MAX_BUF_SHIFT=12
LOG_BUF_LEN_MAX = 1 << 31
RECORD_MAX = 1024  # PRINTKRB_RECORD_MAX: bytes of a text, with the NUL at its end
AVERAGE_RECORD = 1 << 5  # PRB_AVGBITS: the ring has a descriptor for so many bytes
BLOCK_HEADER = 8  # struct prb_data_block
BLOCK_ALIGNMENT = 8
NS_PER_S = 1_000_000_000


class Level(IntEnum):
    EMERG = 0
    ALERT = 1
    CRIT = 2
    ERR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


class Devkmsg(StrEnum):
    """/proc/sys/kernel/printk_devkmsg."""

    ON = "on"
    OFF = "off"
    RATELIMIT = "ratelimit"


class Facility(IntEnum):
    """Who speaks; syslog.h has more than these."""

    KERN = 0
    USER = 1


class DevInfo(NamedTuple):
    """The device that a record is about: "pci" and "+pci:0000:00:03.0"; struct dev_printk_info."""

    subsystem: str
    device: str


class Record(NamedTuple):
    """One entry of the log; sequence counts from 0 and never repeats.

    is_fragment  it goes on with a line that another record got in the way of
    """

    sequence: int
    time_ns: int
    level: Level
    text: str
    facility: int = Facility.KERN
    device: DevInfo | None = None
    is_fragment: bool = False

    def __str__(self) -> str:
        seconds, rest_ns = divmod(self.time_ns, NS_PER_S)
        prefix = f"[{seconds:5d}.{rest_ns // 1000:06d}] "
        return "\n".join(prefix + line for line in self.text.split("\n"))

    @property
    def block_bytes(self) -> int:
        """What it takes of the ring: its text with a newline and a NUL, after a header."""
        size = BLOCK_HEADER + len(encoded(self.text)) + 2
        return -size // BLOCK_ALIGNMENT * -BLOCK_ALIGNMENT


class KernelLog:
    """The ring; the oldest records make room for new ones.

    log[sequence]  a record that is still there
    loglevels      what /proc/sys/kernel/printk shows: the console's level, the one of a text
                   without a level, the lowest and the usual one for the console
    devkmsg        what programs may write to /dev/kmsg; Linux says ratelimit until systemd says on
    devkmsg_fixed  printk.devkmsg= has decided that for good
    """

    def __init__(self, now_ns: Callable[[], int], size: int = LOG_BUF_LEN) -> None:
        self.now_ns = now_ns
        self.loglevels = [7, int(Level.WARNING), 1, 7]
        self.first_sequence = 0
        self.next_sequence = 0
        self.devkmsg = Devkmsg.ON
        self.devkmsg_fixed = False
        self._size = size
        self._used = 0
        self._records: deque[Record] = deque()
        self._unfinished: Record | None = None
        self._waiting: list[Callable[[], None]] = []

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def __getitem__(self, sequence: int) -> Record:
        return self._records[sequence - self.first_sequence]

    @property
    def default_level(self) -> Level:
        return Level(self.loglevels[1] & 7)

    @property
    def size(self) -> int:
        """Bytes of the ring."""
        return self._size

    @property
    def used(self) -> int:
        """Bytes of the records in it."""
        return self._used

    def grow(self, size: int) -> None:
        """log_buf_len=: make the ring so many bytes, rounded up to a power of two, or more."""
        wanted = 1 << (min(size, LOG_BUF_LEN_MAX) - 1).bit_length()
        self._size = max(self._size, wanted)

    def printk(
        self,
        level: Level,
        text: str,
        *,
        facility: int = Facility.KERN,
        device: DevInfo | None = None,
        more: bool = False,
    ) -> None:
        """Log text as one record; more: pr_cont() will go on with it. From either context."""
        self._store(Record(0, self.now_ns(), level, _cut(text), facility, device), more)

    def pr_cont(self, text: str, *, more: bool = False) -> None:
        """Go on with the record that is not over; if there is none, log text as a fragment."""
        begun = self._unfinished
        if (
            begun is not None
            and begun.facility == Facility.KERN
            and len(encoded(begun.text + text)) < RECORD_MAX
        ):
            self._unfinished = None
            self._store(begun._replace(text=begun.text + text), more)
        else:
            fragment = Record(0, self.now_ns(), self.default_level, _cut(text), is_fragment=True)
            self._store(fragment, more)

    def call_on_next(self, callback: Callable[[], None]) -> None:
        """Call callback, once, after the next record."""
        self._waiting.append(callback)

    def _store(self, record: Record, more: bool) -> None:
        if self._unfinished is not None:
            self._append(self._unfinished)
            self._unfinished = None
        if more:
            self._unfinished = record
        else:
            self._append(record)

    def _append(self, record: Record) -> None:
        record = record._replace(sequence=self.next_sequence)
        self._records.append(record)
        self.next_sequence += 1
        self._used += record.block_bytes
        while self._used > self._size or len(self._records) > self._size // AVERAGE_RECORD:
            self._used -= self._records.popleft().block_bytes
            self.first_sequence += 1
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()


def log_buf_len(possible_cpus: int) -> int:
    """How large the ring is if nobody asks: many CPUs have much to say; log_buf_add_cpu()."""
    extra = (possible_cpus - 1) * LOG_CPU_MAX_BUF_LEN
    if extra <= LOG_BUF_LEN // 2:
        return LOG_BUF_LEN
    return 1 << (LOG_BUF_LEN + extra - 1).bit_length()


def encoded(text: str) -> bytes:
    """The bytes of a text; what a program wrote need not be UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _cut(text: str) -> str:
    return text if len(text) < RECORD_MAX // 4 else decoded(encoded(text)[: RECORD_MAX - 1])
