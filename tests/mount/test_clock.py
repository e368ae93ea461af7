"""Simulated time goes as clock/mode says, and is waited for through clock/advance."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.mount.booted import DEBUG, PATIENCE_S, booted, wait_until

pytestmark = pytest.mark.mount

QUIET = Path(__file__).parent / "quiet.toml"
CLOCK = f"$M/{DEBUG}/clock"
BOOT_NS = 1_000_000_000


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with booted(tmp_path_factory.mktemp("still"), "laptop", "--clock", "step") as machine:
        yield machine


@pytest.fixture
def still(shared):
    """A machine whose time stands still."""
    yield shared
    (shared.clock / "mode").write_text("step")


def start_advance(machine, duration: str) -> subprocess.Popen[str]:
    """A writer to clock/advance that has begun to wait."""
    now_ns = machine.now_ns()
    writer = subprocess.Popen(
        ["bash", "-c", f"exec 2>&1; echo {duration} > {machine.clock}/advance"],
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: machine.now_ns() > now_ns, "time begins to pass")
    return writer


def test_step_stands_still_where_boot_ended(still):
    assert still.now_ns() == BOOT_NS
    first = (still / "proc/interrupts").read_text()
    assert (still / "proc/interrupts").read_text() == first
    assert still.now_ns() == BOOT_NS


def test_advance_returns_when_exactly_so_much_time_is_over(still):
    before_ns = still.now_ns()
    said = still.shell(f"echo 3s > {CLOCK}/advance; cat {CLOCK}/now_ns")
    assert (said.stdout, said.stderr) == (f"{before_ns + 3_000_000_000}\n", "")
    assert still.now_ns() == before_ns + 3_000_000_000


@pytest.mark.parametrize(
    ("duration", "ns"), [("0", 0), ("0s", 0), ("1ns", 1), ("2.5ms", 2_500_000), (" 7 us ", 7_000)]
)
def test_advance_takes_any_duration(still, duration, ns):
    before_ns = still.now_ns()
    still.advance(duration)
    assert still.now_ns() == before_ns + ns


@pytest.mark.parametrize(
    "text", ["", "3", "-1s", "1 parsec", "1s 2s", "0.5ns", "101 h h", "9" * 40]
)
def test_advance_refuses_what_is_no_duration(still, text):
    before_ns = still.now_ns()
    said = still.shell(f"echo '{text}' > {CLOCK}/advance")
    assert said.stderr == "bash: line 1: echo: write error: Invalid argument\n"
    assert still.now_ns() == before_ns


def test_two_writers_of_advance_wait_each_for_its_own_time(still):
    before_ns = still.now_ns()
    said = still.shell(f"echo 20ms > {CLOCK}/advance & echo 10ms > {CLOCK}/advance; wait")
    assert (said.stdout, said.stderr) == ("", "")
    assert 20_000_000 <= still.now_ns() - before_ns <= 30_000_000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_ends_a_long_advance_and_time_stands_still_again(still, number):
    writer = start_advance(still, "'87600 h'")
    writer.send_signal(number)
    writer.communicate(timeout=PATIENCE_S)
    assert writer.returncode == -number
    still.advance("1ms")  # served after what was under way
    now_ns = still.now_ns()
    assert (still / "proc/stat").read_text()
    assert still.now_ns() == now_ns


def test_files_are_read_and_written_while_somebody_advances(still):
    writer = start_advance(still, "'24 h'")
    said = still.shell("echo 2 > $M/proc/irq/29/smp_affinity && cat $M/proc/irq/29/smp_affinity")
    assert (said.stdout, said.stderr) == ("2\n", "")
    assert writer.poll() is None
    writer.terminate()
    writer.communicate(timeout=PATIENCE_S)


def test_advance_in_wall_mode_waits_for_the_clock(boot):
    machine = boot("laptop", "--speed", "10")
    before_ns = machine.now_ns()
    machine.advance("100ms")
    assert machine.now_ns() >= before_ns + 100_000_000


def test_advance_past_the_end_of_time_is_refused_and_up_to_it_is_not(boot):
    machine = boot("laptop", "--clock", "step", "--for", "1s")
    said = machine.shell(f"echo 1001ms > {CLOCK}/advance; echo 1s > {CLOCK}/advance")
    assert said.stderr == "bash: line 1: echo: write error: Invalid argument\n"
    assert machine.now_ns() == BOOT_NS + 1_000_000_000
    said = machine.shell(f"echo 0 > {CLOCK}/advance && echo 1ns > {CLOCK}/advance")
    assert said.stderr == "bash: line 1: echo: write error: Invalid argument\n"


def test_mode_and_speed_are_read_and_written(boot):
    machine = boot("laptop", "--clock", "wall", "--speed", "0.5")
    said = machine.shell(
        f"""
        cd {CLOCK}; cat mode speed
        echo step > mode; cat mode
        echo 2.25 > speed; cat speed
        """
    )
    assert (said.stdout, said.stderr) == ("wall\n0.5\nstep\n2.25\n", "")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("mode", "fast"),
        ("mode", ""),
        ("mode", "wall wall"),
        ("speed", "0"),
        ("speed", "-1"),
        ("speed", "nan"),
        ("speed", "inf"),
        ("speed", "1e10"),
        ("speed", "1e999"),
        ("speed", "quick"),
        ("speed", ""),
    ],
)
def test_mode_and_speed_refuse_the_rest(laptop, file, text):
    before = (laptop.clock / file).read_text()
    said = laptop.shell(f"echo '{text}' > {CLOCK}/{file}")
    assert said.stderr == "bash: line 1: echo: write error: Invalid argument\n"
    assert (laptop.clock / file).read_text() == before


def test_time_goes_on_after_every_change_of_mode(still):
    for mode in ("wall", "free", "wall", "free"):
        (still.clock / "mode").write_text(mode)
        now_ns = still.now_ns()
        # The lambda is called before now_ns is another.
        wait_until(lambda: still.now_ns() > now_ns, f"time passes in mode {mode}")  # noqa: B023
    (still.clock / "mode").write_text("step")
    now_ns = still.now_ns()
    still.advance("5ms")
    assert still.now_ns() == now_ns + 5_000_000


def test_free_goes_through_minutes_that_nobody_would_wait_for(boot):
    machine = boot(QUIET, "--clock", "free")
    wait_until(lambda: machine.now_ns() > 5 * PATIENCE_S * 10**9, "some minutes")


def test_fastest_speed_does_not_break_the_clock(still):
    (still.clock / "speed").write_text("1e9")
    (still.clock / "mode").write_text("wall")
    now_ns = still.now_ns()
    wait_until(lambda: still.now_ns() > now_ns + 10**9, "a second")
    (still.clock / "speed").write_text("1e-9")
    before_ns = still.now_ns()
    assert still.now_ns() - before_ns < 1000
