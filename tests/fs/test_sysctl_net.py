"""netdev_budget and netdev_budget_usecs decide how long NET_RX runs before it lets others run."""

import pytest

from pseudokern.fs.sysctl_net import (
    show_netdev_budget,
    show_netdev_budget_usecs,
    store_netdev_budget,
    store_netdev_budget_usecs,
)
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine


@pytest.fixture
def machine(tmp_path):
    file = tmp_path / "busy.toml"
    file.write_text(
        """
[machine]
cpus = 1
[load]
user = 0
[[device]]
name = "eth0"
driver = "pseudokern.drivers.nic"
rate = "20 kHz"
"""
    )
    return Machine(load(file), 0)


def squeezed(machine):
    """How often NET_RX stopped early in half a second."""
    (this,) = machine.kernel.cpus
    before = this.time_squeeze
    until_ns = machine.timeline.now_ns + 500_000_000
    while not machine.timeline.run(until_ns, 100_000):
        continue
    return this.time_squeeze - before


def test_default_is_300_packets_and_two_jiffies(machine):
    assert show_netdev_budget(machine) == b"300\n"
    assert show_netdev_budget_usecs(machine) == b"8000\n"


def test_budget_of_one_packet_squeezes_every_poll_at_once(machine):
    assert squeezed(machine) == 0
    store_netdev_budget(machine, b"1\n")
    assert squeezed(machine) > 1000
    store_netdev_budget(machine, b"300\n")
    assert squeezed(machine) == 0


@pytest.mark.parametrize("data", [b"", b"x", b"-1", b"08", b"1_0", b"0b1", b"+1", b"2147483648"])
def test_time_that_is_none_is_refused(machine, data):
    with pytest.raises(OSError, match="netdev_budget_usecs"):
        store_netdev_budget_usecs(machine, data)
    assert show_netdev_budget_usecs(machine) == b"8000\n"


@pytest.mark.parametrize(("data", "number"), [(b"010\n", 8), (b"0x10\n", 16), (b" 7 8\n", 7)])
def test_number_is_read_in_the_base_that_it_shows(machine, data, number):
    store_netdev_budget_usecs(machine, data)
    assert show_netdev_budget_usecs(machine) == b"%d\n" % number
