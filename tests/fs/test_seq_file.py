"""Reads are cut where the kernel's seq_file cuts them, and nothing is lost between them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudokern.fs.seq_file import PAGE_SIZE, SeqReader
from tests.fs.conftest import recorded


def sizes(records: list[bytes], size: int) -> list[int]:
    """What each read returns, to the end and the empty read there."""
    reader, offset, found = SeqReader(records), 0, []
    while True:
        found.append(len(reader.read(size, offset)))
        offset += found[-1]
        if not found[-1]:
            return found


@pytest.fixture(scope="module")
def records() -> list[bytes]:
    """/proc/interrupts of the recorded machine q4, in the kernel's records."""
    lines = [f"{line}\n".encode() for line in recorded("q4", "/proc/interrupts").splitlines()]
    first_named = next(number for number, line in enumerate(lines) if line.startswith(b"NMI"))
    return [lines[0] + lines[1], *lines[2:first_named], b"".join(lines[first_named:])]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (131_072, [3357, 1329, 0]),
        (4096, [3357, 1329, 0]),
        (2000, [2000, 2000, 686, 0]),
    ],
)
def test_reads_of_interrupts_return_the_recorded_sizes(records, size, expected):
    assert sizes(records, size) == expected


def test_record_longer_than_the_buffer_comes_whole():
    assert sizes([b"x" * (3 * PAGE_SIZE)], 131_072) == [3 * PAGE_SIZE, 0]


def test_record_that_fills_the_buffer_to_the_last_byte_needs_a_larger_one():
    assert sizes([b"x" * PAGE_SIZE], 131_072) == [PAGE_SIZE, 0]
    assert sizes([b"x" * (PAGE_SIZE - 1), b"y"], 131_072) == [PAGE_SIZE - 1, 1, 0]


def test_file_without_records_is_empty():
    assert sizes([], 4096) == [0]


TEXTS = st.lists(st.integers(1, 3 * PAGE_SIZE).map(lambda n: bytes(n % 251 for n in range(n))))


@given(records=TEXTS, wanted=st.lists(st.integers(1, 10_000), min_size=1))
def test_reads_one_after_the_other_give_the_whole_text(records, wanted):
    reader, text = SeqReader(records), b""
    for size in [*wanted * (sum(map(len, records)) // sum(wanted) + 1), *[131_072] * len(records)]:
        chunk = reader.read(size, len(text))
        assert len(chunk) <= size
        assert chunk or len(text) == sum(map(len, records))
        text += chunk
    assert text == b"".join(records)


@given(records=TEXTS, data=st.data())
def test_reads_anywhere_give_what_stands_there(records, data):
    text = b"".join(records)
    reader = SeqReader(records)
    for _ in range(5):
        offset = data.draw(st.integers(0, len(text) + 10))
        size = data.draw(st.integers(1, 10_000))
        chunk = reader.read(size, offset)
        assert text[offset : offset + len(chunk)] == chunk
        assert chunk or offset >= len(text)
