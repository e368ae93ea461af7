"""The kernel log as programs read it: through dev/kmsg, and bound over /dev/kmsg."""

import contextlib
import os
import re
import select
import shlex
import signal
import subprocess
import time

import pytest

from tests.mount.booted import PATIENCE_S, PSEUDOKERN, needs_program, wait_until

pytestmark = pytest.mark.mount

needs_dmesg = pytest.mark.skipif(bool(needs_program("dmesg")), reason=needs_program("dmesg"))


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A machine whose time stands still, so that nothing is logged but by us."""
    from tests.mount.booted import booted

    with booted(tmp_path_factory.mktemp("still"), "laptop", "--clock", "step") as machine:
        yield machine


def instead_of_dev_kmsg(machine, command):
    """A command that sees the machine's log as /dev/kmsg, in a mount namespace of its own."""
    kmsg = shlex.quote(str(machine / "dev/kmsg"))
    return ["unshare", "-m", "sh", "-c", f"mount --bind {kmsg} /dev/kmsg && exec {command}"]


def started(*command):
    """A process whose lines are read as they come."""
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def printed_with_what_is_written(machine, process, text):
    """All that process prints up to a line that is logged, again and again, until it comes."""
    os.set_blocking(process.stdout.fileno(), False)
    printed = bytearray()

    def is_there():
        (machine / "dev/kmsg").write_text(f"{text}\n")
        with contextlib.suppress(BlockingIOError):
            printed.extend(os.read(process.stdout.fileno(), 65_536))
        return f"{text}\n".encode() in printed

    wait_until(is_there, f"{text} is printed")
    return bytes(printed)


def texts(printed):
    return [line.partition("] ")[2] for line in printed.splitlines()]


@pytest.mark.root
@needs_dmesg
def test_unmodified_dmesg_prints_what_klog_has(still):
    (still / "dev/kmsg").write_text("<6>with a tab\tand a \\\n")
    done = subprocess.run(
        instead_of_dev_kmsg(still, "dmesg"), check=True, capture_output=True, text=True
    )
    klog = (still / "sys/kernel/debug/pseudokern/klog").read_text()
    assert texts(done.stdout) == texts(klog)
    assert texts(klog)[-1] == "with a tab\tand a \\"


@pytest.mark.root
@needs_dmesg
@pytest.mark.parametrize(("option", "shows_old"), [("-w", True), ("-W", False)])
def test_unmodified_dmesg_follows_until_ctrl_c(still, option, shows_old):
    dmesg = started(*instead_of_dev_kmsg(still, f"dmesg {option}"))
    try:
        printed = printed_with_what_is_written(still, dmesg, f"for dmesg {option}")
        assert (b"Linux version" in printed) == shows_old
        dmesg.send_signal(signal.SIGINT)
        assert dmesg.wait(PATIENCE_S) == -signal.SIGINT
    finally:
        dmesg.kill()
        dmesg.communicate()


def test_our_dmesg_prints_what_klog_has(still):
    done = subprocess.run(
        [*PSEUDOKERN, "dmesg", "--at", still.directory], check=True, capture_output=True, text=True
    )
    assert done.stdout == (still / "sys/kernel/debug/pseudokern/klog").read_text()


def test_our_dmesg_follows_until_ctrl_c(still):
    dmesg = started(*PSEUDOKERN, "dmesg", "-w", "--at", still.directory)
    try:
        printed = printed_with_what_is_written(still, dmesg, "for our dmesg")
        assert b"Linux version" in printed
        dmesg.send_signal(signal.SIGINT)
        assert (dmesg.wait(PATIENCE_S), dmesg.stderr.read().strip()) == (130, "")
    finally:
        dmesg.kill()
        dmesg.communicate()


def test_a_read_is_one_record_and_the_end_is_eagain(still):
    file = os.open(still / "dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    try:
        count = len((still / "sys/kernel/debug/pseudokern/klog").read_text().splitlines())
        records = [os.read(file, 65_536) for _ in range(count)]
        with pytest.raises(BlockingIOError):
            os.read(file, 65_536)
        assert [int(record.split(b",")[1]) for record in records] == list(range(count))
        assert all(record.endswith(b"\n") for record in records)
        assert os.lseek(file, 0, os.SEEK_SET) == 0
        assert os.read(file, 65_536) == records[0]
    finally:
        os.close(file)


def test_a_seek_decides_what_is_read_next(still):
    file = os.open(still / "dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    try:
        first = os.read(file, 8_192)
        assert os.lseek(file, 0, os.SEEK_END) == 0
        with pytest.raises(BlockingIOError):
            os.read(file, 8_192)
        assert os.lseek(file, 0, os.SEEK_DATA) == 0
        assert os.read(file, 8_192) == first
        with pytest.raises(OSError, match="Invalid argument"):
            os.lseek(file, 0, os.SEEK_HOLE)
    finally:
        os.close(file)


def test_a_reader_that_is_killed_loses_nothing_for_others(still):
    readers = [started("cat", still / "dev/kmsg") for _ in range(2)]
    try:
        printed_with_what_is_written(still, readers[0], "read by both")
        readers[0].kill()
        readers[0].wait()
        printed_with_what_is_written(still, readers[1], "after the kill")
    finally:
        for reader in readers:
            reader.kill()
            reader.communicate()


def test_poll_wakes_when_a_record_comes(still):
    file = os.open(still / "dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    try:
        os.lseek(file, 0, os.SEEK_END)
        poll = select.poll()
        poll.register(file, select.POLLIN)
        assert poll.poll(0) == []

        writer = started("sh", "-c", f"sleep 0.2; echo polled > {still / 'dev/kmsg'}")
        began = time.monotonic()
        assert poll.poll(PATIENCE_S * 1000) == [(file, select.POLLIN)]
        assert time.monotonic() - began < PATIENCE_S / 2
        assert os.read(file, 8_192).endswith(b";polled\n")
        writer.communicate()
    finally:
        os.close(file)


def test_the_directory_and_the_file_look_like_devtmpfs(still):
    said = still.shell("stat -c '%a %s %n' $M/dev $M/dev/kmsg; ls $M/dev")
    assert re.sub(r"/\S+/", "", said.stdout) == "755 0 dev\n644 0 kmsg\nkmsg\n"


def test_levels_are_in_proc_sys(still):
    levels = still / "proc/sys/kernel/printk"
    assert levels.read_text() == "4\t4\t1\t7\n"  # the laptop boots quiet
    levels.write_text("7 6\n")
    (still / "dev/kmsg").write_text("at level 6\n")
    assert levels.read_text() == "7\t6\t1\t7\n"
    assert still.shell("timeout 1 cat $M/dev/kmsg").stdout.splitlines()[-1].startswith("14,")
    levels.write_text("4 4\n")
    assert still.shell("echo x > $M/proc/sys/kernel/printk").stderr.endswith("Invalid argument\n")


@pytest.mark.root
def test_an_ordinary_user_may_neither_read_nor_write(still):
    still.directory.parent.chmod(0o755)
    still.directory.parent.parent.chmod(0o755)
    said = still.shell(
        "setpriv --reuid 65534 --clear-groups sh -c 'cat $M/dev/kmsg; echo x > $M/dev/kmsg'"
    )
    assert "Operation not permitted" in said.stderr
    assert "Permission denied" in said.stderr
