"""The same seed and the same writes give the same files, byte for byte, in another process."""

import pytest

from tests.mount.booted import DEBUG, Booted, booted, snapshot, wait_until

pytestmark = pytest.mark.mount

BOOT_NS = 1_000_000_000
END_NS = BOOT_NS + 10_000_000_000
TEN_SECONDS = ("--clock", "free", "--for", "10s")


def files_at_the_end(machine: Booted) -> dict[str, bytes]:
    """Every file, once ten seconds are over."""
    wait_until(lambda: machine.now_ns() == END_NS, "ten simulated seconds")
    return snapshot(machine / "proc", machine / "sys")


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    return sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """What the laptop's files say after ten seconds."""
    with booted(tmp_path_factory.mktemp("first"), "laptop", *TEN_SECONDS) as machine:
        return files_at_the_end(machine)


def test_same_seed_gives_the_same_trees(first, boot):
    assert differing(first, files_at_the_end(boot("laptop", *TEN_SECONDS))) == []
    assert len(first) > 500


@pytest.mark.parametrize("seed", ["0", "4711"])
def test_hash_randomisation_changes_nothing(first, boot, seed):
    machine = boot("laptop", *TEN_SECONDS, PYTHONHASHSEED=seed)
    assert differing(first, files_at_the_end(machine)) == []


def test_readers_change_nothing(first, boot):
    machine = boot("laptop", *TEN_SECONDS)
    while machine.now_ns() < END_NS:
        snapshot(machine / "proc")
    assert differing(first, files_at_the_end(machine)) == []


def test_stepping_changes_nothing(first, boot):
    machine = boot("laptop", "--clock", "step", "--for", "10s")
    for duration in ("1ns", "3ms", "996999999ns", "7777777ns", "992222223ns", "8s"):
        machine.advance(duration)
    found = files_at_the_end(machine)
    assert differing(first, found) == [
        path for path in sorted(found) if path.startswith(f"{DEBUG}/clock/mode ")
    ]


def test_another_seed_gives_other_counts(first, boot):
    other = files_at_the_end(boot("laptop", *TEN_SECONDS, "--seed", "2"))
    changed = [path.split()[0] for path in differing(first, other)]
    assert "proc/interrupts" in changed
    assert "proc/softirqs" in changed
    assert "proc/irq/29/smp_affinity" not in changed


@pytest.mark.parametrize("clock", ["free", "wall"])
def test_replay_of_what_was_recorded_gives_the_same_trees(boot, tmp_path, clock):
    journal = tmp_path / "journal"
    recorded = boot("laptop", "--clock", clock, "--record", str(journal))
    said = recorded.shell(
        f"""
        cd $M/proc/irq
        irqctl=$M/{DEBUG}/irqctl
        for round in 1 2 3 4; do
          for cpu in 0 1 2 3; do
            for irq in 24 29 30 31 32; do echo $cpu > $irq/smp_affinity_list; done
          done
          online=$M/sys/devices/system/cpu/cpu$((round % 3 + 1))/online
          echo 0 > $online; echo 1 > $online
          echo 3 > default_smp_affinity; echo nonsense > default_smp_affinity
          echo "sim line$round card edge" > $irqctl
          echo "request line$round line$round none hard" > $irqctl
          echo "raise line$round 500" > $irqctl
        done
        echo step > $M/{DEBUG}/clock/mode
        """
    )
    assert said.stderr.count("write error: Invalid argument\n") == said.stderr.count("\n") == 4
    files = snapshot(recorded / "proc", recorded / "sys")
    now_ns = recorded.now_ns()
    recorded.halt()
    assert journal.read_text().count("\n") > 100

    replayed = boot("laptop", "--clock", "step", "--replay", str(journal), at="second")
    replayed.advance(f"{now_ns - BOOT_NS}ns")
    assert differing(files, snapshot(replayed / "proc", replayed / "sys")) == []


def test_replay_of_programs_that_come_change_and_go_gives_the_same_trees(boot, tmp_path):
    journal, board = tmp_path / "journal", tmp_path / "shop.toml"
    board.write_text(
        '[machine]\ncpus = 4\n[[device]]\nname = "eth0"\ndriver = "pseudokern.drivers.nic"\n'
        '[[device]]\nname = "nvme0"\ndriver = "pseudokern.drivers.nvme"\n'
        '[[load]]\ndevice = "eth0"\nrate = "20 kHz"\nflows = 8\n'
    )
    recorded = boot(str(board), "--clock", "wall", "--record", str(journal))
    said = recorded.shell(
        f"""
        cd $M/{DEBUG}
        echo 'name=web kind=server device=eth0 cpus=2' > applications/new
        echo 'name=db kind=io device=nvme0 depth=4' > applications/new
        echo 'cpus=1-3 share=20% burst=2ms' > steal; sleep 0.1
        echo 'threads=3 cpus=0-3 nice=5' > applications/web; sleep 0.1
        echo 'policy=rr priority=7' > applications/db; cat application_results/db > /dev/null
        sleep 0.1; echo remove > applications/db; echo off > applications/web
        echo on > applications/web; sleep 0.1; echo off > steal
        echo step > clock/mode
        """
    )
    assert said.stderr == ""
    files, until_ns = snapshot(recorded / "proc", recorded / "sys"), recorded.now_ns()
    recorded.halt()
    again = boot(str(board), "--clock", "step", "--replay", str(journal), at="second")
    again.advance(f"{until_ns - BOOT_NS}ns")
    assert differing(files, snapshot(again / "proc", again / "sys")) == []
