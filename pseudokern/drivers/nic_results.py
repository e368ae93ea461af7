"""Say what became of the frames of a card, and how long they took.

    rx-0 cpu 0 interrupts 51872 delivered 52575 dropped 0
    rx-0.napi p50_ns 2000 p99_ns 3967 p99.9_ns 6015 max_ns 8100 frames 52575

The second line is there for queues that a load feeds; see kernel/latency.py. What is sent comes
after that: nic_tx_results.py.
"""

from typing import TYPE_CHECKING

from pseudokern.drivers.nic_tx_results import latency_line, tx_results
from pseudokern.kernel.cpumask import first_cpu

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic


def results(nic: "Nic") -> str:
    """Frames by what became of them, which sum up to those that were offered."""
    nic.pc.fold_counts()
    received = nic.received()
    xdp = nic.xdp.queues if "xdp" in nic.__dict__ else {}
    taken = {queue: xdp[queue].taken if queue in xdp else 0 for queue in nic.rings}
    lines = [
        f"offered {sum(queue.arrived for queue in nic.rings)}",
        f"delivered {sum(queue.packets - taken[queue] for queue in nic.rings)}",
        f"dropped_{received.overflow} {received.dropped}",
        f"dropped_with_ring {received.discarded}",
        *(nic.xdp.results() if xdp else ()),
        f"in_flight {sum(queue.waiting for queue in nic.rings)}",
    ]
    for number, (_, desc) in enumerate(nic.sources):
        queue, count = nic.queues[number], desc.total if desc is not None else 0
        cpu = first_cpu(desc.effective_affinity) if desc is not None else 0
        lines.append(
            f"rx-{number} cpu {cpu} interrupts {count}"
            f" delivered {queue.packets - taken[queue]} dropped {queue.dropped}"
        )
        lines += _latency(nic, number)
    for number, queue in enumerate(nic.queues if nic.port is not None else ()):
        assert nic.port is not None
        where = f"rx-{number} cpu {nic.port.cpu_of(number)} interrupts 0"
        lines.append(f"{where} delivered {queue.packets} dropped {queue.dropped}")
        lines += _latency(nic, number)
    if nic.sources and any(queue.feed is not None for queue in nic.queues):
        lines.append(f"interrupt.stages {_stages(nic)}")
    if "tx" in nic.__dict__:
        lines += tx_results(nic)
    return "\n".join(lines) + "\n"


def _latency(nic: "Nic", number: int) -> list[str]:
    feed = nic.queues[number].feed
    if feed is None:
        return []
    lines = []
    for name in ("handler", "napi", "application"):
        lines += latency_line(f"rx-{number}.{name}", getattr(feed.latency, name))
    return lines


def _stages(nic: "Nic") -> str:
    """What one interrupt of a queue takes, one step after the other."""
    cost, handler_ns = nic.kernel.cost, nic.options["handler"]
    stages = {
        "delivery": cost.delivery_ns,
        "entry": cost.entry_ns,
        "handler": cost.handler_ns if handler_ns is None else handler_ns,
        "eoi": cost.eoi_ns,
        "exit": cost.exit_ns,
        "softirq": cost.softirq_ns,
    }
    return " ".join(f"{name}_ns {time_ns}" for name, time_ns in stages.items())
