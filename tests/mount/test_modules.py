"""insmod, lsmod and rmmod on a real mount, by the user who mounted and by others."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.mount.booted import DEBUG, PATIENCE_S, pseudokern, wait_until

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
LOAD = f"{DEBUG}/modules/load"


@pytest.fixture
def at(laptop):
    """Run a command of ours on the laptop."""
    return lambda *arguments: pseudokern(*arguments, "--at", laptop.directory)


def test_module_is_loaded_listed_and_unloaded(laptop, at):
    empty = "Module                  Size  Used by\n"
    assert at("lsmod").stdout == empty
    assert at("insmod", EXAMPLES / "heartbeat.py", "seconds=1").returncode == 0
    assert at("lsmod").stdout == f"{empty}heartbeat              16384  0\n"
    beats = laptop / "proc/heartbeat"
    wait_until(lambda: int(beats.read_text()) > 1, "a second beat")
    assert "heartbeat: beat 2" in at("dmesg").stdout
    assert at("rmmod", "heartbeat").returncode == 0
    assert at("lsmod").stdout == empty
    assert not beats.exists()


def test_refusals_are_those_of_insmod_and_rmmod(laptop, at, tmp_path):
    heartbeat = EXAMPLES / "heartbeat.py"
    broken = tmp_path / "broken.py"
    broken.write_text("def (")
    at("insmod", heartbeat)
    told = f"see: pseudokern dmesg --at {laptop.directory}"
    insert = "insmod: ERROR: could not insert module"
    refused = {
        ("insmod", heartbeat): f"{insert} {heartbeat}: File exists",
        ("insmod", broken): f"{insert} {broken}: Invalid module format; {told}",
        ("insmod", EXAMPLES / "listener.py", "irq=x"): (
            f"{insert} {EXAMPLES}/listener.py: Invalid parameters; {told}"
        ),
        ("insmod", "nothing.py"): (
            "insmod: ERROR: could not load module nothing.py: No such file or directory"
        ),
        ("rmmod", "nothing"): "rmmod: ERROR: Module nothing is not currently loaded",
    }
    for arguments, said in refused.items():
        done = at(*arguments)
        assert (done.returncode, done.stderr) == (1, f"{said}\n")
    at("rmmod", "heartbeat.py")


def test_init_that_raises_is_called_once(at, tmp_path):
    angry = tmp_path / "angry.py"
    angry.write_text(
        "from pseudokern.module import Module\n"
        "class Angry(Module):\n"
        "    def init(self): raise RuntimeError('no')\n"
    )
    assert at("insmod", angry).returncode == 1
    assert at("dmesg").stdout.count("angry: init() failed with error -14") == 1


def test_path_with_blanks_and_a_value_with_blanks_arrive_whole(laptop, at, tmp_path):
    file = tmp_path / "with blanks" / "speaker.py"
    file.parent.mkdir()
    file.write_text(
        "from pseudokern.module import Module\n"
        "class Speaker(Module):\n"
        "    text: str = ''\n"
        "    def init(self): self.pr_info(self.text)\n"
        "    def exit(self): pass\n"
    )
    assert at("insmod", file, 'text=it\'s "two words"').returncode == 0
    assert at("dmesg").stdout.endswith('speaker: it\'s "two words"\n')
    at("rmmod", "speaker")


def test_other_users_cannot_load_whatever_they_are_let_see(laptop, as_nobody):
    for name, mode in (("sys/kernel/debug", 0o755), (DEBUG, 0o755), (LOAD, 0o666)):
        (laptop / name).chmod(mode)
    write = f"open('{laptop / LOAD}', 'w')"
    done = subprocess.run(
        [*as_nobody(), sys.executable, "-c", write],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert "Operation not permitted" in done.stderr
    (laptop / "sys/kernel/debug").chmod(0o700)


def test_module_that_is_replayed_does_the_same_again(boot, tmp_path):
    journal, ended = tmp_path / "journal", "2000000000"
    first = boot("laptop", "--for", "1s", "--record", str(journal), "--clock", "step", "--detach")
    (first.clock / "advance").write_text("100ms")
    pseudokern("insmod", EXAMPLES / "thermometer.py", "rate=100 Hz", "--at", first.directory)
    (first.clock / "advance").write_text("900ms")
    assert (first.clock / "now_ns").read_text().strip() == ended
    shown = [(first / name).read_text() for name in ("proc/interrupts", f"{DEBUG}/klog")]
    assert "thermometer: " in shown[1]
    pseudokern("halt", "--at", first.directory)

    again = boot("laptop", "--clock", "step", "--replay", str(journal), "--detach", at="again")
    (again.clock / "advance").write_text("1s")
    assert [(again / name).read_text() for name in ("proc/interrupts", f"{DEBUG}/klog")] == shown


def test_rmmod_waits_while_exit_sleeps_and_the_machine_goes_on(laptop, at, tmp_path):
    file = tmp_path / "slow.py"
    file.write_text(
        "from pseudokern.module import Module\n"
        "class Slow(Module):\n"
        "    def init(self): pass\n"
        "    async def exit(self): await self.msleep(300)\n"
    )
    at("insmod", file)
    began_ns = laptop.now_ns()
    started_s = time.monotonic()
    assert at("rmmod", "slow").returncode == 0
    assert laptop.now_ns() - began_ns >= 300_000_000
    assert time.monotonic() - started_s < PATIENCE_S


@pytest.mark.parametrize("where", ["init", "timer"])
def test_oops_in_a_module_is_a_panic_where_the_machine_was_told_so(boot, tmp_path, where):
    machine = boot("laptop", "--cmdline", "oops=panic", "--detach")
    file = tmp_path / "fatal.py"
    start = {"init": "self.die()", "timer": "self.mod_timer(self.timer, self.jiffies + 1)"}[where]
    file.write_text(
        "from pseudokern.module import Module\n"
        "class Fatal(Module):\n"
        "    def init(self):\n"
        "        self.timer = self.timer_setup(self.die)\n"
        f"        {start}\n"
        "    def exit(self): pass\n"
        "    def die(self): return 1 // 0\n"
    )
    pseudokern("insmod", file, "--at", machine.directory)
    wait_until(
        lambda: (
            "Kernel panic - not syncing: Fatal exception" in (machine / f"{DEBUG}/klog").read_text()
        ),
        "a panic",
    )
