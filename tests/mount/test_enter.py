"""Programs enter a machine that is booted, or are not run at all."""

import os
import shlex
import subprocess
import sys

import pytest

from tests.mount.booted import DEBUG, PATIENCE_S, PSEUDOKERN, Booted, pseudokern, wait_until

pytestmark = [pytest.mark.mount, pytest.mark.root]

COMMAND = f"{shlex.quote(sys.executable)} -m pseudokern"


def enter(machine: Booted, script: str) -> subprocess.CompletedProcess[str]:
    return pseudokern("enter", "--at", machine.directory, "--", "bash", "-c", script)


def test_program_inside_and_the_mount_show_one_machine(laptop):
    said = enter(laptop, "echo 4 > /proc/irq/29/smp_affinity; head -n 1 /proc/interrupts")
    assert said.stderr == ""
    assert said.stdout.split() == ["CPU0", "CPU1", "CPU2", "CPU3"]
    assert (laptop / "proc/irq/29/smp_affinity").read_text() == "4\n"
    (laptop / "proc/irq/29/smp_affinity").write_text("f")


def test_machine_goes_on_when_the_program_ends(laptop):
    assert enter(laptop, "kill -KILL $$").returncode == -9
    assert (laptop / "proc/version").read_text().endswith("(simulated)\n")


def test_ordinary_user_enters_his_machine(public_place, as_user):
    script = f"""
        {COMMAND} boot laptop --at $M --detach > /dev/null || exit
        {COMMAND} enter --at $M -- sh -c '
            echo 2 > /proc/irq/29/smp_affinity; cat /proc/irq/29/smp_affinity; nproc'
        cat $M/proc/irq/29/smp_affinity
        {COMMAND} halt --at $M
    """
    said = subprocess.run(
        [*as_user(), "sh", "-c", script],
        check=False,
        env={"M": str(public_place), "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (said.stdout, said.stderr) == ("2\n4\n2\n", "")


def test_stranger_looks_at_root_s_machine_and_does_not_write(public_place, as_user):
    assert pseudokern("boot", "laptop", "--at", public_place, "--detach").returncode == 0
    try:
        said = subprocess.run(
            [
                *as_user(),
                *PSEUDOKERN,
                *("enter", "--at", public_place, "--", "sh", "-c"),
                "cat /proc/irq/29/smp_affinity; echo 1 > /proc/irq/29/smp_affinity",
            ],
            check=False,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
    finally:
        pseudokern("halt", "--at", public_place)
    assert said.stdout == "f\n"
    assert said.stderr.endswith("/proc/irq/29/smp_affinity: Permission denied\n")


@pytest.mark.parametrize("name", ["proc/softirqs", "proc/irq", "sys"])
def test_nothing_is_run_if_one_file_is_not_the_machine_s(laptop, tmp_path, name):
    other = tmp_path / "other"
    other.mkdir() if (laptop / name).is_dir() else other.touch()
    # In a namespace of the test's own something else is put over a file of the machine.
    script = f"""
        mount --bind {other} {laptop.directory}/{name} || exit
        {COMMAND} enter --at {laptop.directory} -- echo ran
    """
    said = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (said.returncode, said.stdout) == (1, "")
    (line,) = said.stderr.splitlines()
    assert line.startswith(f"/{name}")
    assert line.endswith("nothing was run")


def test_machine_that_is_dead_or_not_there_is_told_and_nothing_is_run(tmp_path):
    said = pseudokern("enter", "--at", tmp_path, "--", "echo", "ran")
    assert (said.returncode, said.stdout) == (1, "")
    boot = f"pseudokern boot --at {tmp_path}"
    assert said.stderr == f"{tmp_path}: no machine is mounted; boot one with: {boot}\n"


def test_program_of_a_machine_that_dies_never_sees_the_real_files(tmp_path):
    """The files fail from then on, each with ENOTCONN."""
    machine = tmp_path / "mountpoint"
    machine.mkdir()
    script = """
        read -r line; cat /proc/interrupts /proc/irq/default_smp_affinity
        ls /sys /proc/irq
    """
    boot = subprocess.Popen(
        [*PSEUDOKERN, "boot", "laptop", "--at", machine],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert boot.stdout is not None
    boot.stdout.readline()
    inside = subprocess.Popen(
        [*PSEUDOKERN, "enter", "--at", machine, "--", "bash", "-c", script],
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        exe = f"/proc/{inside.pid}/exe"
        wait_until(lambda: os.readlink(exe).endswith("bash"), "the program runs")
        boot.kill()
        boot.wait()
        said, complaints = inside.communicate("go\n", timeout=PATIENCE_S)
    finally:
        boot.kill()
        boot.stdout.close()
        inside.kill()
        pseudokern("halt", "--at", machine)
    assert said == ""
    assert [line.rpartition(": ")[2] for line in complaints.splitlines()] == [
        "Transport endpoint is not connected"
    ] * 4


def test_halt_from_inside_works_through_the_file(tmp_path, boot):
    machine = boot("laptop")
    enter(machine, f"echo 1 > /{DEBUG}/halt")
    wait_until(lambda: not os.path.ismount(machine.directory), "it is unmounted")
