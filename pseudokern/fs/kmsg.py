"""Serve /dev/kmsg: the records of the kernel log one by one, and a way to add to them.

Follows kernel/printk/printk.c: devkmsg_read(), devkmsg_write(), devkmsg_llseek(), devkmsg_poll(),
and Documentation/ABI/testing/dev-kmsg for the format:

    prio,sequence,microseconds,flags;text
     KEY=value

An open file has its own position in the log, whatever offset a read has. FUSE does not say when a
program seeks with SEEK_SET; that it is back at the start shows at its next read, unless it has
read nothing yet. O_NONBLOCK counts as it was given to open(2).

printk_devkmsg is "on", as systemd sets it: what programs write is not rate-limited. The boot
parameter printk.devkmsg=off keeps everybody away, ratelimit lets ten records in five seconds
through from each open file, and either cannot be changed later.
"""

import errno
import os
import re
import select
from collections.abc import Callable

from pseudokern.fs.open_file import OpenFile, Opening
from pseudokern.kernel.printk import RECORD_MAX, Devkmsg, Facility, Level, Record, decoded, encoded
from pseudokern.kernel.ratelimit import RateLimit
from pseudokern.machine.machine import Machine
from pseudokern.sim.completion import Completion

WRITABLE = select.EPOLLOUT | select.EPOLLWRNORM
READABLE = select.EPOLLIN | select.EPOLLRDNORM
OVERWRITTEN = select.EPOLLERR | select.EPOLLPRI
FACILITY_BITS = 3
_PREFIX = re.compile(rb"<([0-9]*)>")


class KmsgFile(OpenFile):
    """One open /dev/kmsg.

    EPERM  only root may read it: dmesg_restrict is 1; nobody may open it: printk.devkmsg=off
    """

    def __init__(self, machine: Machine, opening: Opening) -> None:
        if machine.kernel.log.devkmsg is Devkmsg.OFF:
            raise OSError(errno.EPERM, "dev/kmsg: printk_devkmsg is off")
        if opening.flags & os.O_ACCMODE != os.O_WRONLY and not opening.by_root:
            raise OSError(errno.EPERM, "dev/kmsg: only root may read it")
        self._log = machine.kernel.log
        self._blocks = not opening.flags & os.O_NONBLOCK
        self._next = self._log.first_sequence
        self._has_read = False
        self._limit = RateLimit(self._log, "kmsg")

    def read(self, size: int, offset: int) -> bytes | Completion:
        """The next record.

        EPIPE   it was overwritten; the next read gives the oldest that is there
        EAGAIN  there is none yet, and the file was opened with O_NONBLOCK
        EINVAL  it is longer than size, and is skipped
        """
        if offset == 0 and self._has_read:
            self._go_to(self._log.first_sequence)
        if self._next < self._log.next_sequence:
            return self._take(size)
        if not self._blocks:
            raise OSError(errno.EAGAIN, "dev/kmsg: no more records")
        answer = Completion()
        self._wait(size, answer)
        return answer

    def write(self, data: bytes, offset: int) -> int | Completion:
        """Log a line of a program; "<N>" in front is its facility and level.

        EINVAL  it is longer than a record may be
        """
        if len(data) > RECORD_MAX:
            raise OSError(errno.EINVAL, f"dev/kmsg: {len(data)} bytes, at most {RECORD_MAX}")
        if self._log.devkmsg is Devkmsg.RATELIMIT and not self._limit.allows():
            return len(data)
        level, facility = self._log.default_level, int(Facility.USER)
        prefix = _PREFIX.match(data)
        if prefix is not None:
            number = int(prefix[1] or b"0") & 0xFFFF_FFFF
            level = Level(number & 7)
            # Nobody but the kernel speaks as the kernel.
            facility = number >> FACILITY_BITS & 0xFF or facility
        line = data[prefix.end() if prefix else 0 :].partition(b"\0")[0]
        if line.endswith(b"\n"):
            self._log.printk(level, decoded(line[:-1]), facility=facility)
        else:
            self._log.printk(level, decoded(line), facility=facility, more=True)
        return len(data)

    def poll(self) -> int:
        if self._next < self._log.first_sequence:
            return WRITABLE | READABLE | OVERWRITTEN
        return WRITABLE | READABLE if self._next < self._log.next_sequence else WRITABLE

    def call_when_ready(self, callback: Callable[[], None]) -> None:
        self._log.call_on_next(callback)

    def seek(self, offset: int, whence: int) -> int:
        """SEEK_END: only what comes from now on. SEEK_DATA: from the oldest, as nobody clears.

        ESPIPE  to any other place than these
        EINVAL  SEEK_HOLE: there are none
        """
        if offset:
            raise OSError(errno.ESPIPE, f"dev/kmsg: records have no offset {offset}")
        if whence == os.SEEK_HOLE:
            raise OSError(errno.EINVAL, "dev/kmsg has no holes")
        log = self._log
        self._go_to(log.next_sequence if whence == os.SEEK_END else log.first_sequence)
        return 0

    def _go_to(self, sequence: int) -> None:
        self._next = sequence
        self._has_read = False

    def _take(self, size: int) -> bytes:
        first = self._log.first_sequence
        if self._next < first:
            self._next = first
            raise OSError(errno.EPIPE, "dev/kmsg: records were overwritten")
        shown = show_record(self._log[self._next])
        self._next += 1
        if len(shown) > size:
            raise OSError(errno.EINVAL, f"dev/kmsg: {size} bytes are too few for a record")
        self._has_read = True
        return shown

    def _wait(self, size: int, answer: Completion) -> None:
        """Answer with the next record. Who was interrupted takes none."""

        def look() -> None:
            if answer.done:
                return
            if self._next >= self._log.next_sequence:
                self._wait(size, answer)
                return
            try:
                answer.complete(self._take(size))
            except OSError as error:
                answer.fail(error)

        self._log.call_on_next(look)


def show_record(record: Record) -> bytes:
    """A record as it is read; info_print_ext_header() and msg_print_ext_body()."""
    priority = record.facility << FACILITY_BITS | record.level
    flags = "c" if record.is_fragment else "-"
    lines = [
        f"{priority},{record.sequence},{record.time_ns // 1000},{flags};{_escaped(record.text)}"
    ]
    if record.device is not None:
        lines.append(f" SUBSYSTEM={_escaped(record.device.subsystem)}")
        lines.append(f" DEVICE={_escaped(record.device.device)}")
    return "".join(f"{line}\n" for line in lines).encode()


def _escaped(text: str) -> str:
    """Everything but printable ASCII as \\xHH."""
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte != ord("\\") else f"\\x{byte:02x}"
        for byte in encoded(text)
    )
