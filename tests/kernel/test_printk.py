"""The log is a ring of lines with their times."""

import pytest

from pseudokern.kernel.printk import RING_RECORDS, KernelLog, Level


@pytest.fixture
def log():
    return KernelLog(lambda: 12_345_678_901)


def test_a_line_is_printed_with_seconds_and_microseconds(log):
    log.printk(Level.INFO, "hello")
    assert [str(record) for record in log] == ["[   12.345678] hello"]


def test_a_text_of_two_lines_is_two_records(log):
    log.printk(Level.INFO, "one\ntwo")
    assert [(record.sequence, record.text) for record in log] == [(0, "one"), (1, "two")]


def test_the_oldest_records_go_when_the_ring_is_full(log):
    for number in range(RING_RECORDS + 1):
        log.printk(Level.DEBUG, str(number))
    assert next(iter(log)).sequence == 1
