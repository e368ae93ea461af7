"""Name what each driver counts, as `ethtool -S` shows it: of the card, and of each queue.

A name has what is counted here behind it, or nothing: that stands at 0.
"""

from collections.abc import Mapping

_INTEL = {
    "rx_packets": "packets", "tx_packets": "", "rx_bytes": "bytes", "tx_bytes": "",
    "rx_broadcast": "", "tx_broadcast": "", "rx_multicast": "", "tx_multicast": "",
    "collisions": "", "rx_crc_errors": "", "rx_no_buffer_count": "dropped",
    "rx_missed_errors": "dropped",
}  # fmt: skip
TOTALS: Mapping[str, Mapping[str, str]] = {
    "e1000e": _INTEL,
    "igb": _INTEL,
    "ice": {
        "rx_unicast": "packets", "tx_unicast": "", "rx_bytes": "bytes", "tx_bytes": "",
        "rx_dropped": "dropped", "tx_errors": "",
    },
    "mlx5": {
        "rx_packets": "packets", "rx_bytes": "bytes", "tx_packets": "", "tx_bytes": "",
        "rx_out_of_buffer": "dropped",
    },
    "virtio-net": {},
}  # fmt: skip
PER_QUEUE: Mapping[str, Mapping[str, str]] = {
    "e1000e": {},
    "igb": {
        "rx_queue_{}_packets": "packets", "rx_queue_{}_bytes": "bytes",
        "rx_queue_{}_drops": "dropped",
    },
    "ice": {"rx_queue_{}_packets": "packets", "rx_queue_{}_bytes": "bytes"},
    "mlx5": {"rx{}_packets": "packets", "rx{}_bytes": "bytes"},
    "virtio-net": {
        "rx{}_packets": "packets", "rx{}_bytes": "bytes", "rx{}_drops": "dropped",
    },
}  # fmt: skip
