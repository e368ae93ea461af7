"""A network card interrupts for each queue, unless the queue is being polled already."""

import pytest

from pseudokern.drivers.nic import Nic
from pseudokern.drivers.rtl8139 import Rtl8139
from pseudokern.irq.manage import irq_affinity_shown
from pseudokern.kernel.cpumask import cpulist_format
from pseudokern.kernel.softirq import Softirq
from tests.machine_parts import run_for

SECOND_NS = 1_000_000_000


def rows(pc):
    """The name and the line of every handler of an MSI-X."""
    return {action.name: desc for desc in pc.irqs if desc.irq >= 24 for action in desc.actions}


def softirqs(pc, number):
    return sum(this.softirq_counts[number] for this in pc.kernel.cpus)


def test_every_queue_has_a_vector_on_a_cpu_of_its_own(pc, plug):
    plug(Nic, "eth0", style="igb", queues=3)
    lines = rows(pc)
    assert list(lines) == ["eth0", "eth0-TxRx-0", "eth0-TxRx-1", "eth0-TxRx-2"]
    assert len({desc.effective_affinity for desc in lines.values()}) == 4


def test_each_queue_interrupts_at_its_rate(pc, plug):
    plug(Nic, "eth0", style="igb", queues=2, rate=["1 kHz", "4 kHz"])
    run_for(pc, SECOND_NS)
    lines = rows(pc)
    assert lines["eth0-TxRx-0"].total == pytest.approx(1_000, rel=0.1)
    assert lines["eth0-TxRx-1"].total == pytest.approx(4_000, rel=0.1)
    assert lines["eth0"].total == 0


def test_every_frame_is_polled_in_net_rx_and_none_is_lost(pc, plug):
    card = plug(Nic, "eth0", style="igb", queues=2, rate="50 kHz")
    run_for(pc, SECOND_NS // 10)
    pc.fold_counts()
    frames = sum(queue.frames + queue.waiting for queue in card.queues)
    assert frames == pytest.approx(10_000, rel=0.05)
    assert sum(queue.waiting for queue in card.queues) < 10
    assert 0 < softirqs(pc, Softirq.NET_RX) <= sum(desc.total for desc in rows(pc).values())


def test_a_queue_that_is_polled_does_not_interrupt(pc, plug):
    card = plug(Nic, "eth0", style="igb", queues=1)
    [queue] = card.queues
    queue.scheduled = True
    queue.receive(pc.kernel.timeline.now_ns)
    assert queue.waiting == 1
    assert rows(pc)["eth0-TxRx-0"].total == 0


def test_a_flood_is_polled_rather_than_interrupting_for_every_frame(pc, plug):
    plug(Nic, "eth0", style="igb", queues=1, rate="2 MHz")
    run_for(pc, SECOND_NS // 100)
    assert rows(pc)["eth0-TxRx-0"].total < 20_000 / 2


def test_the_machine_file_says_where_the_queues_go(pc, plug):
    plug(Nic, "eth0", style="igb", queues=2, affinity=["3", "1-2"])
    lines = rows(pc)
    shown = [cpulist_format(irq_affinity_shown(desc)) for desc in lines.values()]
    assert shown == ["0-3", "3", "1-2"]
    assert lines["eth0-TxRx-0"].affinity_hint == 0b1000


def test_virtio_asks_for_queue_n_on_cpu_n(pc, plug):
    plug(Nic, "virtio0", style="virtio-net", queues=4)
    lines = rows(pc)
    assert [lines[f"virtio0-input.{n}"].affinity_hint for n in range(4)] == [1, 2, 4, 8]
    assert lines["virtio0-config"].affinity_hint == 0


@pytest.mark.parametrize(
    ("cpus", "masks"),
    [
        (1, [0b1, 0, 0, 0]),
        (3, [0b1, 0b10, 0b100, 0]),
        (6, [0b11, 0b1100, 0b1_0000, 0b10_0000]),
        (12, [0b111, 0b11_1000, 0b1_1100_0000, 0b1110_0000_0000]),
    ],
)
def test_virtio_spreads_its_queues_over_all_cpus_and_uses_no_more_queues(pc, plug, cpus, masks):
    plug(Nic, "virtio0", style="virtio-net", queues=4)
    lines = rows(pc)
    assert [lines[f"virtio0-output.{n}"].affinity_hint for n in range(4)] == masks


def test_virtio_spreads_its_queues_again_when_a_cpu_goes_or_comes(pc, plug):
    plug(Nic, "virtio0", style="virtio-net", queues=4)

    def shown():
        lines = rows(pc)
        return [irq_affinity_shown(lines[f"virtio0-input.{n}"]) for n in range(4)]

    pc.hotplug.down(2)  # as q4-sparse was recorded
    assert shown() == [0b1, 0b10, 0b1000, 0b1]
    pc.hotplug.up(2)
    assert shown() == [0b1, 0b10, 0b100, 0b1000]


def test_an_old_card_shares_its_level_line(pc, plug):
    one = plug(Rtl8139, "eth1", bdf="00:03.0", gsi=16, rate="1 kHz")
    two = plug(Rtl8139, "eth2", bdf="00:04.0", gsi=16, rate="1 kHz")
    run_for(pc, SECOND_NS)
    desc = pc.irqs[16]
    assert [action.name for action in desc.actions] == ["eth1", "eth2"]
    assert desc.total == pytest.approx(2_000, rel=0.1)
    assert desc.irqs_unhandled == 0
    assert one.ring.waiting + two.ring.waiting < 10
    assert softirqs(pc, Softirq.NET_RX) > 1_500
