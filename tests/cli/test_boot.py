"""boot hands the supervisor what was asked for, and tells its failures in one line."""

import errno
import os
import time
from pathlib import Path

import pytest

from pseudokern.cli.detach import log_path
from pseudokern.run.mountpoint import MountError
from pseudokern.run.options import BootError


@pytest.fixture(autouse=True)
def state_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_boot_without_options_mounts_on_mountpoint_and_follows_the_clock(
    pseudokern, supervisor, machine_file
):
    booted = pseudokern("boot", "./m.toml")

    (options,) = supervisor.ran
    assert booted.status == 0
    assert (options.at, options.seed, options.kernel) == (Path("mountpoint"), 7, "6.12")
    assert (options.clock, options.speed, options.for_ns) == ("wall", 1.0, None)
    assert options.description.name == "m"


def test_boot_says_two_lines_to_type(pseudokern, supervisor, machine_file):
    assert pseudokern("boot", machine_file, "--at", "/tmp/my dir").out == [
        "m is up; to watch it:  watch -n 0.5 cat '/tmp/my dir'/proc/interrupts",
        "to move an interrupt:  echo 1 > '/tmp/my dir'/proc/irq/default_smp_affinity",
    ]


def test_every_option_reaches_the_supervisor(pseudokern, supervisor, machine_file, tmp_path):
    (tmp_path / "journal").touch()
    pseudokern(
        *("boot", machine_file, "--at", "x", "--seed", "9", "--speed", "0.5", "--for", "250ms"),
        *("--cmdline", "threadirqs", "--kernel", "6.1", "--cpus", "2", "--replay", "journal"),
    )

    (options,) = supervisor.ran
    assert (options.at, options.seed, options.kernel) == (Path("x"), 9, "6.1")
    assert (options.speed, options.for_ns, options.exit_when_done) == (0.5, 250_000_000, True)
    assert options.replay == Path("journal")
    assert options.description.parameters.threadirqs
    assert options.description.topology.nr_cpu_ids == 2


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--for", "5"], '--for is "5", a number without a unit; write it like "250ms"'),
        (
            ["--speed", "0"],
            '--speed is "0"; write a number above 0, up to 1e+09; to stop time use --clock step',
        ),
        (
            ["--speed", "2", "--clock", "free"],
            "--speed goes with --clock wall, not with --clock free; see: pseudokern boot --help",
        ),
        (
            ["--record", "a", "--replay", "b"],
            "--record and --replay cannot go together; choose one",
        ),
        (["--replay", "b"], "--replay b does not exist; make one with --record"),
        (
            ["--cpus", "1025"],
            "--cpus: 1025 is not in the range 1<=x<=1024; see: pseudokern boot --help",
        ),
    ],
)
def test_misused_option_boots_nothing(pseudokern, supervisor, machine_file, arguments, line):
    booted = pseudokern("boot", machine_file, *arguments)
    assert (booted.status, booted.err) == (2, [f"pseudokern boot: {line}"])
    assert supervisor.ran == []


def test_bad_machine_file_boots_nothing(pseudokern, supervisor, machine_file, tmp_path):
    (tmp_path / "m.toml").write_text("[machine]\ncpus = 0\n")
    booted = pseudokern("boot", machine_file)
    assert booted.status == 2
    assert booted.err == ["m.toml:2: [machine]: cpus is 0, but must be at least 1"]
    assert supervisor.ran == []


@pytest.mark.parametrize("detach", [[], ["--detach"]])
@pytest.mark.parametrize("error", [MountError, BootError])
def test_machine_that_cannot_run_is_one_line_and_status_1(
    pseudokern, supervisor, machine_file, error, detach
):
    def refuse(options):
        raise error("mountpoint is not empty; empty it")

    supervisor.before = refuse
    booted = pseudokern("boot", machine_file, *detach)
    assert (booted.status, booted.out) == (1, [])
    assert booted.err == ["mountpoint is not empty; empty it"]


def test_detached_boot_returns_when_the_machine_is_up_and_leaves_it_running(
    pseudokern, supervisor, machine_file, tmp_path
):
    def live(options):
        (tmp_path / "session").write_text(f"{os.getpid()} {os.getsid(0)}")
        while not (tmp_path / "stop").exists():
            time.sleep(0.01)
        (tmp_path / "stopped").touch()

    supervisor.after = live
    booted = pseudokern("boot", machine_file, "--detach", "--for", "1s")

    assert booted.status == 0
    assert len(booted.out) == 2
    assert supervisor.ran == []  # it ran elsewhere
    assert not (tmp_path / "stopped").exists()

    (tmp_path / "stop").touch()
    wait_for(tmp_path / "stopped")
    pid, session = (tmp_path / "session").read_text().split()
    assert pid == session
    os.waitpid(int(pid), 0)


def test_detached_machine_keeps_its_files_when_its_time_is_over(
    pseudokern, supervisor, machine_file, tmp_path
):
    supervisor.before = lambda options: (tmp_path / "noted").write_text(repr(options))
    pseudokern("boot", machine_file, "--detach", "--for", "1s")
    assert "exit_when_done=False" in (tmp_path / "noted").read_text()


def test_detached_machine_that_breaks_leaves_its_traceback_in_a_log(
    pseudokern, supervisor, machine_file
):
    def break_down(options):
        raise ZeroDivisionError("a bug")

    supervisor.before = break_down
    booted = pseudokern("boot", machine_file, "--detach")

    log = log_path(Path("mountpoint"))
    assert booted.status == 1
    assert booted.err == [f"mountpoint: the machine ended before it was mounted; see: {log}"]
    assert "ZeroDivisionError: a bug" in log.read_text()


def wait_for(path):
    deadline = time.monotonic() + 10
    while not path.exists():
        if time.monotonic() > deadline:
            raise OSError(errno.ETIMEDOUT, f"{path} has not appeared")
        time.sleep(0.01)
