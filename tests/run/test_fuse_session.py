"""A mount lives and ends: answers that come later, signals, unmounting, crashes."""

import errno
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pseudokern.run import mountpoint
from tests.run import toy_tree

pytestmark = pytest.mark.mount


@pytest.fixture
def toy_process(fuse, tmp_path):
    """A toy mount that another process serves."""
    directory = tmp_path / "mountpoint"
    directory.mkdir()
    process = subprocess.Popen([*toy_tree.PROGRAM, directory], stdout=subprocess.PIPE, text=True)
    process.directory = directory
    assert process.stdout.readline() == "mounted\n"
    yield process
    process.kill()
    process.communicate()
    mountpoint.clean_dead_mount(directory)


def test_reader_waits_while_another_is_served(mount):
    waiting = mount.start("head", "-c", "6", mount / "queue")
    mount.wait_for_reader()
    assert mount.shell("cat $M/digits").stdout == "0123456789"
    assert waiting.poll() is None

    mount.inside(lambda: mount.tree.queue.give(b"later\n"))
    assert waiting.communicate() == ("later\n", "")


def test_two_readers_of_one_file_get_their_own_answers(mount):
    first = mount.start("head", "-c", "2", mount / "queue")
    mount.wait_for_reader(1)
    second = mount.start("head", "-c", "2", mount / "queue")
    mount.wait_for_reader(2)
    mount.inside(lambda: mount.tree.queue.waiting[1].complete(b"2\n"))
    mount.inside(lambda: mount.tree.queue.waiting[0].complete(b"1\n"))
    assert (first.communicate()[0], second.communicate()[0]) == ("1\n", "2\n")


def test_answer_that_is_there_already_is_given_at_once(mount):
    def read(size, offset):
        answer = toy_tree.Completion()
        answer.complete(b"" if offset else b"ready\n")
        return answer

    mount.tree.queue.read = read
    assert mount.shell("cat $M/queue").stdout == "ready\n"


def test_writer_waits_until_its_write_has_taken_effect(mount):
    writer = mount.start("bash", "-c", f"echo 3s > {mount / 'queue'}")
    mount.wait_for_reader()
    assert writer.poll() is None
    mount.inside(lambda: mount.tree.queue.give(3))
    writer.communicate()
    assert writer.returncode == 0


def test_late_error_gives_its_errno(mount):
    writer = mount.start("bash", "-c", f"echo 3s > {mount / 'queue'}")
    mount.wait_for_reader()
    mount.inside(lambda: mount.tree.queue.waiting[0].fail(OSError(errno.ENOSPC, "full")))
    assert "No space left on device" in writer.communicate()[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signal_ends_a_reader_that_waits_and_takes_nothing_from_the_next(mount, number):
    reader = mount.start("cat", mount / "queue")
    mount.wait_for_reader()
    reader.send_signal(number)
    reader.communicate()
    assert reader.returncode == -number
    assert mount.tree.queue.waiting[0].error.errno == errno.EINTR

    after = mount.start("head", "-c", "4", mount / "queue")
    mount.wait_for_reader(2)
    mount.inside(lambda: mount.tree.queue.give(b"next"))
    assert after.communicate()[0] == "next"


def test_every_open_of_a_file_reaches_the_tree_with_its_flags_and_is_released(mount):
    bash = "for n in 1 2 3; do cat $M/digits; done; echo x > $M/digits"
    assert mount.shell(bash).returncode == 0
    access = [flags & os.O_ACCMODE for flags in mount.tree.digits.opened_with]
    assert access[-4:] == [os.O_RDONLY] * 3 + [os.O_WRONLY]
    assert mount.tree.digits.opened_with[-1] & os.O_TRUNC
    while mount.inside(mount.session.poll):
        pass  # a release comes when close() has returned
    assert mount.tree.digits.open_files == 0


def test_an_open_that_fails_after_others_gives_its_errno(mount):
    assert mount.shell("cat $M/digits $M/digits").stdout == "01234567890123456789"
    mount.tree.open = lambda path, flags, caller: (_ for _ in ()).throw(OSError(errno.ENODEV, path))
    assert "No such device" in mount.shell("cat $M/digits").stderr


def test_poll_returns_0_when_nobody_asks(mount):
    while mount.inside(mount.session.poll):
        pass  # the kernel's greeting
    assert mount.inside(mount.session.poll) == 0


def test_poll_from_inside_a_read_answers_nobody(mount):
    answered = []
    mount.tree.hook.hook = lambda: answered.append(mount.session.poll())
    assert mount.shell("cat $M/hook").returncode == 0
    assert answered == [0]


def test_poll_that_fails_is_an_error_and_the_next_request_is_answered(mount):
    # The toy's files know no poll(): an AttributeError.
    program = "import select, sys; f = open(sys.argv[1]); p = select.poll(); p.register(f, 1)"
    program += "; print([event for _, event in p.poll()])"
    polled = mount.shell(f"{sys.executable} -c '{program}' $M/digits")
    assert polled.stdout == f"[{select.POLLERR}]\n"
    assert mount.shell("head -c 3 $M/digits").stdout == "012"


def test_mounting_leaves_the_signal_handlers_alone(fuse, mount, tmp_path):
    def caught():
        status = Path("/proc/self/status").read_text().splitlines()
        return [line for line in status if line.startswith(("SigIgn", "SigCgt"))]

    before = caught()
    mount.close()
    assert caught() == before
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_unmount_leaves_an_empty_directory_and_does_nothing_the_second_time(mount):
    assert mountpoint.is_mounted(mount.directory)
    mount.inside(mount.session.unmount)
    mount.wait_for_end()
    assert mount.session.unmounted
    assert not mountpoint.is_mounted(mount.directory)
    assert os.listdir(mount.directory) == []
    mount.session.unmount()
    assert mount.session.poll() == 0


def test_unmount_does_not_wait_for_a_file_that_is_open(mount):
    with open(mount / "digits", "rb", buffering=0) as file:
        assert file.read(3) == b"012"
        mount.close()
        assert not mountpoint.is_mounted(mount.directory)
        with pytest.raises(OSError, match="Transport endpoint is not connected"):
            file.read(3)
    assert mount.tree.digits.open_files == 0


def test_unmount_ends_a_read_that_waits_with_enodev(mount):
    reader = mount.start("cat", mount / "queue")
    mount.wait_for_reader()
    mount.close()
    assert "No such device" in reader.communicate()[1]


def test_unmount_from_inside_a_read_answers_it_first(mount):
    mount.tree.hook.hook = mount.session.unmount
    assert mount.shell("cat $M/digits $M/hook").returncode == 0
    mount.wait_for_end()
    assert not mountpoint.is_mounted(mount.directory)


def test_unmount_from_inside_an_open_does_not_crash_libfuse(mount):
    mount.tree.open = lambda path, flags, caller: mount.session.unmount()
    mount.shell("cat $M/digits")
    mount.wait_for_end()
    assert not mountpoint.is_mounted(mount.directory)


def test_fusermount_by_a_user_ends_the_session(mount):
    assert mount.shell("fusermount -u $M").returncode == 0
    mount.wait_for_end()
    assert mount.session.unmounted
    assert os.listdir(mount.directory) == []


def test_lazy_unmount_by_a_user_ends_the_session_when_the_last_file_closes(mount):
    with open(mount / "digits", "rb", buffering=0) as file:
        assert mount.shell("fusermount -u -z $M").returncode == 0
        assert file.read(3) == b"012"
        assert not mount.session.unmounted
    mount.wait_for_end()


def test_two_mounts_in_one_process_are_two_trees(mount, second_mount):
    second_mount.tree.digits.text = b"other"
    assert mount.shell("cat $M/digits").stdout == "0123456789"
    assert second_mount.shell("cat $M/digits").stdout == "other"
    second_mount.close()
    assert mount.shell("cat $M/digits").stdout == "0123456789"


def test_killed_server_leaves_a_dead_mount_that_can_be_cleaned(toy_process):
    directory = toy_process.directory
    assert (directory / "digits").read_text() == "0123456789"
    assert not mountpoint.is_dead(directory)
    toy_process.kill()
    toy_process.wait()
    assert mountpoint.is_dead(directory)
    assert mountpoint.is_mounted(directory)

    assert mountpoint.clean_dead_mount(directory)
    assert not mountpoint.is_mounted(directory)
    assert not mountpoint.clean_dead_mount(directory)


def test_killed_server_leaves_its_children_no_part_of_the_mount(toy_process):
    """A child that inherited the channel would keep the mount alive, with nobody to answer."""
    links = [os.readlink(link) for link in Path(f"/proc/{toy_process.pid}/fd").iterdir()]
    assert links.count("/dev/fuse") == 1
    for number in Path(f"/proc/{toy_process.pid}/fdinfo").iterdir():
        if os.readlink(f"/proc/{toy_process.pid}/fd/{number.name}") == "/dev/fuse":
            flags = number.read_text().split("flags:")[1].split()[0]
            assert int(flags, 8) & os.O_CLOEXEC


def test_next_mount_takes_the_place_of_a_dead_one(toy_process):
    toy_process.kill()
    toy_process.wait()
    with subprocess.Popen(
        [*toy_tree.PROGRAM, toy_process.directory],
        stdout=subprocess.PIPE,
        text=True,
    ) as second:
        assert second.stdout.readline() == "mounted\n"
        assert (toy_process.directory / "digits").read_text() == "0123456789"
        mountpoint.lazy_unmount(toy_process.directory)
    assert second.returncode == 0
