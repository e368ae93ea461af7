"""`pseudokern ethtool`, and `ethtool` inside, for what no recording shows: see test_recordings."""

import pytest

from tests.mount.booted import pseudokern

pytestmark = [pytest.mark.mount]

MLX5 = """
[machine]
cpus = 4

[[device]]
name = "eth0"
driver = "pseudokern.drivers.nic"
style = "mlx5"
queues = 4
"""


@pytest.fixture
def ethtool(boot, tmp_path):
    (tmp_path / "mlx5.toml").write_text(MLX5)
    machine = boot(tmp_path / "mlx5.toml", "--clock", "step")

    def run(*arguments):
        return pseudokern("ethtool", "--at", machine.directory, *arguments)

    return run


def test_queues_have_coalescing_of_their_own_where_the_driver_can(ethtool):
    said = ethtool("-Q", "eth0", "queue_mask", "0x6", "-C", "rx-usecs", "33", "adaptive-rx", "off")
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
    lines = ethtool("-Q", "eth0", "--show-coalesce").stdout.splitlines()
    assert lines[0] == "The sub commands will be applied to all 4 queues"
    assert [line for line in lines if line.startswith("rx-usecs:")] == [
        "rx-usecs: 8", "rx-usecs: 33", "rx-usecs: 33", "rx-usecs: 8",
    ]  # fmt: skip
    assert [line for line in lines if line.startswith("Adaptive")] == [
        "Adaptive RX: on  TX: on", "Adaptive RX: off  TX: on",
        "Adaptive RX: off  TX: on", "Adaptive RX: on  TX: on",
    ]  # fmt: skip


def test_time_that_no_queue_can_wait_is_refused(ethtool):
    said = ethtool("-C", "eth0", "rx-usecs", "4096")
    assert (said.returncode, said.stderr) == (1, "netlink error: Numerical result out of range\n")
    said = ethtool("-Q", "eth0", "queue_mask", "1", "-C", "rx-usecs", "4096")
    assert said.returncode == 0
    assert said.stderr.startswith("Cannot set device per queue parameters: Numerical result")


def test_help_names_the_options_that_there_are(ethtool):
    said = ethtool("-h")
    assert said.returncode == 0
    assert said.stdout.startswith("ethtool version 6.1\n")
    assert "-Q eth0 queue_mask 0x3 --coalesce" in said.stdout


def test_version_is_told_without_a_machine():
    assert pseudokern("ethtool", "--version").stdout == "ethtool version 6.1\n"
    assert pseudokern("nvme", "version").stdout.startswith("nvme version 2.3")


@pytest.mark.root
def test_ethtool_inside_is_the_machine_s(laptop):
    said = pseudokern("enter", "--at", laptop.directory, "--", "ethtool", "-i", "eth0")
    assert said.stderr == ""
    assert said.stdout.splitlines()[:1] == ["driver: igb"]
    assert "bus-info: 0000:02:00.0" in said.stdout
