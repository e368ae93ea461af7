"""Programs that no distribution packs, fetched and built by whoever runs the tests.

    LTP=~/ltp              git clone https://github.com/linux-test-project/ltp; make autotools;
                           ./configure; make -C lib; make -C testcases/kernel/irq
    ETHERNET_LINUX_ICE=... git clone https://github.com/intel/ethernet-linux-ice
    MLNX_TOOLS=...         git clone https://github.com/Mellanox/mlnx-tools

Each variable names the directory that was cloned.
"""

import os
import re
from pathlib import Path

import pytest

from tests.clients.sections import INTERRUPTS, MASKS, grown, irqs, masks, sections

pytestmark = [pytest.mark.mount, pytest.mark.root, pytest.mark.slow]

# Of node 0 and of node 1, in the order in which scripts hand them out.
NODE_0 = [*range(8), *range(16, 24)]
NODE_1 = [*range(8, 16), *range(24, 32)]


def fetched(variable: str, program: str) -> Path:
    """Where a program of a repository is; skips the test if nobody says so."""
    directory = os.environ.get(variable)
    if directory is None:
        pytest.skip(f"CLIENT TESTS DO NOT RUN: {variable} does not say where {program} is")
    path = Path(directory).absolute() / program
    assert path.is_file(), f"{variable}: there is no {path}"
    return path


def queues(shown: dict[str, str], name: str) -> list[int]:
    """The CPUs of the card's queues; each has one."""
    found = masks(shown[f"{name} masks"])
    card = [found[irq] for irq in irqs(shown[f"{name} rows"], r"ice-eth0-TxRx-\d+")]
    assert len(card) == 16
    assert all(mask.bit_count() == 1 for mask in card)
    return [mask.bit_length() - 1 for mask in card]


def state(name: str) -> str:
    return MASKS.format(f"{name} masks") + INTERRUPTS.format(f"{name} rows")


@pytest.mark.clients(irqbalance="irqbalance")
def test_irqbalance01_of_ltp_fails_before_irqbalance_has_run_and_passes_after(inside):
    program = fetched("LTP", "testcases/kernel/irq/irqbalance01")
    said = inside(
        f"""
        cd $HOME; export TMPDIR=$HOME
        for mask in /proc/irq/*/smp_affinity; do echo ffffffff > $mask; done 2> /dev/null
        {program} > before 2>&1; echo $?; grep -o TFAIL.* before
        irqbalance --oneshot -t 1 > /dev/null 2>&1
        sleep 2
        {program} > after 2>&1; echo $?; grep -o TPASS.* after
        """
    )
    before, failed, after, passed = said.stdout.splitlines()
    assert (before, after) == ("1", "0")
    assert "IRQ balancing has not been detected" in failed
    (changed,) = re.findall(r"IRQs assignments have changed (\d+) times", passed)
    assert int(changed) >= 10


def test_set_irq_affinity_of_intel_puts_each_queue_on_a_cpu_of_the_node(inside):
    program = fetched("ETHERNET_LINUX_ICE", "scripts/set_irq_affinity")
    said = inside(
        f"bash {program} local eth0 > /dev/null; echo == status; echo $?\n"
        + state("local")
        + f"bash {program} remote eth0 > /dev/null; sleep 0.5\n"
        + state("remote")
        + "sleep 2\n"
        + INTERRUPTS.format("later")
    )
    shown = sections(said.stdout)
    assert shown["status"] == "0\n"
    assert sorted(queues(shown, "local")) == NODE_0
    assert sorted(queues(shown, "remote")) == NODE_1
    # It reads back what it wrote, and says so if that is something else.
    assert "WARNING" not in said.stdout + said.stderr
    card = irqs(shown["later"], r"ice-eth0-TxRx-\d+")
    frames = grown(shown["remote rows"], shown["later"], card)
    assert {cpu for cpu, count in frames.items() if count} == set(NODE_1)


def test_scripts_of_mellanox_place_the_queues_and_show_where(inside):
    program = fetched("MLNX_TOOLS", "sbin/set_irq_affinity_bynode.sh")
    said = inside(
        f"cd {program.parent}; PATH=$PATH:{program.parent}\n"
        + "bash set_irq_affinity_bynode.sh 1 eth0 > /dev/null; echo == status; echo $?\n"
        + state("node")
        + "echo == shown; bash show_irq_affinity.sh eth0\n"
        + "bash set_irq_affinity_cpulist.sh 20-23 eth0 > /dev/null\n"
        + state("list")
    )
    shown = sections(said.stdout)
    assert shown["status"] == "0\n"
    assert sorted(queues(shown, "node")) == NODE_1
    assert sorted(queues(shown, "list")) == sorted([20, 21, 22, 23] * 4)
    lines = re.findall(r"^(\d+): ([0-9a-f,]+)$", shown["shown"], re.MULTILINE)
    told = {int(irq): int(mask.replace(",", ""), 16) for irq, mask in lines}
    found = masks(shown["node masks"])
    assert len(told) >= 16
    assert told == {irq: found[irq] for irq in told}
