"""Count what `ethtool -S` shows of a network card, by the names that its driver has for it."""

from typing import TYPE_CHECKING

from pseudokern.drivers.nic_stat_names import PER_QUEUE, TOTALS, VMXNET3_XDP

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic
    from pseudokern.drivers.nic_xdp import NicXdp
    from pseudokern.drivers.rx_queue import RxQueue


def stats(nic: "Nic") -> dict[str, int]:
    """get_ethtool_stats(), in its driver's order. Fold counts before."""
    received, rings = nic.received(), nic.rings
    style = nic.options["style"]
    xdp = nic.xdp if "xdp" in nic.__dict__ else None
    if style == "vmxnet3":
        return _vmxnet3(rings, xdp)
    numbers = {
        "packets": received.packets, "bytes": received.bytes, "dropped": received.dropped,
        **(xdp.counters(rings) if xdp else {}),
    }  # fmt: skip
    shown = {name: numbers.get(source, 0) for name, source in TOTALS[style].items()}
    names = PER_QUEUE[style]
    for number, queue in enumerate(rings[: max(nic.channels, len(nic.queues))]):
        counts = {"packets": queue.packets, "bytes": queue.bytes, "dropped": queue.dropped}
        if xdp:
            kept, kept_bytes = xdp.not_received([queue])
            counts |= xdp.counters([queue])
            counts |= {"packets": queue.packets - kept, "bytes": queue.bytes - kept_bytes}
        for name, source in names.items():
            shown[name.format(number)] = counts.get(source, 0)
    return shown


def _vmxnet3(rings: "list[RxQueue]", xdp: "NicXdp | None") -> dict[str, int]:
    shown = {}
    for number, queue in enumerate(rings):
        shown["Rx Queue#" if number == 0 else f"Rx Queue# {number}"] = number
        shown[f"  ucast pkts rx {number}"] = queue.packets
        shown[f"  ucast bytes rx {number}"] = queue.bytes
        shown[f"  pkts rx OOB {number}"] = queue.dropped
        counts = xdp.counters([queue]) if xdp else {}
        for name, source in VMXNET3_XDP.items():
            shown[f"     xdp {name} {number}"] = counts.get(source, 0)
    return shown
