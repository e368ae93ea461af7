"""The watchdog finds a queue that hangs; each driver has its own cure."""

import pytest

from pseudokern.drivers.nic import Nic
from pseudokern.kernel.cost import CostModel
from pseudokern.kernel.qdisc import Packet
from pseudokern.x86.msi_chip import message_of
from tests import machine_parts
from tests.drivers.plugging import plugged
from tests.machine_parts import new_pc, run_for

S = 1_000_000_000


def log_of(pc):
    """What was logged after the boot, but for what drivers say whenever a link is up."""
    usual = ("NR_IRQS", "Link is", "Link up", "Link Up", "FEC autoneg", "vectors allocated")
    return [text for text in machine_parts.log_of(pc) if not any(word in text for word in usual)]


def card(pc, style):
    return plugged(pc, Nic, "eth0", style=style)


def send(nic, frames=1):
    kernel = nic.kernel
    for _ in range(frames):
        nic.tx.send(nic.tx.queue(0), Packet(64, 0), kernel.timeline.now_ns)
    if kernel.this.softirq_pending:
        kernel.softirqs.raise_from_process(kernel.this, 0)


def hang(nic):
    """A ring that hangs, and has enough in it that the queue stops."""
    send(nic)
    run_for(nic.pc, S)
    nic.tx.ring(0).hang(nic.kernel.timeline.now_ns)
    send(nic, 2000)
    assert nic.tx.queue(0).is_stopped


NAME = {
    "igb": "igb 0000:00:02.0 eth0",
    "e1000e": "e1000e 0000:00:02.0 eth0",
    "ice": "ice 0000:00:02.0 eth0",
    "mlx5": "mlx5_core 0000:00:02.0 eth0",
    "vmxnet3": "vmxnet3 0000:00:02.0 eth0",
    "bnxt": "bnxt_en 0000:00:02.0 eth0",
    "virtio-net": "virtio_net eth0 eth0",
}
CURES = {
    "igb": ["Reset adapter"],
    "e1000e": ["Reset adapter unexpectedly"],
    "ice": ["tx_timeout: VSI_num: 6, Q 0, NTC", "tx_timeout recovery level 1, txqueue 0"],
    "mlx5": ["TX timeout detected", "TX timeout on queue: 0, SQ Cons: 0x1 SQ Prod"],
    "vmxnet3": ["tx hang", "resetting"],
    "bnxt": ["TX timeout detected, starting reset task!"],
}


@pytest.mark.parametrize("style", CURES)
def test_a_queue_that_hangs_is_told_of_and_the_card_is_reset(style):
    pc = new_pc(1, cost=CostModel())
    nic = card(pc, style)
    hang(nic)
    run_for(pc, 20 * S)
    first, *cure = log_of(pc)
    assert first.startswith(f"{NAME[style]}: NETDEV WATCHDOG: CPU: 0: transmit queue 0 timed out")
    for text, expected in zip(cure, CURES[style], strict=True):
        assert text.startswith(f"{NAME[style]}: {expected}")
    assert nic.tx.queue(0).timeouts == 1
    cleaned = nic.tx.ring(0).cleaned
    send(nic)
    run_for(pc, S)
    assert nic.tx.ring(0).cleaned == cleaned + 1
    assert nic.tx.ring(0).purged + nic.tx.queue(0).qdisc.purged > 1000


def test_mlx4_warns_by_its_own_name_and_restarts_the_port():
    pc = new_pc(1, cost=CostModel())
    nic = card(pc, "mlx4")
    hang(nic)
    run_for(pc, 40 * S)
    cure = log_of(pc)[1]
    assert cure.startswith("mlx4_en: eth0: TX timeout on queue: 0, Cons: 0x1, Prod: 0x")
    assert nic.tx.ring(0).in_flight == 0


def test_virtio_net_says_so_every_five_seconds_and_does_nothing():
    pc = new_pc(1, cost=CostModel())
    nic = card(pc, "virtio-net")
    hang(nic)
    run_for(pc, 30 * S)
    told = [text for text in log_of(pc) if "TX timeout on queue: 0, sq: output.0, vq: 0x1" in text]
    assert len(told) == nic.tx.queue(0).timeouts
    assert 4 <= len(told) <= 6
    nic.tx.go_on(0)
    run_for(pc, S)
    assert nic.tx.in_flight() == 0


def test_a_queue_that_was_stopped_for_five_seconds_and_went_on_is_none_that_hangs():
    pc = new_pc(1, cost=CostModel())
    nic = card(pc, "igb")
    hang(nic)
    run_for(pc, 4 * S)
    nic.tx.go_on(0)
    run_for(pc, 20 * S)
    assert log_of(pc) == []
    assert nic.tx.in_flight() == 0


def test_mlx5_gets_over_a_lost_interrupt_without_losing_a_frame():
    pc = new_pc(1, cost=CostModel())
    nic = card(pc, "mlx5")
    send(nic)
    run_for(pc, S)
    message_of(nic.tx.desc_of(0)).lose_next(1)
    send(nic, 900)
    run_for(pc, 40 * S)
    assert "Recovered 1 eqes" in "".join(log_of(pc))
    assert (nic.tx.ring(0).cleaned, nic.tx.ring(0).purged) == (901, 0)


def test_linux_6_1_warns_once_with_a_trace():
    pc = new_pc(1, cost=CostModel(), kernel="6.1")
    nic = card(pc, "virtio-net")
    hang(nic)
    run_for(pc, 30 * S)
    told = [text for text in log_of(pc) if "NETDEV WATCHDOG" in text]
    assert told == ["NETDEV WATCHDOG: eth0 (virtio_net): transmit queue 0 timed out"]
    assert "at net/sched/sch_generic.c:525 dev_watchdog" in "\n".join(log_of(pc))
    assert nic.tx.queue(0).timeouts > 1


def test_an_interface_that_goes_down_is_not_watched():
    pc = new_pc(1, cost=CostModel())
    nic = card(pc, "igb")
    hang(nic)
    nic.close()
    run_for(pc, 20 * S)
    assert log_of(pc) == []


@pytest.mark.parametrize("style", ["igb", "e1000e", "vmxnet3"])
def test_the_link_is_back_after_a_reset(style):
    pc = new_pc(1, cost=CostModel())
    nic = card(pc, style)
    hang(nic)
    run_for(pc, 20 * S)
    ups = [text for text in machine_parts.log_of(pc) if "NIC Link is Up" in text]
    assert len(ups) == 2
