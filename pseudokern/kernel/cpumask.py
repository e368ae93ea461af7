"""Read and print sets of CPUs the way the kernel does.

Follows lib/bitmap-str.c: bitmap_parse(), bitmap_parselist() and the printk formats %*pb, %*pbl.

A mask is an int, bit n for CPU n. The two parsers differ where one would not expect it: a CPU
that cannot exist is EOVERFLOW in the hexadecimal form and ERANGE in the list form.
"""

import errno
from collections.abc import Iterator
from typing import NewType, TypeAlias

CpuId = NewType("CpuId", int)
CpuMask: TypeAlias = int

GROUP_BITS = 32
_GROUP_DIGITS = GROUP_BITS // 4
_GROUP_MASK = (1 << GROUP_BITS) - 1
_UINT_MAX = (1 << 32) - 1
_SEPARATORS = b", \t\n\v\f\r\xa0"  # the kernel's isspace() knows Latin-1's no-break space
_END_OF_TEXT = b"\n\0"
_HEX = b"0123456789abcdefABCDEF"
_DECIMAL = b"0123456789"
_MOST_DIGITS = 18  # of both numbers of a range that is read the fast way


def cpus_of(mask: CpuMask) -> Iterator[CpuId]:
    """The CPUs of mask in ascending order."""
    while mask:
        low = mask & -mask
        yield CpuId(low.bit_length() - 1)
        mask ^= low


def first_cpu(mask: CpuMask) -> CpuId:
    """The lowest CPU of a mask that is not empty."""
    return CpuId((mask & -mask).bit_length() - 1)


def cpumask_parse(text: bytes, nr_cpu_ids: int) -> CpuMask:
    """Read the hexadecimal form: groups of 32 CPUs, the highest first.

    Blanks separate groups as commas do; the text ends at its first newline or NUL. An empty
    text is an empty mask.

    EINVAL     a character that is neither a digit, a comma nor a blank
    EOVERFLOW  a group of more than 8 digits, more groups than the CPUs need, or a CPU at or
               above nr_cpu_ids
    """
    groups = _split(text[: _find(text, _END_OF_TEXT)])
    mask = 0
    # The kernel reads backwards, from the lowest group: that decides which error wins.
    for number, group in enumerate(reversed(groups)):
        if number == _groups_needed(nr_cpu_ids):
            raise _refuse(errno.EOVERFLOW, text, f"more than {number} groups of 32 CPUs")
        mask |= _parse_group(group, text) << (number * GROUP_BITS)
    if mask >> nr_cpu_ids:
        raise _refuse(errno.EOVERFLOW, text, f"CPU {mask.bit_length() - 1} of {nr_cpu_ids} CPUs")
    return mask


def cpulist_parse(text: bytes, nr_cpu_ids: int) -> CpuMask:
    """Read the list form: 0-3,8 or all or N (the last CPU) or 0-N:1/2 (the first of each two).

    EINVAL     bad syntax, a range that runs backwards, a stride of nothing
    ERANGE     a CPU at or above nr_cpu_ids
    EOVERFLOW  a number of more than 32 bits
    """
    plain = _parse_plain_list(text, nr_cpu_ids)
    return _ListReader(text, nr_cpu_ids).read() if plain is None else plain


def cpumask_format(mask: CpuMask, nr_cpu_ids: int) -> str:
    """The hexadecimal form, every group in full: ff,ffffffff for 40 CPUs."""
    count = _groups_needed(nr_cpu_ids)
    head_bits = nr_cpu_ids - (count - 1) * GROUP_BITS
    head = mask >> (count - 1) * GROUP_BITS
    groups = [f"{head:0{(head_bits + 3) // 4}x}"]
    groups += [f"{mask >> n * GROUP_BITS & _GROUP_MASK:08x}" for n in range(count - 2, -1, -1)]
    return ",".join(groups)


def cpulist_format(mask: CpuMask) -> str:
    """The list form: 0-1,4,6-7; nothing for an empty mask."""
    ranges: list[str] = []
    while mask:
        first = first_cpu(mask)
        length = first_cpu(~(mask >> first))
        ranges.append(f"{first}-{first + length - 1}" if length > 1 else f"{first}")
        mask &= -1 << first + length
    return ",".join(ranges)


def _groups_needed(nr_cpu_ids: int) -> int:
    return (nr_cpu_ids + GROUP_BITS - 1) // GROUP_BITS


def _refuse(number: int, text: bytes, why: str) -> OSError:
    return OSError(number, f"CPU mask {text!r}: {why}")


def _find(text: bytes, wanted: bytes, start: int = 0) -> int:
    """Position of the first byte of text that is one of wanted, or the length of text."""
    position = start
    while position < len(text) and text[position] not in wanted:
        position += 1
    return position


def _split(text: bytes) -> list[bytes]:
    groups = []
    position = 0
    while position < len(text):
        end = _find(text, _SEPARATORS, position)
        if end > position:
            groups.append(text[position:end])
        position = end + 1
    return groups


def _parse_group(digits: bytes, text: bytes) -> int:
    last = digits[-_GROUP_DIGITS:]
    if any(digit not in _HEX for digit in last):
        raise _refuse(errno.EINVAL, text, f"{digits!r} is not hexadecimal")
    if len(digits) > _GROUP_DIGITS:
        too_long = digits[-_GROUP_DIGITS - 1] in _HEX
        raise _refuse(
            errno.EOVERFLOW if too_long else errno.EINVAL, text, f"{digits!r} is no group"
        )
    return int(last, 16)


def _parse_plain_list(text: bytes, nr_cpu_ids: int) -> CpuMask | None:
    """The mask of a list of nothing but CPUs and ranges, or None if there is more to it.

    A program may write 128 KB, and nobody else is answered until they are read: this takes 5 ms
    for them, where the cursor below takes 300.
    """
    body = text.removesuffix(b"\n")
    if body.translate(None, b"0123456789-,"):
        return None
    mask = 0
    for region in set(body.split(b",")) - {b""}:
        first, dash, last = region.partition(b"-")
        if not dash:
            last = first
        if not (first.isdigit() and last.isdigit() and len(first) + len(last) <= _MOST_DIGITS):
            return None
        start, end = int(first), int(last)
        if not start <= end < nr_cpu_ids:
            return None
        mask |= (2 << end) - (1 << start)
    return mask


class _ListReader:
    """A cursor over the text of a CPU list."""

    def __init__(self, text: bytes, nr_cpu_ids: int) -> None:
        self.text = text
        self.nr_cpu_ids = nr_cpu_ids
        self.position = 0

    def read(self) -> CpuMask:
        mask = 0
        while self._find_region():
            mask |= self._read_region()
        return mask

    def _peek(self) -> int:
        """The next byte; NUL at the end, as a C string would have it."""
        return self.text[self.position] if self.position < len(self.text) else 0

    def _find_region(self) -> bool:
        while self.position < len(self.text) and self._peek() in _SEPARATORS:
            self.position += 1
        return self._peek() != 0

    def _at_end_of_region(self) -> bool:
        return self._peek() in _SEPARATORS or self._peek() == 0

    def _read_region(self) -> CpuMask:
        if self.text[self.position : self.position + 3].lower() == b"all":
            self.position += 3
            first, last = 0, self.nr_cpu_ids - 1
        else:
            first = last = self._read_number()
            if self._at_end_of_region():
                return self._finish(first, last)
            self._expect(b"-")
            last = self._read_number()
        if self._at_end_of_region():
            return self._finish(first, last)
        self._expect(b":")
        used = self._read_number()
        self._expect(b"/")
        return self._cpus(first, last, used, self._read_number())

    def _finish(self, first: int, last: int) -> CpuMask:
        if self._peek() in _END_OF_TEXT:
            self.position = len(self.text)  # a newline ends the list, unless a stride came before
        whole = (last + 1) & _UINT_MAX
        return self._cpus(first, last, whole, whole)

    def _cpus(self, first: int, last: int, used: int, group: int) -> CpuMask:
        if first > last or group == 0 or used > group:
            raise _refuse(errno.EINVAL, self.text, f"{first}-{last}:{used}/{group} is no range")
        if last >= self.nr_cpu_ids:
            raise _refuse(errno.ERANGE, self.text, f"CPU {last} of {self.nr_cpu_ids} CPUs")
        length = last + 1 - first
        group, used = min(group, length), min(used, length)
        groups = -(-length // group)
        # A one at the beginning of each group, times the ones that are used of it.
        begins = ((1 << groups * group) - 1) // ((1 << group) - 1)
        return (begins * ((1 << used) - 1) & (1 << length) - 1) << first

    def _expect(self, wanted: bytes) -> None:
        if self._peek() != wanted[0]:
            raise _refuse(errno.EINVAL, self.text, f"no {wanted.decode()!r} at {self.position}")
        self.position += 1

    def _read_number(self) -> int:
        if self._peek() == ord("N"):
            self.position += 1
            return self.nr_cpu_ids - 1
        start = self.position
        while self._peek() in _DECIMAL and self.position < len(self.text):
            self.position += 1
        if self.position == start:
            raise _refuse(errno.EINVAL, self.text, f"no number at {start}")
        digits = self.text[start : self.position].lstrip(b"0")
        if len(digits) > len(str(_UINT_MAX)) or int(digits or b"0") > _UINT_MAX:
            raise _refuse(errno.EOVERFLOW, self.text, "a number of more than 32 bits")
        return int(digits or b"0")
