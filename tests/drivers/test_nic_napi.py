"""NAPI as it is tuned: interrupts that stay off, and polls in threads."""

import pytest

from pseudokern.drivers.nic import Nic
from pseudokern.kernel.softirq import Softirq
from tests.drivers.plugging import at_once
from tests.machine_parts import MS, run_for

US = 1_000


def interrupts(pc):
    pc.fold_counts()
    return sum(d.total for d in pc.irqs for a in d.actions if a.name == "eth0-TxRx-0")


def net_rx(pc):
    return sum(this.softirq_counts[Softirq.NET_RX] for this in pc.kernel.cpus)


def tuned(plug, timeout_ns, polls, **written):
    card = at_once(plug(Nic, "eth0", style="igb", **written))
    card.napi.gro_flush_timeout_ns, card.napi.defer_hard_irqs = timeout_ns, polls
    card.napi.apply()
    return card


def frame(pc, card):
    card.queues[0].receive(pc.kernel.timeline.now_ns)


def test_frame_that_comes_before_the_timer_is_polled_by_it_without_an_interrupt(pc, plug):
    card = tuned(plug, 20 * US, 2)
    frame(pc, card)
    run_for(pc, 10 * US)
    assert (interrupts(pc), card.queues[0].packets) == (1, 1)
    frame(pc, card)
    run_for(pc, 9 * US)
    assert card.queues[0].packets == 1
    run_for(pc, 10 * US)
    assert (interrupts(pc), card.queues[0].packets) == (1, 2)


def test_interrupt_is_on_again_after_2_polls_that_found_nothing(pc, plug):
    card = tuned(plug, 20 * US, 2)
    frame(pc, card)
    run_for(pc, 30 * US)
    assert card.queues[0].scheduled
    run_for(pc, 30 * US)
    assert not card.queues[0].scheduled
    assert net_rx(pc) == 3
    frame(pc, card)
    assert interrupts(pc) == 2


def test_interrupts_are_as_before_when_it_is_tuned_no_more(pc, plug):
    card = tuned(plug, 20 * US, 2)
    card.napi.gro_flush_timeout_ns = card.napi.defer_hard_irqs = 0
    card.napi.apply()
    for _ in range(3):
        frame(pc, card)
        run_for(pc, 10 * US)
    assert interrupts(pc) == 3


@pytest.mark.parametrize(("timeout_ns", "polls"), [(0, 2), (20_000, 0)])
def test_one_of_the_two_alone_changes_nothing(pc, plug, timeout_ns, polls):
    card = tuned(plug, timeout_ns, polls)
    frame(pc, card)
    run_for(pc, 10 * US)
    assert not card.queues[0].scheduled
    assert net_rx(pc) == 1


def test_busy_queue_has_hardly_any_interrupt_while_its_timer_polls(pc, plug):
    card = tuned(plug, 50 * US, 2, rate="200 kHz")
    run_for(pc, 100 * MS)
    assert interrupts(pc) < 20
    assert card.received().packets == pytest.approx(20_000, rel=0.05)
    assert sum(this.counts.apic_timer for this in pc.kernel.cpus) > 1_500


def test_threads_poll_instead_of_net_rx(pc, plug):
    card = plug(Nic, "eth0", style="igb", queues=2, rate="100 kHz")
    card.napi.threaded = True
    card.napi.apply()
    comms = [thread.comm for thread in pc.irqs.kthreads.by_pid.values()]
    assert comms[-2:] == ["napi/eth0-8193", "napi/eth0-8194"]
    before = net_rx(pc)
    run_for(pc, 50 * MS)
    pc.fold_counts()
    assert net_rx(pc) == before
    assert card.received().packets == pytest.approx(10_000, rel=0.05)
    assert sum(this.rx_packets for this in pc.kernel.cpus) == card.received().packets

    card.napi.threaded = False
    card.napi.apply()
    run_for(pc, 50 * MS)
    pc.fold_counts()
    assert net_rx(pc) > before
    assert card.received().packets == pytest.approx(20_000, rel=0.05)


def test_threads_stay_when_the_interface_goes_down_and_up(pc, plug):
    card = plug(Nic, "eth0", style="igb", rate="100 kHz")
    card.napi.threaded = True
    card.napi.apply()
    card.close()
    card.open()
    before = net_rx(pc)
    run_for(pc, 50 * MS)
    assert net_rx(pc) == before
    assert card.received().packets > 4_000
    names = [t.comm for t in pc.irqs.kthreads.by_pid.values() if t.comm.startswith("napi/")]
    assert names == ["napi/eth0-8193"]


def test_flood_in_a_thread_is_no_lockup_and_drops_what_does_not_fit(pc, plug):
    card = plug(Nic, "eth0", style="igb", rate="8 MHz")
    card.napi.threaded = True
    card.napi.apply()
    run_for(pc, 20 * MS)
    received = card.received()
    assert received.packets * 50 == pytest.approx(3_850_000, rel=0.05)
    assert received.dropped > received.packets // 2


def test_threads_end_when_the_driver_lets_go_of_the_card(pc, plug):
    card = plug(Nic, "eth0", style="igb", queues=2, rate="100 kHz")
    card.napi.threaded = True
    card.napi.apply()
    run_for(pc, MS)
    card.remove()
    assert [t.comm for t in pc.irqs.kthreads.by_pid.values() if t.comm.startswith("napi/")] == []
    card.attach()
    card.open()
    run_for(pc, 10 * MS)
    pc.fold_counts()
    assert not card.napi.threaded
    assert card.received().packets > 1_500
