"""Packets are handed on to other CPUs, by the hash of their flow."""

import pytest

from pseudokern.drivers.net_load import NET_LOAD_KEYS
from pseudokern.drivers.nic import Nic
from pseudokern.drivers.nic_napi import tuned
from tests.drivers.plugging import at_once
from tests.machine_parts import MS, run_for


@pytest.fixture
def card(pc, plug):
    card = at_once(plug(Nic, "eth0", style="mlx5", affinity=["0"]))
    load = {name: key.parse_default(None, {}) for name, key in NET_LOAD_KEYS.items()}
    card.set_load({**load, "rate": 200_000.0, "flows": 200})
    return card


def steered(card, mask):
    card.napi.rps_cpus[0] = mask
    card.napi.apply()


def backlogs(pc):
    return tuned(pc).steering.backlogs


def check_nothing_vanished(pc, card):
    pc.fold_counts()
    there = backlogs(pc).values()
    handed_on = sum(b.packets + b.waiting + b.dropped for b in there)
    assert handed_on == card.received().packets
    assert sum(b.packets for b in there) == sum(this.rx_packets for this in pc.kernel.cpus)


def test_packets_are_processed_on_the_cpus_of_the_mask_and_not_where_they_were_polled(pc, card):
    steered(card, 0b1110)
    run_for(pc, 50 * MS)
    pc.fold_counts()
    processed = [this.rx_packets for this in pc.kernel.cpus]
    assert processed[0] == 0
    assert all(n == pytest.approx(3_333, rel=0.2) for n in processed[1:])
    assert sum(b.ipis for b in backlogs(pc).values()) > 3_000
    assert pc.kernel.cpus[1].counts.call_function > 1_000
    check_nothing_vanished(pc, card)


def test_packets_of_one_flow_stay_on_one_cpu(pc, card):
    card.set_load({**card.load.options, "flows": 1})
    steered(card, 0b1110)
    run_for(pc, 20 * MS)
    pc.fold_counts()
    assert sorted(this.rx_packets > 0 for this in pc.kernel.cpus) == [False, False, False, True]


def test_backlog_that_is_full_drops(pc, card):
    steered(card, 0b10)
    tuned(pc).steering.max_backlog = 2
    card.set_load({**card.load.options, "rate": 3_000_000.0})
    run_for(pc, 20 * MS)
    assert backlogs(pc)[1].dropped > 1_000
    check_nothing_vanished(pc, card)


def test_small_weight_takes_a_backlog_in_several_polls(pc, card):
    steered(card, 0b10)
    tuned(pc).steering.weight = 1
    run_for(pc, 20 * MS)
    card.set_load(None)
    run_for(pc, 5 * MS)
    assert backlogs(pc)[1].waiting == 0
    check_nothing_vanished(pc, card)


def test_cpu_that_goes_down_gets_no_more_packets(pc, card):
    steered(card, 0b110)
    run_for(pc, 20 * MS)
    pc.hotplug.down(1)
    run_for(pc, MS)
    before = pc.kernel.cpus[1].rx_packets
    run_for(pc, 20 * MS)
    assert pc.kernel.cpus[1].rx_packets == before
    assert backlogs(pc)[1].waiting == 0


def test_mask_0_is_as_before(pc, card):
    steered(card, 0b10)
    run_for(pc, 10 * MS)
    steered(card, 0)
    before = pc.kernel.cpus[1].rx_packets
    run_for(pc, 10 * MS)
    assert pc.kernel.cpus[1].rx_packets <= before + 64
