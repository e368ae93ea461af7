"""To the handler of a free CPU it takes 200 to 500 ns from the wire, stage by stage."""

import pytest

from pseudokern.drivers.nic import Nic
from pseudokern.drivers.nic_results import results
from pseudokern.kernel.cost import CostModel
from tests.drivers.plugging import at_once, plugged
from tests.machine_parts import MS, new_pc, run_for

FRAMES = 1_000
APART_NS = 100_000  # so that none meets another
FASTEST_NS, SLOWEST_NS = 200, 500


def card_after_all_frames(gates):
    pc = new_pc(1, cost=CostModel(), gates=gates)
    card = at_once(plugged(pc, Nic, "eth0", style="mlx5"))
    now_ns = pc.kernel.timeline.now_ns
    card.feed(0).begin(iter([[now_ns + (n + 1) * APART_NS for n in range(FRAMES)]]))
    run_for(pc, 200 * MS)
    return card


@pytest.mark.parametrize("gates", [True, False], ids=["short way", "general way"])
def test_every_frame_is_at_its_handler_500_ns_after_it_came(gates):
    latency = card_after_all_frames(gates).feed(0).latency.handler
    assert latency.total == FRAMES
    assert latency.mean_ns == latency.most_ns == SLOWEST_NS


@pytest.mark.parametrize("gates", [True, False], ids=["short way", "general way"])
def test_delivery_ends_after_200_ns_and_entry_after_500_and_both_are_what_is_measured(gates):
    card = card_after_all_frames(gates)
    stages = _stages(results(card))
    delivered_ns = stages["delivery_ns"]
    entered_ns = delivered_ns + stages["entry_ns"]
    assert FASTEST_NS == delivered_ns < entered_ns == SLOWEST_NS
    assert entered_ns == card.feed(0).latency.handler.mean_ns
    left_ns = entered_ns + stages["handler_ns"] + stages["eoi_ns"] + stages["exit_ns"]
    assert left_ns + stages["softirq_ns"] == card.feed(0).latency.napi.mean_ns


def _stages(text):
    (line,) = [line for line in text.splitlines() if line.startswith("interrupt.stages ")]
    words = line.split()[1:]
    return {name: int(value) for name, value in zip(words[::2], words[1::2], strict=True)}
