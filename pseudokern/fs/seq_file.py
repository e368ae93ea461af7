"""Cut a text into reads where the kernel's seq_file does.

Follows fs/seq_file.c: seq_read_iter(). A read gives as many whole records as fit into a buffer of
one page, which doubles when a single record does not fit; what a small read leaves over comes
first the next time. So read() is short long before the end, and programs must not take that for
the end of the file.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

PAGE_SIZE = 4096


class SeqReader:
    """One rendering of a file, as it is read from an open descriptor.

    A single record that fits into the buffer is cut only where the program's own buffer ends.
    """

    __slots__ = ("_buffer_size", "_ends", "_filled", "_index", "_records", "_whole")

    def __init__(self, records: Sequence[bytes], buffer_size: int = PAGE_SIZE) -> None:
        is_short = len(records) == 1 and len(records[0]) < buffer_size
        self._whole = records[0] if is_short else None
        self._records = records
        self._ends = [] if is_short else list(accumulate(map(len, records)))
        self._buffer_size = buffer_size
        self._index = 0  # the first record that is not in the buffer
        self._filled = 0  # where the buffer ends

    def read(self, size: int, offset: int) -> bytes:
        """At most size bytes from offset; the reads of a program go on where the last one ended."""
        if self._whole is not None:
            return self._whole[offset : offset + size]
        if offset > self._filled:
            self._seek(offset)
        end = min(offset + size, self._filled)
        if end < offset + size:
            self._fill(offset + size - end)
            end = min(offset + size, self._filled)
        return self._cut(offset, end)

    def _cut(self, start: int, end: int) -> bytes:
        """The bytes from start to end. The whole text is never put together: it may be 46 MB."""
        if start >= end:
            return b""
        first = bisect_right(self._ends, start)
        last = bisect_left(self._ends, end) + 1
        begins = self._ends[first] - len(self._records[first])
        return b"".join(self._records[first:last])[start - begins : end - begins]

    def _seek(self, offset: int) -> None:
        """Make the record that holds offset the last one in the buffer."""
        self._index, self._filled = 0, 0
        while self._index < len(self._ends) and self._filled <= offset:
            self._filled = self._ends[self._index]
            self._index += 1

    def _fill(self, wanted: int) -> None:
        """Put records into the empty buffer: one at least, more if they fit and are wanted."""
        ends, first, start = self._ends, self._index, self._filled
        if first == len(ends):
            return
        while ends[first] - start >= self._buffer_size:
            self._buffer_size *= 2
        fitting = bisect_left(ends, start + self._buffer_size, first)
        enough = bisect_left(ends, start + wanted, first) + 1
        self._index = min(fitting, enough)
        self._filled = ends[self._index - 1]
