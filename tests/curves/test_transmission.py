"""Transmission under load: the wire is the limit, and what waits for it waits in the qdisc."""

from functools import cache
from typing import NamedTuple

import pytest

from pseudokern.drivers.net_load import NET_LOAD_KEYS
from pseudokern.drivers.nic import Nic
from pseudokern.kernel.cost import CostModel
from tests.drivers.plugging import plugged
from tests.machine_parts import MS, new_pc, run_for

SIZE = 1000
WIRE_HZ = 1e9 / 8 / (SIZE + 20)  # frames a second of a gigabit, with preamble and gap
S = 1_000_000_000


class Seen(NamedTuple):
    """What came of a load in a tenth of a second, each second, and at its end."""

    sent_hz: float
    dropped_hz: float
    interrupts_hz: float
    in_ring: int
    in_qdisc: int


@cache
def transmission(offered_hz, usecs=0, has_bql=True):
    pc = new_pc(2, cost=CostModel())
    nic = plugged(pc, Nic, "eth0", style="igb")
    nic.ethtool.set_coalescing({"rx-usecs": usecs})
    nic.tx.queue(0).has_bql = has_bql
    defaults = {name: key.parse_default(None, {}) for name, key in NET_LOAD_KEYS.items()}
    nic.set_load({**defaults, "tx_rate": offered_hz, "tx_size": SIZE, "tx_cpus": 0b10})
    run_for(pc, 100 * MS)
    ring, queue = nic.tx.rings[0], nic.tx.queues[0]
    before = ring.cleaned, queue.qdisc.drops, nic.tx.interrupts(0)
    run_for(pc, 100 * MS)
    after = ring.cleaned, queue.qdisc.drops, nic.tx.interrupts(0)
    rates = [10 * (now - then) for now, then in zip(after, before, strict=True)]
    return Seen(*rates, ring.in_flight, queue.qdisc.length)


def test_what_is_sent_rises_with_the_offer_and_stays_at_the_speed_of_the_wire():
    for offered_hz in (20_000, 60_000, 110_000):
        seen = transmission(offered_hz)
        assert seen.sent_hz == pytest.approx(offered_hz, rel=0.03)
        assert seen.dropped_hz == 0
    for offered_hz in (150_000, 300_000):
        seen = transmission(offered_hz)
        assert seen.sent_hz == pytest.approx(WIRE_HZ, rel=0.01)
        assert seen.dropped_hz == pytest.approx(offered_hz - WIRE_HZ, rel=0.1)


def test_byte_queue_limits_move_the_queue_from_the_ring_to_the_qdisc():
    with_limits, without = transmission(200_000), transmission(200_000, has_bql=False)
    assert with_limits.sent_hz == pytest.approx(without.sent_hz, rel=0.01)
    assert with_limits.in_ring < 20
    assert without.in_ring > 200
    assert with_limits.in_qdisc > 950


@pytest.mark.parametrize("usecs", [0, 50, 200])
def test_waiting_with_interrupts_costs_no_throughput(usecs):
    seen = transmission(200_000, usecs=usecs)
    assert seen.sent_hz == pytest.approx(WIRE_HZ, rel=0.01)
    if usecs:
        assert seen.interrupts_hz <= S / 1000 / usecs + 10


def test_the_longer_completions_wait_the_more_the_card_has_to_have():
    rings = [transmission(200_000, usecs=usecs).in_ring for usecs in (0, 50, 200)]
    assert rings[0] < rings[1] < rings[2]
