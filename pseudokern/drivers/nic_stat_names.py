"""Name what each driver counts, in its order, as `ethtool -S` shows it.

A name is text, of which {} is the queue's number. One that has something counted here behind a
colon shows that; the others stand at 0. mlx5 has some hundred names more than are here.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

Counters = Mapping[str, str]

_NONE: Counters = MappingProxyType({})


def _counters(text: str) -> Counters:
    """Of words like rx_packets:packets, or of lines like that if there are any."""
    items = text.strip("\n").split("\n") if "\n" in text else text.split()
    return {name: source for name, _, source in (item.partition(":") for item in items)}


class Names(NamedTuple):
    """Of the card, then of all receive queues, of all transmit queues, and last.

    tx_first  all transmit queues come before the receive queues, and not behind them
    """

    card: Counters = _NONE
    rx: Counters = _NONE
    tx: Counters = _NONE
    last: Counters = _NONE
    tx_first: bool = False


_E1000E = _counters(
    "rx_packets:packets tx_packets:tx_packets rx_bytes:bytes tx_bytes:tx_bytes rx_broadcast "
    "tx_broadcast rx_multicast tx_multicast rx_errors tx_errors tx_dropped multicast collisions "
    "rx_length_errors rx_over_errors rx_crc_errors rx_frame_errors rx_no_buffer_count:dropped "
    "rx_missed_errors:dropped tx_aborted_errors tx_carrier_errors tx_fifo_errors "
    "tx_heartbeat_errors tx_window_errors tx_abort_late_coll tx_deferred_ok tx_single_coll_ok "
    "tx_multi_coll_ok tx_timeout_count:tx_timeouts tx_restart_queue:tx_wakes rx_long_length_errors "
    "rx_short_length_errors rx_align_errors tx_tcp_seg_good tx_tcp_seg_failed "
    "rx_flow_control_xon rx_flow_control_xoff tx_flow_control_xon tx_flow_control_xoff "
    "rx_csum_offload_good rx_csum_offload_errors rx_header_split alloc_rx_buff_failed tx_smbus "
    "rx_smbus dropped_smbus rx_dma_failed tx_dma_failed rx_hwtstamp_cleared uncorr_ecc_errors "
    "corr_ecc_errors tx_hwtstamp_timeouts tx_hwtstamp_skipped"
)

_IGB = Names(
    card=_counters(
        "rx_packets:packets tx_packets:tx_packets rx_bytes:bytes tx_bytes:tx_bytes rx_broadcast "
        "tx_broadcast rx_multicast tx_multicast multicast collisions rx_crc_errors "
        "rx_no_buffer_count:dropped rx_missed_errors:dropped tx_aborted_errors tx_carrier_errors "
        "tx_window_errors tx_abort_late_coll tx_deferred_ok tx_single_coll_ok tx_multi_coll_ok "
        "tx_timeout_count:tx_timeouts rx_long_length_errors rx_short_length_errors rx_align_errors "
        "tx_tcp_seg_good tx_tcp_seg_failed rx_flow_control_xon rx_flow_control_xoff "
        "tx_flow_control_xon tx_flow_control_xoff rx_long_byte_count:bytes tx_dma_out_of_sync "
        "tx_smbus rx_smbus dropped_smbus os2bmc_rx_by_bmc os2bmc_tx_by_bmc os2bmc_tx_by_host "
        "os2bmc_rx_by_host tx_hwtstamp_timeouts tx_hwtstamp_skipped rx_hwtstamp_cleared rx_errors "
        "tx_errors tx_dropped rx_length_errors rx_over_errors rx_frame_errors rx_fifo_errors "
        "tx_fifo_errors tx_heartbeat_errors"
    ),
    tx=_counters(
        "tx_queue_{}_packets:tx_packets tx_queue_{}_bytes:tx_bytes tx_queue_{}_restart:tx_wakes"
    ),
    rx=_counters(
        "rx_queue_{}_packets:packets rx_queue_{}_bytes:bytes rx_queue_{}_drops:dropped "
        "rx_queue_{}_csum_err rx_queue_{}_alloc_failed"
    ),
    tx_first=True,
)

_ICE_SIZES = " ".join(
    f"rx_size_{size}.nic tx_size_{size}.nic" for size in (64, 127, 255, 511, 1023, 1522, "big")
)
_ICE = Names(
    card=_counters(
        "rx_unicast:packets tx_unicast:tx_packets rx_multicast tx_multicast rx_broadcast "
        "tx_broadcast rx_bytes:bytes tx_bytes:tx_bytes rx_dropped:dropped rx_unknown_protocol "
        "rx_alloc_fail rx_pg_alloc_fail tx_errors tx_linearize tx_busy tx_restart:tx_wakes"
    ),
    tx=_counters("tx_queue_{}_packets:tx_packets tx_queue_{}_bytes:tx_bytes"),
    rx=_counters("rx_queue_{}_packets:packets rx_queue_{}_bytes:bytes"),
    last=_counters(
        "rx_bytes.nic:bytes tx_bytes.nic:tx_bytes rx_unicast.nic:packets "
        "tx_unicast.nic:tx_packets rx_multicast.nic tx_multicast.nic rx_broadcast.nic "
        f"tx_broadcast.nic tx_errors.nic tx_timeout.nic:tx_timeouts {_ICE_SIZES} link_xon_rx.nic "
        "link_xon_tx.nic link_xoff_rx.nic link_xoff_tx.nic tx_dropped_link_down.nic "
        "rx_undersize.nic rx_fragments.nic rx_oversize.nic rx_jabber.nic rx_csum_bad.nic "
        "rx_length_errors.nic rx_dropped.nic:dropped rx_crc_errors.nic illegal_bytes.nic "
        "mac_local_faults.nic mac_remote_faults.nic fdir_sb_match.nic fdir_sb_status.nic"
    ),
    tx_first=True,
)

_MLX5 = Names(
    card=_counters(
        "rx_packets:packets rx_bytes:bytes tx_packets:tx_packets tx_bytes:tx_bytes "
        "rx_xdp_drop:xdp_drop rx_xdp_redirect rx_xdp_tx_xmit:xdp_tx rx_xdp_tx_full:xdp_tx_full "
        "rx_xdp_tx_err tx_queue_stopped:tx_stops tx_queue_dropped "
        "tx_queue_wake:tx_wakes rx_buff_alloc_err "
        "rx_out_of_buffer:dropped"
    ),
    rx=_counters(
        "rx{}_packets:packets rx{}_bytes:bytes rx{}_xdp_drop:xdp_drop rx{}_xdp_redirect "
        "rx{}_buff_alloc_err rx{}_xdp_tx_xmit:xdp_tx rx{}_xdp_tx_full:xdp_tx_full rx{}_xdp_tx_err"
    ),
    tx=_counters(
        "tx{}_packets:tx_packets tx{}_bytes:tx_bytes tx{}_stopped:tx_stops tx{}_dropped "
        "tx{}_wake:tx_wakes"
    ),
)

_MLX4 = Names(
    card=_counters(
        "rx_packets:packets tx_packets:tx_packets rx_bytes:bytes tx_bytes:tx_bytes rx_dropped:"
        "dropped tx_dropped multicast rx_length_errors rx_over_errors rx_crc_errors "
        "rx_fifo_errors tso_packets xmit_more queue_stopped:tx_stops wake_queue:tx_wakes "
        "tx_timeout:tx_timeouts rx_alloc_pages "
        "rx_csum_good rx_csum_none rx_csum_complete tx_chksum_offload rx_xdp_drop:xdp_drop "
        "rx_xdp_redirect rx_xdp_redirect_fail rx_xdp_tx:xdp_tx rx_xdp_tx_full:xdp_tx_full"
    ),
    tx=_counters("tx{}_packets:tx_packets tx{}_bytes:tx_bytes"),
    rx=_counters(
        "rx{}_packets:packets rx{}_bytes:bytes rx{}_dropped:dropped rx{}_xdp_drop:xdp_drop "
        "rx{}_xdp_redirect rx{}_xdp_redirect_fail rx{}_xdp_tx:xdp_tx rx{}_xdp_tx_full:xdp_tx_full"
    ),
    tx_first=True,
)

_BNXT = Names(
    rx={
        "[{}]: rx_ucast_packets": "packets", "[{}]: rx_discards": "dropped",
        "[{}]: rx_ucast_bytes": "bytes",
    },
    tx={"[{}]: tx_ucast_packets": "tx_packets", "[{}]: tx_ucast_bytes": "tx_bytes"},
)  # fmt: skip

_VIRTIO_RX = _counters(
    "drops:dropped xdp_packets:xdp_packets xdp_tx:xdp_tx xdp_redirects xdp_drops:xdp_drop kicks"
)
_VIRTIO_TX = _counters(
    "xdp_tx:xdp_tx xdp_tx_drops:xdp_tx_full kicks:tx_kicks tx_timeouts:tx_timeouts"
)


def _virtio(number: str) -> tuple[Counters, Counters]:
    rx = {f"rx{number}_{name}": source for name, source in _VIRTIO_RX.items()}
    return rx, {f"tx{number}_{name}": source for name, source in _VIRTIO_TX.items()}


_VIRTIO_CARD = _virtio("")
_VIRTIO_QUEUE = _virtio("{}")
_VIRTIO_NET = Names(
    card={**_VIRTIO_CARD[0], **_VIRTIO_CARD[1]}, rx=_VIRTIO_QUEUE[0], tx=_VIRTIO_QUEUE[1]
)

_VMXNET3 = Names(
    tx=_counters(
        """
Tx Queue#:number
  TSO pkts tx
  TSO bytes tx
  ucast pkts tx:tx_packets
  ucast bytes tx:tx_bytes
  mcast pkts tx
  mcast bytes tx
  bcast pkts tx
  bcast bytes tx
  pkts tx err
  pkts tx discard
  drv dropped tx total
     too many frags
     giant hdr
     hdr err
     tso
  ring full:tx_stops
  pkts linearized
  hdr cloned
  giant hdr
  xdp xmit:xdp_tx
  xdp xmit err:xdp_tx_full
"""
    ),
    rx=_counters(
        """
Rx Queue#:number
  LRO pkts rx
  LRO byte rx
  ucast pkts rx:packets
  ucast bytes rx:bytes
  mcast pkts rx
  mcast bytes rx
  bcast pkts rx
  bcast bytes rx
  pkts rx OOB:dropped
  pkts rx err
  drv dropped rx total
     err
     fcs
  rx buf alloc fail
     xdp packets:xdp_packets
     xdp tx:xdp_tx
     xdp redirects
     xdp drops:xdp_dropped
     xdp aborted:xdp_aborted
"""
    ),
    last={"tx timeout count": "tx_timeouts"},
    tx_first=True,
)

NAMES: Mapping[str, Names] = {
    "e1000e": Names(card=_E1000E),
    "igb": _IGB,
    "ice": _ICE,
    "mlx5": _MLX5,
    "mlx4": _MLX4,
    "bnxt": _BNXT,
    "vmxnet3": _VMXNET3,
    "virtio-net": _VIRTIO_NET,
}
