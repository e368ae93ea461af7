"""A write waits on for signals that end no program, as on Linux: with real bash."""

import errno
import os
import signal
import time
from pathlib import Path

import pytest

from pseudokern.run.pending_signals import is_to_end

pytestmark = pytest.mark.mount


def wait_until_pending(pid, number):
    """Return when a signal has come to the process, which cannot take it: it is in a write."""
    bit = 1 << number - 1
    while True:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        if (int(fields["SigPnd"], 16) | int(fields["ShdPnd"], 16)) & bit:
            return
        time.sleep(0.01)


def answer_others(mount):
    """Return when the session has seen all that had come, an interrupt too."""
    for _ in range(3):
        assert mount.shell("cat $M/digits").returncode == 0


def test_a_child_that_ends_does_not_end_the_write_of_its_shell(mount, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    script = f"cat {tmp_path}/fifo & echo 3s > {mount / 'queue'}; echo status $?"
    shell = mount.start("bash", "-c", script)
    mount.wait_for_reader()
    (tmp_path / "fifo").write_text("the child ends\n")
    wait_until_pending(shell.pid, signal.SIGCHLD)
    answer_others(mount)
    assert not mount.tree.queue.waiting[0].done

    mount.inside(lambda: mount.tree.queue.give(3))
    assert shell.communicate() == ("the child ends\nstatus 0\n", "")


def test_a_caught_signal_is_handled_when_the_write_is_over(mount):
    script = f"trap 'echo caught' USR1; echo 3s > {mount / 'queue'}; echo status $?"
    shell = mount.start("bash", "-c", script)
    mount.wait_for_reader()
    shell.send_signal(signal.SIGUSR1)
    wait_until_pending(shell.pid, signal.SIGUSR1)
    answer_others(mount)
    mount.inside(lambda: mount.tree.queue.give(3))
    assert shell.communicate() == ("caught\nstatus 0\n", "")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR2])
def test_a_signal_that_kills_ends_a_write_also_after_one_that_does_not(mount, number):
    script = f"trap 'echo caught' USR1; echo 3s > {mount / 'queue'}; echo status $?"
    shell = mount.start("bash", "-c", script)
    mount.wait_for_reader()
    shell.send_signal(signal.SIGUSR1)
    wait_until_pending(shell.pid, signal.SIGUSR1)
    answer_others(mount)
    shell.send_signal(number)
    shell.communicate()
    assert shell.returncode == -number
    assert mount.tree.queue.waiting[0].error.errno == errno.EINTR


def test_ctrl_c_ends_a_write_of_a_shell_that_catches_it(mount):
    script = f"trap 'echo caught' INT; echo 3s > {mount / 'queue'}; echo status $?"
    shell = mount.start("bash", "-c", script)
    mount.wait_for_reader()
    shell.send_signal(signal.SIGINT)
    out, err = shell.communicate()
    assert out == "caught\nstatus 1\n"
    assert err.endswith("write error: Interrupted system call\n")


def test_who_cannot_be_looked_at_is_let_go():
    assert is_to_end(0)


def test_nothing_is_to_end_without_a_signal():
    assert not is_to_end(os.getpid())
