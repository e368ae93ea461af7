"""XPS: by which queue a packet is sent."""

from pseudokern.kernel.xps import Xps

HALF = 1 << 31


def test_without_settings_the_hash_chooses_among_all_queues():
    xps = Xps()
    assert [xps.queue_of(0, number << 30, -1, 4) for number in range(4)] == [0, 1, 2, 3]


def test_a_cpu_sends_by_its_queues_and_the_hash_chooses_among_them():
    xps = Xps()
    xps.set_cpus([(1, 0b01), (3, 0b01), (2, 0b10)])
    assert [xps.queue_of(0, flow, -1, 4) for flow in (0, HALF)] == [1, 3]
    assert [xps.queue_of(1, flow, -1, 4) for flow in (0, HALF)] == [2, 2]


def test_the_queue_that_a_socket_receives_from_goes_before_its_cpu():
    xps = Xps()
    xps.set_cpus([(1, 0b01)])
    xps.set_rxqs(2, 0b100)
    assert xps.queue_of(0, 0, 2, 4) == 2
    assert xps.queue_of(0, 0, 1, 4) == 1


def test_a_cpu_whose_queue_is_gone_leaves_it_to_the_hash():
    xps = Xps()
    xps.set_cpus([(3, 0b01)])
    assert xps.queue_of(0, HALF, -1, 4) == 3
    xps.keep(2)
    assert xps.queue_of(0, HALF, -1, 2) == 1
    assert xps.cpus == {}
