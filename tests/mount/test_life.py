"""A machine comes up, goes down cleanly whoever asks, and is cleaned up after when it is killed."""

import os
import signal
import subprocess
from contextlib import suppress

import pytest

from pseudokern.cli.detach import log_path
from pseudokern.run import mountpoint
from tests.mount.booted import (
    DEBUG,
    PATIENCE_S,
    PSEUDOKERN,
    Booted,
    in_foreground,
    pseudokern,
    take_away,
    wait_until,
)

pytestmark = pytest.mark.mount


@pytest.fixture
def place(tmp_path):
    return tmp_path / "mountpoint"


def end(process: subprocess.Popen) -> tuple[int, str]:
    """The exit status of a machine that was told to stop, and what it said to the end."""
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out + err


def assert_nothing_is_left(place) -> None:
    assert not mountpoint.is_mounted(place)
    assert os.listdir(place) == []


def test_boot_says_in_two_lines_what_to_type_and_both_work(place):
    with in_foreground(place, "laptop") as machine:
        watch, move = machine.said
        assert watch == f"laptop is up; to watch it:  watch -n 0.5 cat {place}/proc/interrupts\n"
        assert (place / "proc/interrupts").read_text()
        command = move.partition(":  ")[2]
        done = Booted(place).shell(command)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_unmounts_and_leaves_without_a_word(place, number):
    with in_foreground(place, "laptop") as machine:
        machine.send_signal(number)
        assert end(machine) == (0, "")
        assert_nothing_is_left(place)


def test_sigterm_at_the_moment_of_mounting_leaves_nothing_behind(place):
    place.mkdir()
    for _ in range(4):  # half of them come before the machine could hear it
        machine = subprocess.Popen(
            [*PSEUDOKERN, "boot", "laptop", "--at", place], stdout=subprocess.PIPE, text=True
        )
        try:
            while not mountpoint.is_mounted(place):
                assert machine.poll() is None
            machine.send_signal(signal.SIGTERM)
            machine.communicate(timeout=PATIENCE_S)
            assert machine.returncode == 0
            assert_nothing_is_left(place)
        finally:
            machine.kill()
            machine.communicate()
            take_away(place)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_a_machine_with_files_open_and_a_writer_that_waits(place, number):
    with in_foreground(place, "laptop", "--clock", "step") as machine:
        reader = os.open(place / "proc/stat", os.O_RDONLY)
        os.read(reader, 10)
        now_ns = Booted(place).now_ns()
        writer = subprocess.Popen(
            ["bash", "-c", f"exec 2>&1; echo 1h > {place / DEBUG}/clock/advance"],
            stdout=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: Booted(place).now_ns() > now_ns, "the writer's hour begins")
        machine.send_signal(number)
        assert end(machine) == (0, "")
        assert_nothing_is_left(place)
        with pytest.raises(OSError, match=r"not connected|caused connection abort"):
            os.pread(reader, 10, 0)
        with suppress(OSError):
            os.close(reader)
        said, _ = writer.communicate(timeout=PATIENCE_S)
        assert "write error: No such device" in said


def test_ctrl_c_reaches_a_machine_through_its_terminal(place):
    place.mkdir()
    command = " ".join(["exec", *PSEUDOKERN, "boot", "laptop", "--at", str(place)])
    terminal = subprocess.Popen(
        ["script", "-qec", command, "/dev/null"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert "laptop is up" in terminal.stdout.readline()
    out, _ = terminal.communicate("\x03", timeout=PATIENCE_S)
    assert "Traceback" not in out
    assert terminal.returncode == 0
    assert_nothing_is_left(place)


def test_halt_ends_a_machine_in_the_foreground(place):
    with in_foreground(place, "laptop") as machine:
        halted = pseudokern("halt", "--at", place)
        assert (halted.returncode, halted.stdout, halted.stderr) == (0, "", "")
        assert end(machine) == (0, "")
        assert_nothing_is_left(place)


def test_halt_ends_a_detached_machine_while_a_reader_holds_a_file_open(boot):
    machine = boot("laptop")
    reader = os.open(machine / "proc/interrupts", os.O_RDONLY)
    os.read(reader, 10)
    assert machine.halt().returncode == 0
    assert_nothing_is_left(machine.directory)
    with suppress(OSError):
        os.close(reader)


def test_halt_ends_a_machine_somebody_works_in(boot):
    machine = boot("laptop")
    shell = subprocess.Popen(
        ["bash", "-c", "cd proc/irq && read line"], cwd=machine.directory, stdin=subprocess.PIPE
    )
    assert machine.halt().returncode == 0
    assert_nothing_is_left(machine.directory)
    shell.communicate(b"\n")


def test_halts_at_the_same_time_do_not_stumble_over_each_other(boot):
    machine = boot("laptop")
    halts = [
        subprocess.Popen(
            [*PSEUDOKERN, "halt", "--at", machine.directory], stderr=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    said = [halt.communicate(timeout=PATIENCE_S)[1] for halt in halts]
    late = f"{machine.directory}: no machine is mounted; boot one with: "
    assert {each.replace(late, "")[:1] for each in said} <= {"", "p"}, said
    # Whoever asked the machine to go has nothing to say.
    assert ("", 0) in [(each, halt.returncode) for each, halt in zip(said, halts, strict=True)], (
        said
    )
    assert_nothing_is_left(machine.directory)


def test_anything_written_to_halt_ends_the_machine(boot):
    machine = boot("laptop")
    machine.shell(f"echo now > $M/{DEBUG}/halt")
    wait_until(lambda: not mountpoint.is_mounted(machine.directory), "the machine goes")
    assert_nothing_is_left(machine.directory)


def test_machine_ends_when_somebody_unmounts_it(place):
    with in_foreground(place, "laptop") as machine:
        mountpoint.lazy_unmount(place)
        assert end(machine) == (0, "")


def test_second_halt_says_that_there_is_nothing(boot):
    machine = boot("laptop")
    machine.halt()
    again = machine.halt()
    assert again.returncode == 1
    assert again.stderr.startswith(f"{machine.directory}: no machine is mounted; boot one with: ")


def test_killed_machine_s_mount_is_cleaned_by_the_next_boot(place):
    with in_foreground(place, "laptop") as machine:
        machine.kill()
        machine.wait()
        assert mountpoint.is_dead(place)
        up = pseudokern("boot", "laptop", "--at", place, "--detach")
        assert (up.returncode, up.stderr) == (0, "")
        assert Booted(place).rows().cpus == [0, 1, 2, 3]
        assert pseudokern("halt", "--at", place).returncode == 0


def test_killed_machine_s_mount_is_cleaned_by_halt_although_a_file_is_open(place):
    with in_foreground(place, "laptop") as machine:
        reader = os.open(place / "proc/stat", os.O_RDONLY)
        machine.kill()
        machine.wait()
        halted = pseudokern("halt", "--at", place)
        said = f"{place}: its machine was dead; unmounted\n"
        assert (halted.returncode, halted.stdout) == (0, said)
        assert_nothing_is_left(place)
        with suppress(OSError):
            os.close(reader)


def test_two_machines_on_two_mount_points_live_and_die_on_their_own(boot):
    one = boot("laptop", at="one")
    two = boot("q4", at="two")
    assert "eth0-TxRx-0" in (one / "proc/interrupts").read_text()
    assert "virtio0-input.0" in (two / "proc/interrupts").read_text()
    (one / "proc/irq/default_smp_affinity").write_text("1")
    assert (two / "proc/irq/default_smp_affinity").read_text() == "f\n"
    one.halt()
    assert two.rows().cpus == [0, 1, 2, 3]


def test_detached_machine_outlives_the_shell_that_booted_it(place):
    place.mkdir()
    command = " ".join([*PSEUDOKERN, "boot", "laptop", "--at", str(place), "--detach"])
    shell = subprocess.Popen(["bash", "-c", f"{command} > /dev/null"], start_new_session=True)
    try:
        assert shell.wait(PATIENCE_S) == 0
        assert (place / "proc/stat").read_text()
    finally:
        assert pseudokern("halt", "--at", place).returncode == 0
    assert log_path(place).read_text() == ""


def test_end_of_for_in_the_foreground_unmounts_and_leaves(place):
    with in_foreground(place, "laptop", "--for", "100ms", "--clock", "free") as machine:
        assert end(machine) == (0, "")
        assert_nothing_is_left(place)


def test_end_of_for_when_detached_leaves_the_files_readable_until_halt(boot):
    machine = boot("laptop", "--for", "100ms", "--clock", "free")
    wait_until(lambda: machine.now_ns() == 1_100_000_000, "100 ms after a boot of 1 s")
    first = (machine / "proc/interrupts").read_text()
    assert (machine / "proc/interrupts").read_text() == first
    assert machine.shell("echo 3 > $M/proc/irq/29/smp_affinity").returncode == 0
    assert machine.now_ns() == 1_100_000_000


def test_reader_of_the_two_lines_may_go_away(place):
    place.mkdir()
    command = " ".join([*PSEUDOKERN, "boot", "laptop", "--at", str(place)])
    said = subprocess.run(
        ["bash", "-c", f"{command} --for 1ms | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert said.stderr == ""
    assert_nothing_is_left(place)


def test_hangup_does_not_reach_a_machine_that_was_booted_with_nohup(place):
    place.mkdir()
    machine = subprocess.Popen(
        ["nohup", *PSEUDOKERN, "boot", "laptop", "--at", place],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert machine.stdout.readline().startswith("laptop is up")
        machine.send_signal(signal.SIGHUP)
        Booted(place).advance("10ms")
        machine.send_signal(signal.SIGTERM)
        machine.communicate(timeout=PATIENCE_S)
        assert machine.returncode == 0
    finally:
        machine.kill()
        machine.communicate()
        take_away(place)
