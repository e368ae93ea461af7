"""`scripts/pin-queues` sends queue k of a card to CPU k, or says what is in the way."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/pin-queues"

pytestmark = [pytest.mark.mount]


def pin(*arguments):
    return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, timeout=60)


def actions(root, irq):
    return [path.name for path in (root / "proc/irq" / irq).iterdir() if path.is_dir()]


def test_queue_k_goes_to_cpu_k_and_other_vectors_stay(laptop):
    root = laptop.directory
    irqs = {
        action: root / "proc/irq" / irq.name / "smp_affinity_list"
        for irq in (root / "sys/class/net/eth0/device/msi_irqs").iterdir()
        for action in actions(root, irq.name)
    }
    before = irqs["eth0"].read_text()
    done = pin("eth0", root)
    assert (done.returncode, done.stdout) == (0, "eth0: 4 queues, each on its CPU\n")
    queues = [irqs[f"eth0-TxRx-{number}"].read_text() for number in range(4)]
    assert queues == ["0\n", "1\n", "2\n", "3\n"]
    assert irqs["eth0"].read_text() == before


def test_an_interface_that_is_not_there_is_told_with_those_that_are(laptop):
    done = pin("eth7", laptop.directory)
    assert done.returncode == 1
    assert done.stderr == "pin-queues: there is no interface eth7; there are: eno1 eth0\n"


def test_a_root_without_a_machine_is_told(tmp_path):
    done = pin("eth0", tmp_path)
    assert done.returncode == 1
    assert "is a machine mounted on" in done.stderr


def test_without_an_interface_the_usage_is_shown():
    done = pin()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: scripts/pin-queues INTERFACE [ROOT]\n"
