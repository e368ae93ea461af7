"""`pseudokern ethtool`, and `ethtool` inside, show and set cards as the real one does."""

import pytest

from tests.mount.booted import pseudokern

pytestmark = [pytest.mark.mount]


@pytest.fixture
def ethtool(laptop):
    def run(*arguments):
        return pseudokern("ethtool", "--at", laptop.directory, *arguments)

    return run


def test_coalescing_is_set_and_shown(ethtool):
    said = ethtool("-C", "eth0", "rx-usecs", "50")
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
    lines = ethtool("-c", "eth0").stdout.splitlines()
    assert lines[:3] == [
        "Coalesce parameters for eth0:",
        "Adaptive RX: n/a  TX: n/a",
        "stats-block-usecs: n/a",
    ]
    assert lines[7:9] == ["rx-usecs: 50", "rx-frames: n/a"]
    assert lines[-2:] == ["CQE mode RX: n/a  TX: n/a", ""]
    ethtool("-C", "eth0", "rx-usecs", "0")


def test_channels_are_shown_with_their_maximum(ethtool):
    assert ethtool("--show-channels", "eth0").stdout == (
        "Channel parameters for eth0:\n"
        "Pre-set maximums:\nRX:\t\tn/a\nTX:\t\tn/a\nOther:\t\t1\nCombined:\t8\n"
        "Current hardware settings:\nRX:\t\tn/a\nTX:\t\tn/a\nOther:\t\t1\nCombined:\t4\n"
    )


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (("-L", "eth0", "combined", "9"), 1,
         "netlink error: requested channel count exceeds maximum (offset 36)\n"
         "netlink error: Invalid argument\n"),
        (("-C", "eth0", "rx-usecs", "20", "rx-frames", "3"), 1,
         "netlink error: cannot modify an unsupported parameter (offset 44)\n"
         "netlink error: Invalid argument\n"),
        (("-C", "eth0", "rx-usecs", "5"), 1, "netlink error: Invalid argument\n"),
        (("-C", "eth0", "speed", "5"), 1, "ethtool (-C): unknown parameter 'speed'\n"),
        (("-C", "eth0", "rx-usecs", "x"), 1,
         "ethtool (-C): invalid value 'x' for parameter 'rx-usecs'\n"),
        (("-G", "eth0", "rx", "9999"), 1,
         "netlink error: requested ring size exceeds maximum (offset 36)\n"
         "netlink error: Invalid argument\n"),
        (("-l", "eno1"), 1, "netlink error: Operation not supported\n"),
        (("-x", "eno1"), 1, "Cannot get RX ring count: Operation not supported\n"),
        (("-X", "eth0", "equal", "9"), 1,
         "Cannot set RX flow hash configuration: Invalid argument\n"),
        (("-c", "wlan0"), 1,
         "netlink error: no device matches name (offset 24)\nnetlink error: No such device\n"),
        (("-i", "wlan0"), 71, "Cannot get driver information: No such device\n"),
        (("-Z", "eth0"), 1, "ethtool: bad command line argument(s)\n"
         "For more information run ethtool -h\n"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_ethtool_s_words(ethtool, arguments, status, error):
    said = ethtool(*arguments)
    assert (said.returncode, said.stdout, said.stderr) == (status, "", error)


@pytest.mark.root
def test_ethtool_inside_is_the_machine_s(laptop):
    said = pseudokern("enter", "--at", laptop.directory, "--", "ethtool", "-i", "eth0")
    assert said.stderr == ""
    assert said.stdout.splitlines()[:1] == ["driver: igb"]
    assert "bus-info: 0000:02:00.0" in said.stdout
