"""The queue of a frame follows from a Toeplitz hash of its flow."""

from ipaddress import IPv4Address

import pytest

from pseudokern.drivers.rss import Flow, spread, toeplitz, weigh

# Microsoft, "Verifying the RSS hash calculation".
KEY = bytes.fromhex(
    "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa"
)
VECTORS = [
    ("161.142.100.80", 1766, "66.9.149.187", 2794, 0x323E8FC2, 0x51CCC178),
    ("65.69.140.83", 4739, "199.92.111.2", 14230, 0xD718262A, 0xC626B0EA),
    ("12.22.207.184", 38024, "24.19.198.95", 12898, 0xD2D0A5DE, 0x5C2B394A),
    ("209.142.163.6", 2217, "38.27.205.30", 48228, 0x82989176, 0xAFC7327F),
    ("202.188.127.2", 1303, "153.39.163.191", 44251, 0x5D1809C5, 0x10E828A2),
]


@pytest.mark.parametrize(("to", "to_port", "by", "by_port", "of_addresses", "of_all"), VECTORS)
def test_hash_is_microsoft_s(to, to_port, by, by_port, of_addresses, of_all):
    flow = Flow(int(IPv4Address(by)), int(IPv4Address(to)), by_port, to_port)
    assert toeplitz(KEY, flow.hashed[:8]) == of_addresses
    assert toeplitz(KEY, flow.hashed) == of_all


def test_equal_3_start_1_takes_queues_1_to_3_in_turn():
    assert spread(8, 3, 1) == [1, 2, 3, 1, 2, 3, 1, 2]


def test_weights_1_and_3_are_a_quarter_and_three_quarters():
    assert weigh(8, [1, 3]) == [0, 0, 1, 1, 1, 1, 1, 1]


def test_queue_without_weight_gets_nothing():
    assert weigh(8, [0, 1]) == [1] * 8
    with pytest.raises(OSError, match="must be non-zero"):
        weigh(8, [0, 0])
