"""NET_RX polls each queue with a weight of 64, and stops at a budget of 300 packets."""

import pytest

from pseudokern.kernel.cost import CostModel
from pseudokern.kernel.napi import NAPI_WEIGHT, Napi, NetRx
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.softirq import Softirq
from tests.machine_parts import TICK_NS, new_pc, run_for

NET_RX_BIT = 1 << Softirq.NET_RX
ITEM_NS = 250


class Queue(Napi):
    """Frames that wait, and how many each poll took."""

    def __init__(self, frames):
        super().__init__()
        self.frames = frames
        self.polls = []

    def poll(self, weight):
        taken = min(weight, self.frames)
        self.frames -= taken
        self.polls.append(taken)
        return taken


@pytest.fixture
def this():
    return PerCpu(0)


@pytest.fixture
def net_rx():
    return NetRx(ITEM_NS, TICK_NS)


def scheduled(this, *frames):
    queues = [Queue(number) for number in frames]
    for queue in queues:
        queue.schedule(this)
    return queues


def test_scheduling_a_queue_raises_net_rx_once(this):
    queue = Queue(1)
    queue.schedule(this)
    queue.schedule(this)
    assert this.poll_list == [queue]
    assert this.softirq_pending == NET_RX_BIT


def test_a_queue_that_takes_less_than_64_is_done(this, net_rx):
    [queue] = scheduled(this, 63)
    this.softirq_pending = 0
    assert net_rx.action(this, 1_000) == 1_000 + 63 * ITEM_NS
    assert not queue.scheduled
    assert this.poll_list == []
    assert this.softirq_pending == 0


def test_a_queue_that_takes_all_64_is_polled_again_in_the_next_pass(this, net_rx):
    [queue] = scheduled(this, 100)
    this.softirq_pending = 0
    net_rx.action(this, 0)
    assert queue.polls == [NAPI_WEIGHT]
    assert queue.scheduled
    assert this.softirq_pending == NET_RX_BIT
    assert this.time_squeeze == 0

    net_rx.action(this, 0)
    assert queue.polls == [64, 36]
    assert not queue.scheduled


def test_five_full_queues_use_up_the_budget_of_300_with_the_fifth_poll(this, net_rx):
    queues = scheduled(this, *[1_000] * 6)
    net_rx.action(this, 0)
    assert [len(queue.polls) for queue in queues] == [1, 1, 1, 1, 1, 0]
    assert this.time_squeeze == 1


def test_what_was_not_polled_comes_before_what_was(this, net_rx):
    queues = scheduled(this, *[1_000] * 6)
    net_rx.action(this, 0)
    assert this.poll_list[0] is queues[5]
    assert this.poll_list[1:] == queues[:5]


def test_four_full_queues_do_not_use_up_the_budget(this, net_rx):
    scheduled(this, *[1_000] * 4)
    net_rx.action(this, 0)
    assert this.time_squeeze == 0


def test_two_jiffies_are_the_longest_that_it_polls(this):
    slow = NetRx(TICK_NS // 32, TICK_NS)
    queues = scheduled(this, 32, 31, 31)
    slow.action(this, 0)
    assert [queue.polls for queue in queues] == [[32], [31], [31]]
    assert this.time_squeeze == 1

    queues = scheduled(this, 32, 32, 31)
    slow.action(this, 0)
    assert [queue.polls for queue in queues] == [[32], [32], []]
    assert this.time_squeeze == 2


def test_a_full_ring_is_counted_as_one_net_rx_for_each_64_frames():
    pc = new_pc(1, cost=CostModel())
    this = pc.kernel.cpus[0]
    [queue] = scheduled(this, 640 + 10)
    pc.kernel.softirqs.raise_from_process(this, 0)
    run_for(pc, 1_000_000)
    assert queue.frames == 0
    assert this.softirq_counts[Softirq.NET_RX] == 11
    assert this.time_squeeze == 0
