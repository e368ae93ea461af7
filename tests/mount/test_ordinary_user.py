"""Somebody who is not root boots, uses and halts a machine; others may look, not touch."""

import shlex
import subprocess
import sys

import pytest

from tests.mount.booted import DEBUG, PATIENCE_S, booted

pytestmark = [pytest.mark.mount, pytest.mark.root]

PSEUDOKERN = f"{shlex.quote(sys.executable)} -m pseudokern"


@pytest.fixture
def as_user(public_place, as_nobody):
    """Run a script as an ordinary user in a mount namespace of its own; $M is his directory."""

    def run(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*as_nobody(), "bash", "-c", script],
            env={
                "M": str(public_place),
                "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
                "HOME": "/nonexistent",
                "LC_ALL": "C",
            },
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    return run


def test_boots_reads_writes_is_refused_and_halts(as_user):
    said = as_user(
        f"""
        {PSEUDOKERN} boot laptop --at $M --detach > /dev/null || exit
        id -u
        grep -c eth0-TxRx $M/proc/interrupts
        echo 2 > $M/proc/irq/29/smp_affinity
        cat $M/proc/irq/29/smp_affinity
        echo 0 > $M/proc/irq/29/smp_affinity
        echo 1 > $M/proc/irq/34/smp_affinity
        cat $M/{DEBUG}/clock/mode
        {PSEUDOKERN} halt --at $M
        ls -A $M
        """
    )
    assert said.stdout == "65534\n4\n2\nwall\n"
    assert [line.split("echo: ")[1] for line in said.stderr.splitlines()] == [
        "write error: Invalid argument",
        "write error: Operation not permitted",
    ]


def test_ctrl_c_unmounts(as_user):
    said = as_user(
        f"""
        {PSEUDOKERN} boot laptop --at $M > $M.said &
        until [ -e $M/proc/stat ]; do sleep 0.02; done
        kill -INT $!; wait $!; echo status $?
        ls -A $M
        """
    )
    assert (said.stdout, said.stderr) == ("status 0\n", "")


def test_dead_mount_is_cleaned_by_the_next_boot_and_by_halt(as_user):
    said = as_user(
        f"""
        boot() {{ {PSEUDOKERN} boot laptop --at $M > /dev/null & }}
        wait_until_up() {{ until [ -e $M/proc/stat ]; do sleep 0.02; done; }}
        boot; wait_until_up; kill -KILL $!; wait $! 2> /dev/null
        boot; wait_until_up; grep -c eth0-TxRx $M/proc/interrupts
        kill -KILL $!; wait $! 2> /dev/null
        {PSEUDOKERN} halt --at $M; ls -A $M
        """
    )
    assert said.stdout.splitlines()[0] == "4"
    assert said.stdout.splitlines()[1].endswith("its machine was dead; unmounted")
    assert len(said.stdout.splitlines()) == 2


def test_stranger_reads_root_s_machine_but_does_not_write(public_place, as_nobody):
    with booted(public_place, "laptop"):
        script = f"""
            cd {public_place}
            grep -c eth0-TxRx proc/interrupts
            cat proc/irq/29/smp_affinity sys/kernel/irq/29/chip_name
            echo 1 > proc/irq/29/smp_affinity
            echo 1 > sys/devices/system/cpu/cpu1/online
            ls {DEBUG}
        """
        said = subprocess.run(
            [*as_nobody(), "bash", "-c", script],
            check=False,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
    assert said.stdout == "4\nf\nPCI-MSIX-0000:02:00.0\n"
    refused = [line.rpartition(": ")[2] for line in said.stderr.splitlines()]
    assert refused == ["Permission denied"] * 3


def test_descriptor_that_root_opened_writes_for_a_stranger(public_place, as_nobody):
    with booted(public_place, "laptop") as machine:
        path = machine / "proc/irq/29/smp_affinity"
        with open(path, "w") as file:
            subprocess.run(
                [*as_nobody(), "sh", "-c", "echo 4"], stdout=file, check=True, timeout=PATIENCE_S
            )
        assert path.read_text() == "4\n"
