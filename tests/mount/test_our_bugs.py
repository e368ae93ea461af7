"""A bug of ours costs its caller an EIO and us a traceback; the machine goes on."""

import os
import sys
from pathlib import Path

import pytest

from pseudokern.kernel.ratelimit import BURST
from tests.mount import booted as programs
from tests.mount.booted import Booted

pytestmark = pytest.mark.mount

HERE = Path(__file__).parent


@pytest.fixture
def faulty(tmp_path, monkeypatch):
    """A machine with the files of faulty.py."""
    monkeypatch.setattr(programs, "PSEUDOKERN", (sys.executable, "-m", "tests.mount.faulty"))
    with programs.booted(tmp_path / "mountpoint", "laptop") as machine:
        yield machine


def assert_alive(machine: Booted) -> None:
    machine.advance("10ms")
    said = machine.shell("echo 3 > $M/proc/irq/29/smp_affinity && cat $M/proc/irq/29/smp_affinity")
    assert (said.stdout, said.stderr) == ("3\n", "")


@pytest.mark.parametrize(
    ("script", "in_log"),
    [
        ("cat $M/proc/faulty/show", "KeyError: 4711"),
        ("cat $M/proc/faulty/text", "Error: "),
        (
            "echo 1 > $M/proc/faulty/store",
            "ZeroDivisionError: a bug in proc/faulty, met by b'1\\n'",
        ),
        ("cat $M/proc/irq/29/faulty", "RuntimeError: a mode of interrupt 29"),
    ],
)
def test_bug_in_a_file_is_eio_and_a_traceback(faulty, script, in_log):
    said = faulty.shell(script)
    assert said.returncode != 0
    assert "Input/output error" in said.stderr
    assert "EIO, because of a bug in pseudokern" in faulty.log
    assert "Traceback (most recent call last)" in faulty.log
    assert in_log in faulty.log
    assert_alive(faulty)


def test_error_of_the_user_leaves_no_traceback(faulty):
    faulty.shell("echo x > $M/proc/irq/29/smp_affinity")
    assert "Traceback" not in faulty.log


def test_bug_met_a_thousand_times_stops_nothing(faulty):
    for _ in range(1000):
        with pytest.raises(OSError, match="Input/output error"):
            (faulty / "proc/faulty/show").read_bytes()
    assert faulty.log.count("KeyError: 4711") == 1000
    assert_alive(faulty)


@pytest.fixture
def boot_with_faulty_card(boot, tmp_path):
    """Boot a machine with a card that fails at this rate."""

    def boot_with(rate: str, *options: str) -> Booted:
        device = {"name": "card", "driver": "./faulty_card.py", "rate": rate}
        keys = "".join(f'{key} = "{value}"\n' for key, value in device.items())
        description = (HERE / "quiet.toml").read_text()
        (tmp_path / "faulty.toml").write_text(f"{description}\n[[device]]\n{keys}")
        (tmp_path / "faulty_card.py").write_text((HERE / "faulty_card.py").read_text())
        return boot(tmp_path / "faulty.toml", *options)

    return boot_with


def test_exception_in_an_event_is_logged_and_time_goes_on(boot_with_faulty_card):
    machine = boot_with_faulty_card("100 Hz", "--clock", "step")
    machine.advance("500ms")
    assert "an event failed; the machine goes on without it" in machine.log
    assert "ZeroDivisionError: a bug in the card" in machine.log
    before = machine.rows()
    machine.advance("1s")
    after = machine.rows()
    assert after.count("LOC", 0) > before.count("LOC", 0)
    assert machine.shell("echo 1 > $M/proc/irq/4/smp_affinity").returncode == 0


def test_device_whose_handler_failed_stays_in_the_files(boot_with_faulty_card):
    machine = boot_with_faulty_card("100 Hz", "--clock", "step")
    machine.advance("1s")
    assert "RuntimeError: a bug in the handler" in machine.log
    assert machine.rows().total(10) >= 3
    assert os.listdir(machine / "proc/irq/10")
    machine.advance("1s")


def test_event_that_fails_each_time_locks_out_nobody_and_floods_no_log(boot_with_faulty_card):
    machine = boot_with_faulty_card("20 kHz", "--clock", "step")
    machine.advance("100ms")
    assert (machine / "proc/interrupts").read_text()
    first = machine.log.count("ZeroDivisionError: a bug in the card")
    assert 1 <= first <= BURST
    machine.advance("6s")
    assert first < machine.log.count("ZeroDivisionError: a bug in the card") <= 2 * BURST
    klog = machine / "sys/kernel/debug/pseudokern/klog"
    assert "callbacks suppressed" in klog.read_text()
