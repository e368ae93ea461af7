"""irqbalance reads the machine, places its interrupts, and the load goes where it says."""

import re

import pytest

from tests.clients.sections import INTERRUPTS, MASKS, grown, irqs, masks, sections

pytestmark = [
    pytest.mark.clients(irqbalance="irqbalance"),
    *(pytest.mark.mount, pytest.mark.root, pytest.mark.slow),
]

NODE_0 = 0x00FF00FF
NODE_1 = 0xFF00FF00


def test_vectors_of_the_card_go_to_its_node_and_the_frames_after_them(inside):
    said = inside(
        # Somebody has moved all queues to the wrong node.
        'for irq in $(sed -n "s/^ *\\([0-9]*\\):.*TxRx.*/\\1/p" /proc/interrupts); do'
        "    echo 8-15 > /proc/irq/$irq/smp_affinity_list; done\n"
        + MASKS.format("masks before")
        + 'echo "== irqbalance"; irqbalance --oneshot --debug -t 1; echo status $?\n'
        + MASKS.format("masks after")
        + "sleep 0.5\n"
        + INTERRUPTS.format("before")
        + "sleep 2\n"
        + INTERRUPTS.format("after")
    )
    shown = sections(said.stdout)
    assert shown["irqbalance"].endswith("status 0\n")
    assert "Package 0:  numa_node 0 cpu mask is 00ff00ff" in shown["irqbalance"]
    before, after = masks(shown["masks before"]), masks(shown["masks after"])
    queues = irqs(shown["after"], r"ice-eth0-TxRx-\d+")
    managed = irqs(shown["after"], r"nvme0q[1-9]\d*")

    assert (len(queues), len(managed)) == (16, 32)
    assert all(before[irq] & NODE_0 == 0 for irq in queues)
    assert all(after[irq] & ~NODE_0 == 0 for irq in queues)
    assert len({after[irq] for irq in queues}) > 8  # and not all on the same CPU
    assert [before[irq] for irq in managed] == [after[irq] for irq in managed]

    frames = grown(shown["before"], shown["after"], queues)
    assert all(count == 0 for cpu, count in frames.items() if NODE_1 >> cpu & 1)
    assert sum(frames.values()) == pytest.approx(16 * 200 * 2, rel=0.2)


def test_daemon_serves_through_hotplug_and_ends_when_it_is_told_to(inside):
    """One that scans for ever does not hear SIGTERM, and has to be killed: status 137."""
    said = inside(
        """
        timeout -k 5 6 irqbalance --foreground --debug -t 1 > $HOME/irqbalance.log 2>&1 &
        for i in 1 2 3 4; do
            echo 0 > /sys/devices/system/cpu/cpu3/online; sleep 0.6
            echo 1 > /sys/devices/system/cpu/cpu3/online; sleep 0.6
        done
        wait $!; echo "status $?"
        echo "scans $(grep -c 'Package 0' $HOME/irqbalance.log)"
        """
    )
    status, scans = re.findall(r"\d+", said.stdout)
    assert said.stderr == ""
    assert int(status) in (0, 124)
    assert 2 <= int(scans) < 40
