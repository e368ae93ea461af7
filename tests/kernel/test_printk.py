"""The log is a ring of records with their times."""

import pytest

from pseudokern.kernel.printk import LOG_BUF_LEN, RECORD_MAX, KernelLog, Level, log_buf_len


@pytest.fixture
def log():
    return KernelLog(lambda: 12_345_678_901, size=4_096)


def test_a_record_is_printed_with_seconds_and_microseconds(log):
    log.printk(Level.INFO, "hello")
    assert [str(record) for record in log] == ["[   12.345678] hello"]


def test_each_line_of_a_record_is_printed_with_its_time(log):
    log.printk(Level.INFO, "one\ntwo")
    assert [str(record) for record in log] == ["[   12.345678] one\n[   12.345678] two"]


def test_records_are_numbered_from_0_and_the_oldest_go_when_the_ring_is_full(log):
    for number in range(1_000):
        log.printk(Level.DEBUG, f"record {number}")
    texts = [record.text for record in log]
    assert texts[-1] == "record 999"
    assert 10 < len(texts) < 1_000
    assert log.first_sequence == 1_000 - len(texts)
    assert log[999].text == "record 999"


def test_a_record_that_goes_on_is_seen_when_it_is_over(log):
    log.printk(Level.INFO, "one", more=True)
    assert list(log) == []

    log.pr_cont(" and two")
    assert [record.text for record in log] == ["one and two"]


def test_a_record_that_goes_on_is_over_when_something_else_is_logged(log):
    log.printk(Level.INFO, "one", more=True)
    log.printk(Level.ERR, "other")
    log.pr_cont(" and two")
    assert [(r.text, r.is_fragment) for r in log] == [
        ("one", False),
        ("other", False),
        (" and two", True),
    ]


def test_a_fragment_has_the_level_of_a_text_without_one(log):
    log.pr_cont("alone")
    assert [record.level for record in log] == [Level.WARNING]


def test_a_record_holds_1023_bytes(log):
    log.printk(Level.INFO, "x" * 5_000)
    assert len(log[0].text) == RECORD_MAX - 1


def test_what_does_not_fit_into_a_record_that_goes_on_is_a_fragment(log):
    log.printk(Level.INFO, "x" * 1_000, more=True)
    log.pr_cont("y" * 100)
    assert [len(record.text) for record in log] == [1_000, 100]


def test_a_ring_of_4096_bytes_holds_128_empty_records(log):
    for _ in range(200):
        log.printk(Level.INFO, "")
    assert len(list(log)) == 128


def test_log_buf_len_is_rounded_up_and_never_makes_the_ring_smaller():
    log = KernelLog(lambda: 0, size=1 << 12)
    log.grow(5_000)
    for _ in range(1_000):
        log.printk(Level.INFO, "")
    assert len(list(log)) == (1 << 13) // 32

    log.grow(1)
    assert len(list(log)) == (1 << 13) // 32


def test_a_machine_of_64_cpus_has_a_larger_ring():
    assert log_buf_len(4) == log_buf_len(17) == LOG_BUF_LEN
    assert log_buf_len(18) == 2 * LOG_BUF_LEN
    assert log_buf_len(64) == 4 * LOG_BUF_LEN


def test_who_waits_is_called_once_after_the_next_record_that_is_over(log):
    seen = []
    log.call_on_next(lambda: seen.append(log.next_sequence))
    log.printk(Level.INFO, "one", more=True)
    assert seen == []

    log.printk(Level.INFO, "two")
    log.printk(Level.INFO, "three")
    assert seen == [1]
