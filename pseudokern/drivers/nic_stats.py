"""Count what `ethtool -S` shows of a network card, by the names that its driver has for it."""

from typing import TYPE_CHECKING

from pseudokern.drivers.nic_stat_names import PER_QUEUE, TOTALS

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic
    from pseudokern.drivers.rx_queue import RxQueue


def stats(nic: "Nic") -> dict[str, int]:
    """get_ethtool_stats(), in its driver's order. Fold counts before."""
    received, rings = nic.received(), nic.rings
    style = nic.options["style"]
    if style == "vmxnet3":
        return _vmxnet3(rings)
    numbers = {
        "packets": received.packets, "bytes": received.bytes, "dropped": received.dropped,
    }  # fmt: skip
    shown = {name: numbers.get(source, 0) for name, source in TOTALS[style].items()}
    names = PER_QUEUE[style]
    for number, queue in enumerate(rings[: max(nic.channels, len(nic.queues))]):
        counts = {"packets": queue.packets, "bytes": queue.bytes, "dropped": queue.dropped}
        for name, source in names.items():
            shown[name.format(number)] = counts.get(source, 0)
    return shown


def _vmxnet3(rings: "list[RxQueue]") -> dict[str, int]:
    shown = {}
    for number, queue in enumerate(rings):
        shown["Rx Queue#" if number == 0 else f"Rx Queue# {number}"] = number
        shown[f"  ucast pkts rx {number}"] = queue.packets
        shown[f"  ucast bytes rx {number}"] = queue.bytes
        shown[f"  pkts rx OOB {number}"] = queue.dropped
    return shown
