"""Offloads go off with what they need, and come back; pause frames are what the driver lets set."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudokern.drivers.nic import Nic
from pseudokern.drivers.nic_features import FEATURES, TSO, Features
from pseudokern.drivers.nic_link import Pause
from pseudokern.drivers.nic_styles import STYLES
from tests.machine_parts import log_of


@pytest.mark.parametrize("style", STYLES)
def test_card_begins_with_what_has_been_asked_for(style):
    features = Features(style)
    assert not [state for state in features.show().values() if "requested" in state]
    assert set(features.show()) == set(FEATURES)


def test_segmentation_needs_checksums_and_comes_back_with_them():
    features = Features("igb")
    features.ask({"tx-checksum-ip-generic": 0})
    assert features.show()["tx-tcp-segmentation"] == "off [requested on]"
    assert features.show()["tx-udp-segmentation"] == "off [requested on]"
    features.ask({"tx-checksum-ip-generic": 1})
    assert features.show()["tx-tcp-segmentation"] == "on"


def test_segmentation_of_ice_needs_the_checksum_of_its_protocol():
    features = Features("ice")
    features.ask({"tx-checksum-ipv6": 0})
    assert "tx-tcp6-segmentation" not in features.active
    assert "tx-tcp-segmentation" in features.active


def test_insertion_of_vlan_tags_follows_removal_with_igb_but_not_with_vmxnet3():
    for style, state in (("igb", "off [requested on]"), ("vmxnet3", "on")):
        features = Features(style)
        features.ask({"rx-vlan-hw-parse": 0})
        assert features.show()["tx-vlan-hw-insert"] == state


def test_what_is_fixed_stays_and_what_is_unknown_is_eopnotsupp():
    features = Features("virtio-net")
    features.ask({"rx-checksum": 0})
    assert features.show()["rx-checksum"] == "on [fixed]"
    with pytest.raises(OSError, match="no such feature") as refused:
        features.ask({"rx-gro": 0, "rx-magic": 1})
    assert refused.value.errno == errno.EOPNOTSUPP
    assert "rx-gro" in features.active


@given(
    st.sampled_from(sorted(STYLES)),
    st.lists(st.tuples(st.sampled_from(FEATURES), st.booleans()), max_size=20),
)
def test_nothing_is_ever_on_without_what_it_needs(style, changes):
    features = Features(style)
    for name, is_on in changes:
        features.ask({name: is_on})
    on = features.active
    assert "tx-scatter-gather" in on or not on & (TSO | {"tx-generic-segmentation"})
    assert "rx-checksum" in on or "rx-lro" not in on
    assert on & TSO != {"tx-tcp-ecn-segmentation"}
    assert on <= features.wanted | {"tx-vlan-hw-insert"}


def refusal(pause, wanted):
    try:
        pause.ask(wanted)
    except OSError as error:
        return error.errno
    return 0


@pytest.mark.parametrize(
    ("style", "wanted", "expected"),
    [
        ("igb", {"rx": 0}, {"autoneg": "on", "rx": "on", "tx": "on"}),
        ("igb", {"autoneg": 0, "rx": 0}, {"autoneg": "off", "rx": "off", "tx": "on"}),
        ("mlx5", {"rx": 0}, {"autoneg": "off", "rx": "off", "tx": "on"}),
        ("mlx5", {"autoneg": 1}, errno.EINVAL),
        ("ice", {"tx": 1}, {"autoneg": "on", "rx": "off", "tx": "on"}),
        ("ice", {"autoneg": 0}, errno.EOPNOTSUPP),
        ("vmxnet3", {"rx": 1}, errno.EOPNOTSUPP),
        ("virtio-net", {"rx": 1}, errno.EOPNOTSUPP),
    ],
)
def test_flow_control_is_what_the_driver_lets_set(style, wanted, expected):
    pause = Pause(style)
    if isinstance(expected, int):
        assert refusal(pause, wanted) == expected
    else:
        pause.ask(wanted)
        assert expected.items() <= pause.show().items()


@pytest.mark.parametrize(
    ("style", "up", "down"),
    [
        ("e1000e", ["NIC Link is Up 1000 Mbps Full Duplex, Flow Control: Rx/Tx"],
         ["NIC Link is Down"]),
        ("igb", ["igb: eth0 NIC Link is Up 1000 Mbps Full Duplex, Flow Control: RX/TX"], []),
        ("mlx5", ["Link up"], ["Link down"]),
        ("vmxnet3", ["intr type 3, mode 0, 3 vectors allocated", "NIC Link is Up 10000 Mbps"], []),
        ("virtio-net", [], []),
        ("mlx4", ["Link Up"], []),
        ("bnxt", ["NIC Link is Up, 25000 Mbps (NRZ) full duplex, Flow control: "
                  "ON - receive & transmit", "FEC autoneg off encoding: None"], []),
    ],
)  # fmt: skip
def test_link_is_told_in_the_log_as_its_driver_does(pc, plug, style, up, down):
    def said():
        return [text.partition(" eth0: ")[2] for text in log_of(pc) if " eth0: " in text]

    card = plug(Nic, "eth0", style=style, queues=2)
    assert said() == up
    card.close()
    card.link_down()
    assert said() == up + down
