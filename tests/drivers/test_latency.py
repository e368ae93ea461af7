"""How long a frame takes is measured from the wire to the handler, to NAPI, to a program."""

import pytest

from pseudokern.drivers.nic import Nic
from pseudokern.drivers.nic_results import results
from pseudokern.kernel.cost import CostModel
from tests.drivers.plugging import at_once, plugged
from tests.drivers.test_net_load import load
from tests.machine_parts import MS, new_pc, run_for

US = 1_000
COST = CostModel()
ENTERED_NS = COST.delivery_ns + COST.entry_ns
POLLED_NS = COST.overhead_ns + COST.handler_ns + COST.softirq_ns


def new_card(gates=True, **written):
    pc = new_pc(1, cost=COST, gates=gates)
    return pc, at_once(plugged(pc, Nic, "eth0", style="mlx5", **written))


def frames_at(pc, card, *times_ns):
    feed = card.feed(0)
    feed.begin(iter([[pc.kernel.timeline.now_ns + time_ns for time_ns in times_ns]]))
    return feed


@pytest.mark.parametrize("gates", [True, False], ids=["short way", "general way"])
def test_a_frame_on_a_free_cpu_is_at_the_handler_after_delivery_and_entry(gates):
    pc, card = new_card(gates)
    latency = frames_at(pc, card, 10_000).latency
    run_for(pc, MS)
    assert latency.handler.most_ns == ENTERED_NS == 500
    assert latency.napi.most_ns == POLLED_NS == 2_000
    assert latency.handler.total == latency.napi.total == 1


@pytest.mark.parametrize("gates", [True, False], ids=["short way", "general way"])
def test_a_frame_that_comes_in_the_middle_of_a_poll_waits_for_the_interrupt_after_it(gates):
    pc, card = new_card(gates)
    latency = frames_at(pc, card, 10_000, 10_100).latency
    run_for(pc, MS)
    # The second one's handler has to wait for the first one's: 1600 ns after its arrival.
    assert latency.handler.most_ns == 1_600 - 100 + ENTERED_NS
    # Its poll begins when the softirq that it came into is over, lengthened by its interrupt.
    first_ends_ns = POLLED_NS + COST.softirq_item_ns
    assert latency.napi.most_ns == first_ends_ns + 1_600 + COST.softirq_ns - 100


def test_coalescing_adds_what_the_first_frame_waits_and_less_for_the_others():
    pc, card = new_card()
    card.ethtool.set_coalescing({"rx-usecs": 50, "rx-frames": 0})
    latency = frames_at(pc, card, 10_000, 30_000).latency
    run_for(pc, MS)
    assert latency.handler.most_ns == 50 * US + ENTERED_NS
    assert latency.handler.total_ns == 80 * US + 2 * ENTERED_NS


@pytest.mark.parametrize("gates", [True, False], ids=["short way", "general way"])
def test_frames_that_are_measured_stand_for_all(gates):
    pc, card = new_card(gates)
    card.set_load(load(rate=200_000.0))
    run_for(pc, 500 * MS)
    pc.fold_counts()
    latency = card.queues[0].feed.latency
    assert latency.stride == 100
    assert latency.napi.total == pytest.approx(card.received().packets, rel=0.1)
    assert latency.napi.percentile_ns(50) == pytest.approx(2_000, rel=0.25)


def test_both_ways_measure_the_same():
    found = []
    for gates in (True, False):
        pc, card = new_card(gates)
        card.set_load(load(rate=2_000.0))  # the most of which every poll is measured
        run_for(pc, 500 * MS)
        found.append(results(card))
    assert found[0] == found[1]


def test_who_hands_frames_on_says_when_a_program_has_them():
    pc, card = new_card()
    feed = frames_at(pc, card, 10_000)
    run_for(pc, MS)
    feed.latency.reached_application(feed.taken_ns(1), feed.times[0] + 30 * US)
    assert feed.latency.application.most_ns == 30 * US
    assert "rx-0.application p50_ns 30000" in results(card)


def test_results_say_what_an_interrupt_is_made_of():
    pc, card = new_card(handler="1 us")
    frames_at(pc, card, 10_000)
    run_for(pc, MS)
    (stages,) = [line for line in results(card).splitlines() if line.startswith("interrupt")]
    assert stages == (
        "interrupt.stages delivery_ns 200 entry_ns 300 handler_ns 1000 eoi_ns 50 exit_ns 250"
        " softirq_ns 400"
    )


def test_a_queue_that_no_load_feeds_has_counts_only():
    _, card = new_card(rate="10 kHz")
    assert "p50" not in results(card)
