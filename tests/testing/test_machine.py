"""A machine in a test is the same before and after it is mounted."""

import errno
import subprocess
from pathlib import Path

import pytest

from pseudokern.testing.machine import MachineError, SimulatedMachine


@pytest.fixture
def boot(tmp_path):
    """Machines of the test's own, halted when it ends."""
    booted = []

    def boot(machine, **options):
        directory = tmp_path / str(len(booted))
        directory.mkdir()
        booted.append(SimulatedMachine(machine, directory, **options).__enter__())
        return booted[-1]

    yield boot
    for machine in booted:
        machine.__exit__(None, None, None)


def test_time_passes_in_advance_only(boot):
    machine = boot("laptop")
    before = machine.read("proc/uptime")
    assert machine.read("proc/uptime") == before

    machine.advance("1s")

    assert float(machine.read("proc/uptime").split()[0]) - float(before.split()[0]) == 1


def test_write_moves_an_interrupt(boot):
    machine = boot("laptop")
    irq = machine.irq("eth0-TxRx-0")

    machine.write(f"proc/irq/{irq}/smp_affinity_list", "1")
    machine.advance("1s")
    old = machine.interrupts()
    machine.advance("1s")
    new = machine.interrupts()

    assert new.count(irq, 1) > old.count(irq, 1) + 100
    assert new.rows[irq].total - new.count(irq, 1) == old.rows[irq].total - old.count(irq, 1)


def test_refused_write_has_the_errno_of_linux(boot):
    machine = boot("laptop")
    with pytest.raises(OSError) as refused:  # noqa: PT011 - the errno is looked at below
        machine.write(f"proc/irq/{machine.irq('nvme0q1')}/smp_affinity", "1")
    assert refused.value.errno == errno.EPERM


def test_name_that_no_handler_has_is_answered_with_those_that_there_are(boot):
    with pytest.raises(LookupError, match=r'no handler is called "eth7".*eth0-TxRx-0'):
        boot("laptop").irq("eth7")


def test_clock_that_does_not_exist_is_refused():
    with pytest.raises(MachineError, match='clock is "slow"'):
        SimulatedMachine("laptop", Path("/nowhere"), clock="slow")


def test_nothing_is_mounted_until_somebody_asks(boot, tmp_path):
    boot("laptop").advance("1s")
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.mount
def test_mounted_machine_goes_on_where_the_unmounted_one_was(boot):
    machine = boot("laptop", cmdline="threadirqs", seed=5)
    irq = machine.irq("eth0-TxRx-1")
    machine.advance("700 ms")
    machine.write(f"proc/irq/{irq}/smp_affinity_list", "3")
    machine.write("sys/devices/system/cpu/cpu2/online", "0")
    machine.advance("300 ms")
    paths = ["proc/interrupts", "proc/stat", "proc/softirqs", f"proc/irq/{irq}/smp_affinity"]
    before = [machine.read(path) for path in paths]

    mount = machine.mount

    assert [(mount / path).read_text() for path in paths] == before
    assert [machine.read(path) for path in paths] == before


@pytest.mark.mount
def test_program_sees_the_machine_and_can_change_it(boot):
    machine = boot("server-64", cpus=12)
    irq = machine.irq("ice-eth0-TxRx-3")

    done = machine.run(["bash", "-c", f"nproc; echo 7 > $PROC/irq/{irq}/smp_affinity_list"])

    assert done.stdout == "12\n"
    assert machine.read(f"proc/irq/{irq}/smp_affinity_list") == "7\n"


@pytest.mark.mount
def test_program_outside_is_told_where_the_machine_is(boot):
    machine = boot("laptop")

    done = machine.run(["bash", "-c", 'echo "$PROC"; head -1 "$PROC/interrupts"'], inside=False)

    assert done.stdout.splitlines()[0] == str(machine.mount / "proc")
    assert done.stdout.split()[-1] == "CPU3"


@pytest.mark.mount
def test_program_that_fails_fails_the_test_unless_it_may(boot):
    machine = boot("laptop")

    with pytest.raises(subprocess.CalledProcessError):
        machine.run(["bash", "-c", "exit 3"])
    assert machine.run(["bash", "-c", "exit 3"], check=False).returncode == 3


@pytest.mark.mount
def test_free_clock_runs_by_itself(boot):
    machine = boot("laptop", clock="free")
    irq = machine.irq("eth0-TxRx-0")
    before = machine.interrupts().rows[irq].total

    machine.advance("10s")

    assert machine.interrupts().rows[irq].total > before + 1000


@pytest.mark.mount
def test_nothing_is_left_mounted(tmp_path):
    with SimulatedMachine("laptop", tmp_path) as machine:
        mount = machine.mount
        assert str(mount) in Path("/proc/self/mountinfo").read_text()

    assert str(mount) not in Path("/proc/self/mountinfo").read_text()
