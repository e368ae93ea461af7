"""dev/kmsg gives one record a read, keeps its place, and takes lines from programs."""

import contextlib
import errno
import os
import select
from types import SimpleNamespace

import pytest

from pseudokern.fs.attributes import Caller
from pseudokern.fs.kmsg import KmsgFile
from pseudokern.fs.open_file import Opening
from pseudokern.kernel.printk import DevInfo, KernelLog, Level

BUFFER = 8192


@pytest.fixture
def log():
    return KernelLog(lambda: 12_345_678_901, size=4_096)


@pytest.fixture
def kmsg(log):
    """Opens the file; O_NONBLOCK unless told otherwise."""

    def open_kmsg(flags=os.O_RDONLY | os.O_NONBLOCK, *, by_root=True):
        return KmsgFile(machine(log), Opening(flags, by_root))

    return open_kmsg


def machine(log):
    return SimpleNamespace(kernel=SimpleNamespace(log=log))


def fails_with(number):
    return pytest.raises(OSError, match=rf"\[Errno {number}\]")


def read_all(file):
    """Every record, read as a program does: from where the last one ended."""
    found, offset = [], 0
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(file.read(BUFFER, offset))
            offset += len(found[-1])
    return found


def test_a_read_gives_one_record_with_priority_sequence_microseconds_and_flags(log, kmsg):
    log.printk(Level.ERR, "one")
    log.printk(Level.INFO, "two")
    assert read_all(kmsg()) == [b"3,0,12345678,-;one\n", b"6,1,12345678,-;two\n"]


def test_what_is_not_printable_ascii_is_escaped(log, kmsg):
    log.printk(Level.INFO, "a\tb\\c\u00e9\nd\x7f")
    assert read_all(kmsg()) == [b"6,0,12345678,-;a\\x09b\\x5cc\\xc3\\xa9\\x0ad\\x7f\n"]


def test_a_device_is_told_on_lines_of_their_own(log, kmsg):
    log.printk(Level.INFO, "up", device=DevInfo("pci", "+pci:0000:00:03.0"))
    assert read_all(kmsg()) == [b"6,0,12345678,-;up\n SUBSYSTEM=pci\n DEVICE=+pci:0000:00:03.0\n"]


def test_a_fragment_has_the_flag_c(log, kmsg):
    log.pr_cont("rest")
    assert read_all(kmsg()) == [b"4,0,12345678,c;rest\n"]


def test_the_place_is_the_file_s_own_whatever_the_offset(log, kmsg):
    for text in "abc":
        log.printk(Level.INFO, text)
    file = kmsg()
    assert [file.read(BUFFER, offset)[-2:] for offset in (500, 7, 7)] == [b"a\n", b"b\n", b"c\n"]


def test_seeking_to_0_begins_again(log, kmsg):
    log.printk(Level.INFO, "one")
    file = kmsg()
    assert read_all(file) == read_all(file)


def test_a_buffer_that_is_too_small_loses_the_record(log, kmsg):
    log.printk(Level.INFO, "one")
    log.printk(Level.INFO, "two")
    file = kmsg()
    with fails_with(errno.EINVAL):
        file.read(5, 0)
    assert file.read(BUFFER, 0) == b"6,1,12345678,-;two\n"


def test_overwritten_records_are_told_of_once(log, kmsg):
    log.printk(Level.INFO, "first")
    file = kmsg()
    for number in range(1_000):
        log.printk(Level.INFO, f"record {number}")
    assert file.poll() & select.EPOLLERR
    with fails_with(errno.EPIPE):
        file.read(BUFFER, 0)
    assert file.read(BUFFER, 0).startswith(b"6,%d," % log.first_sequence)


def test_the_end_is_eagain_without_blocking(kmsg):
    with fails_with(errno.EAGAIN):
        kmsg().read(BUFFER, 0)


def test_a_blocking_read_gets_the_next_record(log, kmsg):
    file = kmsg(os.O_RDONLY)
    answer = file.read(BUFFER, 0)
    assert not answer.done

    log.printk(Level.INFO, "one")
    assert answer.result == b"6,0,12345678,-;one\n"


def test_a_reader_that_was_interrupted_takes_no_record(log, kmsg):
    file = kmsg(os.O_RDONLY)
    file.read(BUFFER, 0).fail(OSError(errno.EINTR, "a signal came"))
    log.printk(Level.INFO, "one")
    assert file.read(BUFFER, 0) == b"6,0,12345678,-;one\n"


def test_two_that_wait_on_one_file_get_a_record_each(log, kmsg):
    file = kmsg(os.O_RDONLY)
    first, second = file.read(BUFFER, 0), file.read(BUFFER, 0)
    log.printk(Level.INFO, "one")
    assert (first.done, second.done) == (True, False)

    log.printk(Level.INFO, "two")
    assert second.result == b"6,1,12345678,-;two\n"


def test_seek_end_skips_what_is_there_and_seek_data_goes_back(log, kmsg):
    log.printk(Level.INFO, "old")
    file = kmsg()
    assert file.seek(0, os.SEEK_END) == 0
    assert read_all(file) == []
    log.printk(Level.INFO, "new")
    assert read_all(file) == [b"6,1,12345678,-;new\n"]

    assert file.seek(0, os.SEEK_DATA) == 0
    assert len(read_all(file)) == 2


def test_only_offset_0_can_be_sought(kmsg):
    with fails_with(errno.ESPIPE):
        kmsg().seek(1, os.SEEK_DATA)
    with fails_with(errno.EINVAL):
        kmsg().seek(0, os.SEEK_HOLE)


def test_poll_says_when_there_is_something_to_read(log, kmsg):
    file = kmsg()
    ready = []
    file.call_when_ready(lambda: ready.append(file.poll() & select.EPOLLIN))
    assert not file.poll() & select.EPOLLIN

    log.printk(Level.INFO, "one")
    assert ready == [select.EPOLLIN]


@pytest.mark.parametrize(
    ("written", "priority", "text"),
    [
        (b"hello\n", 12, "hello"),  # user.warning
        (b"<6>hello\n", 14, "hello"),
        (b"<30>hello\n", 30, "hello"),  # daemon.info
        (b"<0>hello\n", 8, "hello"),
        (b"<>hello\n", 8, "hello"),
        (b"<x>hello\n", 12, "<x>hello"),
        (b"<5 hello\n", 12, "<5 hello"),
        (b"hello\0rest\n\n", 12, "hello"),
        (b"one\ntwo\n", 12, "one\ntwo"),
        (b"\xff\xfe\n", 12, "\udcff\udcfe"),
    ],
)
def test_a_line_of_a_program_is_logged_with_its_facility(log, kmsg, written, priority, text):
    assert kmsg(os.O_WRONLY).write(written, 0) == len(written)
    log.printk(Level.INFO, "next")
    assert (log[0].facility << 3 | log[0].level, log[0].text) == (priority, text)


def test_a_line_without_a_newline_is_seen_when_something_else_is_logged(log, kmsg):
    kmsg(os.O_WRONLY).write(b"no newline", 0)
    assert list(log) == []

    log.printk(Level.INFO, "next")
    assert log[0].text == "no newline"


def test_the_kernel_does_not_go_on_with_a_program_s_line(log, kmsg):
    kmsg(os.O_WRONLY).write(b"no newline", 0)
    log.pr_cont("mine")
    assert [record.text for record in log] == ["no newline", "mine"]


def test_a_line_of_1025_bytes_is_refused(kmsg):
    assert kmsg(os.O_WRONLY).write(b"x" * 1_024, 0) == 1_024
    with fails_with(errno.EINVAL):
        kmsg(os.O_WRONLY).write(b"x" * 1_025, 0)


def test_only_root_may_read(kmsg):
    with fails_with(errno.EPERM):
        kmsg(os.O_RDONLY, by_root=False)
    kmsg(os.O_WRONLY, by_root=False)


def test_devkmsg_off_keeps_everybody_away_for_good(boot):
    files = boot("laptop", cmdline="printk.devkmsg=off")
    with pytest.raises(PermissionError):
        files.write("/dev/kmsg", "hello\n")
    assert files.read("/proc/sys/kernel/printk_devkmsg") == b"off\n"
    with pytest.raises(OSError, match="boot parameter"):
        files.write("/proc/sys/kernel/printk_devkmsg", "on\n")


def test_devkmsg_ratelimit_takes_ten_records_of_an_open_file(boot):
    files = boot("laptop", cmdline="printk.devkmsg=ratelimit")
    file = files.tree.open("/dev/kmsg", os.O_WRONLY, Caller(0, 0, 1))
    for number in range(15):
        assert file.write(b"line %d\n" % number, 0)
    log = [record.text for record in files.machine.kernel.log]
    assert "line 9" in log
    assert "line 10" not in log


def test_devkmsg_can_be_changed_unless_the_command_line_has(boot):
    files = boot("laptop")
    files.write("/proc/sys/kernel/printk_devkmsg", "ratelimit\n")
    assert files.read("/proc/sys/kernel/printk_devkmsg") == b"ratelimit\n"
    with pytest.raises(OSError, match="on, off or ratelimit"):
        files.write("/proc/sys/kernel/printk_devkmsg", "maybe\n")
