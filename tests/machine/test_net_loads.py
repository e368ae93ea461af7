"""[[load]] tables say what comes to a network card, and how it is spread over its queues."""

import pytest

from pseudokern.fs.load import store_load
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine

MS = 1_000_000
CARD = """
[machine]
cpus = 4
[[load]]
user = 0
[[device]]
name = "eth0"
driver = "pseudokern.drivers.nic"
style = "ice"
queues = 4
"""


@pytest.fixture
def boot(tmp_path):
    def boot(text, card=CARD):
        file = tmp_path / "m.toml"
        file.write_text(card + text)
        return Machine(load(file), 0)

    return boot


def run_for(machine, duration_ns):
    until_ns = machine.timeline.now_ns + duration_ns
    while not machine.timeline.run(until_ns, 100_000):
        continue


def packets(machine, duration_ns):
    """What each queue received in that time."""
    (card,) = machine.devices
    machine.pc.fold_counts()
    before = [queue.packets for queue in card.rings]
    run_for(machine, duration_ns)
    machine.pc.fold_counts()
    return [queue.packets - old for queue, old in zip(card.rings, before, strict=True)]


def test_frames_of_one_flow_go_to_one_queue(boot):
    found = packets(boot('[[load]]\ndevice = "eth0"\nrate = "100 kHz"\n'), 50 * MS)
    assert sorted(found)[:3] == [0, 0, 0]
    assert max(found) == pytest.approx(5_000, rel=0.1)


def test_frames_of_1000_flows_are_spread_over_all_queues(boot):
    machine = boot('[[load]]\ndevice = "eth0"\nrate = "400 kHz"\nflows = 1000\n')
    found = packets(machine, 50 * MS)
    assert sum(found) == pytest.approx(20_000, rel=0.05)
    assert all(number == pytest.approx(5_000, rel=0.2) for number in found)


def test_weight_0_of_a_queue_sends_its_flows_elsewhere(boot):
    machine = boot('[[load]]\ndevice = "eth0"\nrate = "400 kHz"\nflows = 1000\n')
    machine.devices[0].ethtool.set_rxfh(["weight", "1", "1", "0", "0"])
    found = packets(machine, 50 * MS)
    assert found[2:] == [0, 0]
    assert found[0] == pytest.approx(10_000, rel=0.2)


def test_constant_rate_has_no_chance_in_it(boot):
    machine = boot(
        '[[load]]\ndevice = "eth0"\nrate = "30 kHz"\nflows = 100\narrivals = "constant"\n'
    )
    assert sum(packets(machine, 100 * MS)) in (2_999, 3_000, 3_001)


def test_bursts_have_pauses_between_them(boot):
    machine = boot(
        '[[load]]\ndevice = "eth0"\nrate = "100 kHz"\narrivals = "on-off"\n'
        'on = "3 ms"\noff = "7 ms"\nflows = 64\n'
    )
    found = [sum(packets(machine, MS)) for _ in range(20)]
    assert sum(number > 50 for number in found) in (6, 7, 8)
    assert sum(number == 0 for number in found) in (12, 13, 14)


def test_load_ends_at_its_time(boot):
    machine = boot('[[load]]\ndevice = "eth0"\nrate = "100 kHz"\nuntil = "1010 ms"\n')
    assert sum(packets(machine, 10 * MS)) > 800
    assert sum(packets(machine, 10 * MS)) < 50  # that waited for their interrupt


def test_bytes_are_those_of_the_frames_of_the_load(boot):
    machine = boot('[[load]]\ndevice = "eth0"\nrate = "100 kHz"\nsize = 1500\n')
    run_for(machine, 10 * MS)
    machine.pc.fold_counts()
    received = machine.devices[0].received()
    assert received.packets > 500
    assert received.bytes == 1500 * received.packets


def test_load_is_changed_while_the_machine_runs(boot):
    machine = boot('[[load]]\ndevice = "eth0"\nrate = "100 kHz"\n')
    (card,) = machine.devices
    store_load(machine, b"rate=10kHz flows=8 size=1500\n", card)
    assert card.show_load() == "rate=10000/s size=1500 flows=8 arrivals=poisson\n"
    assert sum(packets(machine, 100 * MS)) == pytest.approx(1_000, rel=0.15)
    results = dict(line.rsplit(" ", 1) for line in card.show_results().splitlines())
    parts = ("delivered", "dropped_rx_dropped", "dropped_with_ring", "in_flight")
    assert int(results["offered"]) == sum(int(results[name]) for name in parts)
    for text in (b"rate=20", b"speed=3", b"flows=0"):
        with pytest.raises(OSError, match="load"):
            store_load(machine, text, card)
    store_load(machine, b"off", card)
    assert packets(machine, 10 * MS) == [0] * 4
    assert card.show_load() == "off\n"


def test_load_survives_fewer_channels_and_an_interface_that_was_down(boot):
    machine = boot('[[load]]\ndevice = "eth0"\nrate = "400 kHz"\nflows = 1000\n')
    card = machine.devices[0]
    card.ethtool.set_channels({"combined": 2})
    found = packets(machine, 50 * MS)
    assert found[2:] == [0, 0]
    assert sum(found) == pytest.approx(20_000, rel=0.05)
    card.close()
    run_for(machine, MS)
    assert packets(machine, 10 * MS) == [0] * 4
    card.open()
    assert sum(packets(machine, 10 * MS)) > 3_000
