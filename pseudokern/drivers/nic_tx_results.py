"""Say what became of the frames that a card had to send.

    tx_offered 10035
    tx_sent 10031
    tx_in_flight 4
    tx-0 cpu 0 interrupts 4873 sent 4935 dropped 0 in_flight 0
    sender.wire p50_ns 1911 p99_ns 1911 p99.9_ns 1911 max_ns 1911 frames 10035

The last line is there for those that a load sends: from sendmsg() until they have left.
"""

from typing import TYPE_CHECKING

from pseudokern.kernel.cpumask import first_cpu
from pseudokern.sim.histogram import Histogram

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic

PERCENTS = (50, 99, 99.9)


def tx_results(nic: "Nic") -> list[str]:
    """Packets by what became of them, which sum up to those that were offered."""
    tx = nic.tx
    if not any(ring.posted for ring in tx.rings) and not any(queue.offered for queue in tx.queues):
        return []
    qdiscs = [queue.qdisc for queue in tx.queues]
    counts = {
        "offered": sum(queue.offered for queue in tx.queues) + tx.xdp_offered,
        "sent": sum(ring.cleaned for ring in tx.rings),
        "dropped_qdisc": sum(qdisc.drops for qdisc in qdiscs),
        "dropped_xdp_full": tx.xdp_drops,
        "dropped_down": sum(queue.dropped_down for queue in tx.queues),
        "dropped_with_qdisc": sum(qdisc.purged for qdisc in qdiscs),
        "dropped_with_ring": sum(ring.purged for ring in tx.rings),
        "in_flight": tx.in_flight(),
        "requeues": sum(qdisc.requeues for qdisc in qdiscs),
        "timeouts": sum(queue.timeouts for queue in tx.queues),
    }
    lines = [f"tx_{name} {count}" for name, count in counts.items()]
    lines += [_row(nic, number) for number in range(min(tx.count, len(tx.rings)))]
    if nic.load is not None and "senders" in nic.load.__dict__:
        lines += latency_line("sender.wire", nic.load.senders.latency)
    return lines


def latency_line(name: str, latency: Histogram) -> list[str]:
    """Nothing if nothing was measured."""
    if not latency.total:
        return []
    shares = [f"p{share:g}_ns {latency.percentile_ns(share)}" for share in PERCENTS]
    return [f"{name} {' '.join(shares)} max_ns {latency.most_ns} frames {latency.total}"]


def _row(nic: "Nic", number: int) -> str:
    ring, queue = nic.tx.rings[number], nic.tx.queues[number]
    desc = nic.tx.desc_of(number)
    cpu = first_cpu(desc.effective_affinity) if desc is not None else 0
    dropped = queue.qdisc.drops + queue.qdisc.purged + queue.dropped_down + ring.purged
    return (
        f"tx-{number} cpu {cpu} interrupts {nic.tx.interrupts(number)} sent {ring.cleaned}"
        f" dropped {dropped} in_flight {ring.in_flight + queue.qdisc.length}"
    )
