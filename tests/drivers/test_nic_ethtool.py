"""A card's driver takes the settings that the real one takes, and refuses the others."""

import errno

import pytest

from pseudokern.drivers.nic import Nic
from pseudokern.drivers.nic_stats import stats
from pseudokern.drivers.rss import Flow
from pseudokern.irq.manage import irq_set_affinity
from tests.machine_parts import MS, run_for


def refusal(function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        return error.errno
    return 0


def actions(pc):
    return [action.name for desc in pc.irqs for action in desc.actions]


def test_ring_of_e1000_is_brought_into_bounds_and_rounded_up_to_8(plug):
    ethtool = plug(Nic, "eth0", style="igb").ethtool
    ethtool.set_ring({"rx": 10})
    assert ethtool.ring()["rx"] == 64
    ethtool.set_ring({"rx": 505, "tx": 100})
    assert ethtool.ring() == {"rx-max": 4096, "tx-max": 4096, "rx": 512, "tx": 104}
    assert refusal(ethtool.set_ring, {"rx": 4097}) == errno.EINVAL


def test_mlx5_makes_a_ring_a_power_of_two(plug):
    ethtool = plug(Nic, "eth0", style="mlx5").ethtool
    ethtool.set_ring({"rx": 1025})
    assert ethtool.ring()["rx"] == 2048
    assert refusal(ethtool.set_ring, {"rx": 10}) == errno.EINVAL


@pytest.mark.parametrize(
    ("style", "wanted", "expected"),
    [
        ("vmxnet3", {"rx": 0}, errno.EINVAL),
        ("vmxnet3", {"rx": 33}, {"rx": 64}),
        ("vmxnet3", {"rx-jumbo": 100}, {"rx-jumbo": 128}),
        ("virtio-net", {"rx": 0}, errno.EINVAL),
        ("virtio-net", {"rx": 1}, {"rx": 1}),
        ("virtio-net", {"rx": 100}, errno.ENOMEM),
        ("virtio-net", {"tx": 128}, {"tx": 128}),
        ("igb", {"rx-jumbo": 5}, errno.EINVAL),
        ("igb", {"rx-jumbo": 0}, {"rx": 256}),
        ("ice", {"rx": 63}, errno.EINVAL),
        ("ice", {"rx": 65}, {"rx": 96}),
    ],
)
def test_ring_sizes_are_what_the_driver_takes(plug, style, wanted, expected):
    ethtool = plug(Nic, "eth0", style=style).ethtool
    if isinstance(expected, int):
        assert refusal(ethtool.set_ring, wanted) == expected
    else:
        ethtool.set_ring(wanted)
        assert expected.items() <= ethtool.ring().items()


def test_new_ring_size_is_that_of_every_queue(pc, plug):
    card = plug(Nic, "eth0", style="igb", queues=3, rate="10 kHz")
    run_for(pc, MS)
    card.ethtool.set_ring({"rx": 64})
    assert [queue.size for queue in card.queues] == [64] * 3
    run_for(pc, 20 * MS)
    pc.fold_counts()
    assert card.received().packets > 500


def test_fewer_channels_free_their_vectors_and_forget_hints_and_masks(pc, plug):
    card = plug(Nic, "eth0", style="igb", queues=4)
    desc = pc.irqs[sorted(card.function.irqs)[1]]
    irq_set_affinity(desc, 0b1000)
    card.ethtool.set_channels({"combined": 2})
    assert actions(pc)[-3:] == ["eth0", "eth0-TxRx-0", "eth0-TxRx-1"]
    assert len(card.function.irqs) == 3
    fresh = pc.irqs[sorted(card.function.irqs)[1]]
    assert fresh is not desc
    assert fresh.affinity == 0b1111
    card.ethtool.set_channels({"combined": 8})
    assert len(card.function.irqs) == 9


def test_virtio_keeps_its_vectors_and_uses_fewer_of_them(pc, plug):
    card = plug(Nic, "virtio0", style="virtio-net", queues=4, rate="10 kHz")
    before = actions(pc), sorted(card.function.irqs)
    card.ethtool.set_channels({"combined": 2})
    assert (actions(pc), sorted(card.function.irqs)) == before
    run_for(pc, 10 * MS)
    pc.fold_counts()
    took = [queue.packets for queue in card.queues]
    assert took[2:] == [0, 0]
    assert took[0] > 100
    assert refusal(card.ethtool.set_channels, {"combined": 5}) == errno.EINVAL


@pytest.mark.parametrize(
    ("style", "wanted", "expected"),
    [
        ("igb", {"combined": 9}, errno.EINVAL),
        ("igb", {"combined": 0}, errno.EINVAL),
        ("igb", {"rx": 2}, errno.EINVAL),
        ("vmxnet3", {"combined": 1}, errno.EOPNOTSUPP),
        ("e1000e", {"combined": 1}, errno.EOPNOTSUPP),
    ],
)
def test_channels_that_the_driver_cannot_have_are_refused(plug, style, wanted, expected):
    card = plug(Nic, "eth0", style=style)
    assert refusal(card.ethtool.set_channels, wanted) == expected
    assert card.channels == 1


@pytest.mark.parametrize(
    ("style", "wanted", "expected"),
    [
        ("igb", {"rx-usecs": 2}, errno.EINVAL),
        ("igb", {"rx-usecs": 9}, errno.EINVAL),
        ("igb", {"rx-usecs": 10}, 0),
        ("igb", {"rx-usecs": 3}, 0),
        ("igb", {"rx-usecs": 10_001}, errno.EINVAL),
        ("igb", {"rx-frames": 1}, errno.EINVAL),
        ("igb", {"tx-usecs": 50}, errno.EINVAL),
        ("ice", {"rx-usecs": 2, "adaptive-rx": 0}, 0),
        ("ice", {"rx-usecs-high": 20, "adaptive-rx": 0, "adaptive-tx": 0}, 0),
        ("ice", {"rx-usecs": 8_161}, errno.EINVAL),
        ("mlx5", {"rx-usecs": 4_096}, errno.ERANGE),
        ("mlx5", {"rx-usecs": 0, "rx-frames": 0}, errno.EINVAL),
        ("mlx5", {"rx-usecs-irq": 5}, errno.EINVAL),
        ("vmxnet3", {"rx-usecs": 5}, errno.EOPNOTSUPP),
        ("virtio-net", {"rx-usecs": 50, "rx-frames": 32}, 0),
    ],
)
def test_coalescing_is_what_the_driver_has(plug, style, wanted, expected):
    ethtool = plug(Nic, "eth0", style=style).ethtool
    assert refusal(ethtool.set_coalescing, wanted) == expected
    if not expected:
        assert wanted.items() <= ethtool.coalescing().items()


def test_one_queue_has_coalescing_of_its_own_until_all_are_set(pc, plug):
    card = plug(Nic, "eth0", style="mlx5", queues=2, rate="50 kHz")
    card.ethtool.set_coalescing({"adaptive-rx": 0, "rx-usecs": 0, "rx-frames": 1})
    card.ethtool.set_coalescing_of(1, {"rx-usecs": 100, "rx-frames": 0})
    run_for(pc, 20 * MS)
    pc.fold_counts()
    first, second = (pc.irqs[irq].total for irq in sorted(card.function.irqs)[1:])
    assert second * 4 < first
    card.ethtool.set_coalescing({"rx-usecs": 8})
    assert card.ethtool.coalescing_of(1)["rx-usecs"] == 8
    assert refusal(card.ethtool.set_coalescing_of, 2, {"rx-usecs": 1}) == errno.EINVAL


def test_igb_has_one_coalescing_for_all_queues(plug):
    ethtool = plug(Nic, "eth0", style="igb", queues=2).ethtool
    assert refusal(ethtool.coalescing_of, 0) == errno.EOPNOTSUPP


def test_indirection_table_is_set_and_follows_channels_only_as_long_as_nobody_has(plug):
    card = plug(Nic, "eth0", style="ice", queues=4)
    ethtool = card.ethtool
    assert set(ethtool.rss.table) == {0, 1, 2, 3}
    ethtool.set_channels({"combined": 2})
    assert set(ethtool.rss.table) == {0, 1}
    ethtool.set_rxfh(["weight", "1", "0"])
    assert set(ethtool.rss.table) == {0}
    ethtool.set_channels({"combined": 4})
    assert set(ethtool.rss.table) == {0}
    ethtool.set_rxfh(["default"])
    assert set(ethtool.rss.table) == {0, 1, 2, 3}


def test_channels_that_the_table_names_cannot_be_taken_away(plug):
    ethtool = plug(Nic, "eth0", style="igb", queues=4).ethtool
    ethtool.set_rxfh(["equal", "4"])
    assert refusal(ethtool.set_channels, {"combined": 3}) == errno.EINVAL
    ethtool.set_rxfh(["equal", "2"])
    ethtool.set_channels({"combined": 3})


def test_igb_forgets_a_table_when_the_number_of_channels_changes(plug):
    ethtool = plug(Nic, "eth0", style="igb", queues=4).ethtool
    ethtool.set_rxfh(["equal", "2"])
    assert ethtool.rss.table[:4] == [0, 1, 0, 1]
    ethtool.set_channels({"combined": 2})
    assert ethtool.rss.table == [0] * 64 + [1] * 64


@pytest.mark.parametrize(
    ("style", "words", "expected"),
    [
        ("igb", ["hkey", "6d:5a"], errno.EOPNOTSUPP),
        ("ice", ["hkey", ":".join(["6d"] * 40)], errno.EINVAL),
        ("ice", ["hkey", ":".join(["6d"] * 52)], 0),
        ("mlx5", ["hkey", ":".join(["6d"] * 40)], 0),
        ("igb", ["hfunc", "toeplitz"], 0),
        ("igb", ["hfunc", "xor"], errno.EOPNOTSUPP),
    ],
)
def test_key_and_function_of_the_hash_are_what_the_driver_has(plug, style, words, expected):
    ethtool = plug(Nic, "eth0", style=style, queues=4).ethtool
    assert refusal(ethtool.set_rxfh, words) == expected


@pytest.mark.parametrize(
    "words", [["equal", "5"], ["equal", "4", "start", "1"], ["equal"], ["weight"], ["x"], [],
              ["hkey", "6d:5a"], ["equal", "2", "default"], ["equal", "-1"], ["hkey", "zz"]]
)  # fmt: skip
def test_indirection_that_makes_no_sense_is_refused(plug, words):
    card = plug(Nic, "eth0", style="ice", queues=4)
    assert refusal(card.ethtool.set_rxfh, words) == errno.EINVAL


def test_igb_leaves_ports_of_udp_out_of_its_hash_until_it_is_told(plug):
    card = plug(Nic, "eth0", style="igb", queues=4)
    flows = [Flow(0x0A000001, 0xC0A80001, port, 443) for port in range(1024, 1124)]
    assert len({card.queue_of(flow) for flow in flows}) == 1
    card.ethtool.set_hash_fields("udp4", "sdfn")
    assert len({card.queue_of(flow) for flow in flows}) == 4
    tcp = flows[0]._replace(protocol=6)
    assert card.ethtool.flow_hash(tcp) == card.ethtool.flow_hash(flows[0])


@pytest.mark.parametrize(
    ("style", "wanted", "expected"),
    [
        ("igb", ("udp4", "s"), errno.EINVAL),
        ("igb", ("tcp4", "sd"), errno.EINVAL),
        ("igb", ("tcp4", "sdfn"), 0),
        ("virtio-net", ("tcp4", "sd"), 0),
        ("virtio-net", ("ah4", ""), errno.EINVAL),
        ("e1000e", ("udp4", "sdfn"), errno.EOPNOTSUPP),
        ("vmxnet3", ("udp4", "sdfn"), errno.EOPNOTSUPP),
        ("mlx5", ("ip4", "sd"), errno.EINVAL),
        ("mlx5", ("udp9", "sd"), errno.EINVAL),
        ("mlx5", ("", ""), errno.EINVAL),
    ],
)
def test_fields_of_the_hash_are_what_the_driver_takes(plug, style, wanted, expected):
    ethtool = plug(Nic, "eth0", style=style, queues=4).ethtool
    assert refusal(ethtool.set_hash_fields, *wanted) == expected


def test_igb_gives_each_queue_one_block_of_the_table(plug):
    card = plug(Nic, "eth0", style="igb", queues=4)
    assert card.ethtool.rss.table == [0] * 32 + [1] * 32 + [2] * 32 + [3] * 32


def test_dropped_frames_have_the_name_that_the_driver_gives_them(plug):
    for slot, (style, name) in enumerate(
        [("igb", "rx_missed_errors"), ("mlx5", "rx_out_of_buffer"), ("ice", "rx_dropped"),
         ("virtio-net", "rx0_drops"), ("vmxnet3", "  pkts rx OOB")]
    ):  # fmt: skip
        card = plug(Nic, f"eth{slot}", style=style, bdf=f"00:{slot + 4:02x}.0")
        queue = card.queues[0]
        queue.scheduled = True
        for _ in range(queue.size + 3):
            queue.receive(0)
        assert dict(stats(card))[name] == 3


def test_driver_that_is_bound_anew_has_its_defaults_and_no_old_counts(pc, plug):
    card = plug(Nic, "eth0", style="mlx5", queues=2, rate="50 kHz")
    before = card.ethtool.ring(), card.ethtool.coalescing(), card.ethtool.channels()
    card.ethtool.set_ring({"rx": 64})
    card.ethtool.set_coalescing({"rx-usecs": 50, "rx-frames": 8})
    card.ethtool.set_channels({"combined": 1})
    run_for(pc, 10 * MS)
    card.remove()
    card.attach()
    card.open()
    assert (card.ethtool.ring(), card.ethtool.coalescing(), card.ethtool.channels()) == before
    assert card.received().packets == 0
    run_for(pc, 10 * MS)
    pc.fold_counts()
    assert card.received().packets == pytest.approx(1_000, rel=0.15)
