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
        "rx_xdp_drop": "xdp_drop", "rx_xdp_redirect": "", "rx_xdp_tx_xmit": "xdp_tx",
        "rx_xdp_tx_full": "xdp_tx_full", "rx_xdp_tx_err": "",
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
    "mlx5": {
        "rx{}_packets": "packets", "rx{}_bytes": "bytes", "rx{}_xdp_drop": "xdp_drop",
        "rx{}_xdp_redirect": "", "rx{}_xdp_tx_xmit": "xdp_tx", "rx{}_xdp_tx_full": "xdp_tx_full",
    },
    "virtio-net": {
        "rx{}_packets": "packets", "rx{}_bytes": "bytes", "rx{}_drops": "dropped",
        "rx{}_xdp_packets": "xdp_packets", "rx{}_xdp_tx": "xdp_tx", "rx{}_xdp_redirects": "",
        "rx{}_xdp_drops": "xdp_drop",
    },
}  # fmt: skip
VMXNET3_XDP = {
    "packets": "xdp_packets", "tx": "xdp_tx", "redirects": "", "drops": "xdp_dropped",
    "aborted": "xdp_aborted",
}  # fmt: skip
