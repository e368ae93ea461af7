"""Have frames come to the queues of a card: those of its key `rate`, and those of its load."""

from typing import TYPE_CHECKING

from pseudokern.drivers.rx_queue import FRAME_BYTES, RxQueue

if TYPE_CHECKING:
    from pseudokern.drivers.net_load import NetLoad
    from pseudokern.drivers.nic import Nic


def start_traffic(nic: "Nic") -> None:
    """One stream for all queues that have the same rate."""
    if nic.load is not None:
        _start_load(nic, nic.load)
    by_rate: dict[float, list[RxQueue]] = {}
    used = nic.queues[: nic.channels]
    for number, rate_hz in enumerate(nic.options["rate"]):
        queue = used[number % len(used)]
        by_rate.setdefault(rate_hz, []).append(queue)
    for rate_hz, targets in by_rate.items():
        nic.traffic(rate_hz, targets)


def flow_hashes(nic: "Nic") -> dict[RxQueue, list[int]]:
    """What the card says of the flows of its load, by the queue that they go to."""
    found: dict[RxQueue, list[int]] = {}
    if nic.load is not None and nic.queues:
        for flow in nic.load.flows:
            hashes = found.setdefault(nic.queue_of(flow), [])
            hashes.append(nic.ethtool.flow_hash(flow))
    return found


def _start_load(nic: "Nic", load: "NetLoad") -> None:
    """The frames of its flows; a queue's are as long as they are on average."""
    offered = {queue: [0.0, 0.0] for queue in nic.queues}
    for number, rate_hz in enumerate(nic.options["rate"]):
        queue = nic.queues[number % min(nic.channels, len(nic.queues))]
        offered[queue][0] += rate_hz
        offered[queue][1] += rate_hz * FRAME_BYTES
    load.start()
    for flow in load.flows:
        sums = offered[nic.queue_of(flow)]
        sums[0] += load.each_hz
        sums[1] += load.each_hz * load.frame_bytes
    if "napi" in nic.__dict__ and (nic.napi.rps_cpus or nic.napi.receiver):
        nic.napi.apply()
    if "xdp" in nic.__dict__:
        nic.xdp.apply()
    nic.pc.fold_counts()
    for queue, (rate_hz, bytes_hz) in offered.items():
        frame_bytes = round(bytes_hz / rate_hz) if rate_hz else FRAME_BYTES
        queue.whole_ring.set_frame_bytes(frame_bytes, queue.packets)
