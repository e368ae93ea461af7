"""Packets go to the driver at once, or wait in the qdisc until their queue wakes."""

import pytest

from pseudokern.kernel.cost import CostModel
from pseudokern.kernel.dql import Dql
from pseudokern.kernel.net_tx import NET_TX_BIT, TxQueue, net_tx_of
from pseudokern.kernel.qdisc import Packet
from tests.machine_parts import new_pc, run_for

XMIT_NS = 300


class Card:
    """A ring of so many descriptors, which stops the queue when it is full."""

    def __init__(self, size=4):
        self.size = size
        self.ring = []

    def start_xmit(self, queue, packet, now_ns):
        assert len(self.ring) < self.size
        self.ring.append((packet.size, now_ns))
        queue.sent(packet.size)
        queue.drv_xoff = len(self.ring) == self.size


@pytest.fixture
def pc():
    return new_pc(2, cost=CostModel())


@pytest.fixture
def net_tx(pc):
    return net_tx_of(pc.kernel)


def new_queue(card, dql=None):
    queue = TxQueue(card, 0, dql or Dql(250), has_bql=dql is not None)
    queue.activate(0)
    return queue


def packets(number, size=100):
    return [Packet(size, 0) for _ in range(number)]


def send(net_tx, queue, number, now_ns=0, size=100):
    for packet in packets(number, size):
        now_ns = net_tx.dev_queue_xmit(queue, packet, now_ns)
    return now_ns


def test_a_packet_reaches_the_card_in_the_time_of_its_sender(net_tx):
    card = Card()
    queue = new_queue(card)
    assert send(net_tx, queue, 1, 5_000) == 5_000 + XMIT_NS
    assert card.ring == [(100, 5_000 + XMIT_NS)]


def test_a_queue_that_is_stopped_keeps_1000_packets_and_drops_the_next(net_tx):
    queue = new_queue(Card())
    assert send(net_tx, queue, 4 + 1000) == 4 * XMIT_NS
    assert (queue.qdisc.length, queue.qdisc.drops) == (1000, 0)
    send(net_tx, queue, 1)
    assert (queue.qdisc.length, queue.qdisc.drops) == (1000, 1)


def test_a_queue_that_wakes_goes_on_in_net_tx_on_the_cpu_that_woke_it(pc, net_tx):
    card, this = Card(), pc.kernel.cpus[1]
    queue = new_queue(card)
    send(net_tx, queue, 6)
    card.ring.clear()
    pc.kernel.this = this
    net_tx.wake(queue)
    net_tx.wake(queue)
    assert this.softirq_pending == NET_TX_BIT
    pc.kernel.softirqs.raise_from_process(this, 0)
    run_for(pc, 10_000)
    assert this.softirq_counts[2] == 1
    assert [size for size, _ in card.ring] == [100, 100]
    assert queue.qdisc.length == 0


def test_one_run_takes_64_packets_and_leaves_the_rest_to_net_tx(pc, net_tx):
    card, this = Card(size=200), pc.kernel.this
    queue = new_queue(card)
    queue.drv_xoff = True
    send(net_tx, queue, 100)
    queue.drv_xoff = False
    send(net_tx, queue, 1)
    assert len(card.ring) == 64
    assert this.softirq_pending == NET_TX_BIT
    pc.kernel.softirqs.raise_from_process(this, 0)
    run_for(pc, 100_000)
    assert len(card.ring) == 101


def test_byte_queue_limits_keep_back_what_the_card_does_not_need_yet(pc, net_tx):
    card = Card(size=200)
    queue = new_queue(card, Dql(250))
    send(net_tx, queue, 10)
    assert len(card.ring) == 1
    assert queue.stack_xoff
    net_tx.completed(queue, 100)
    assert not queue.stack_xoff
    pc.kernel.softirqs.raise_from_process(pc.kernel.this, 0)
    run_for(pc, 10_000)
    assert len(card.ring) == 3  # 100 bytes, and one packet beyond


def test_packets_that_were_taken_together_come_back_if_the_card_stops_amid_them(net_tx):
    card = Card(size=6)
    queue = new_queue(card, Dql(250))
    queue.dql.limit_min = 1_000
    queue.dql.complete(0, 0)
    queue.drv_xoff = True
    send(net_tx, queue, 8)
    queue.drv_xoff = False
    send(net_tx, queue, 1)
    assert len(card.ring) == 6
    assert (queue.qdisc.requeues, queue.qdisc.length) == (1, 3)


def test_what_is_sent_while_the_interface_is_down_is_dropped(net_tx):
    queue = new_queue(Card())
    queue.deactivate()
    send(net_tx, queue, 3)
    assert (queue.offered, queue.dropped_down, queue.qdisc.length) == (3, 3, 0)


def test_another_cpu_sends_what_a_dead_one_had_to(pc, net_tx):
    card, this = Card(), pc.kernel.cpus[1]
    queue = new_queue(card)
    send(net_tx, queue, 6)
    card.ring.clear()
    pc.kernel.this = this
    net_tx.wake(queue)
    pc.kernel.this = pc.kernel.cpus[0]
    pc.hotplug.down(1)
    run_for(pc, 10_000)
    assert len(card.ring) == 2
