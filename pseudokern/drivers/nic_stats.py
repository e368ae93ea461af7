"""Count what `ethtool -S` shows of a network card, by the names that its driver has for it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pseudokern.drivers.nic_stat_names import NAMES, Counters

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic
    from pseudokern.drivers.rx_queue import RxQueue

Stats = list[tuple[str, int]]


def stats(nic: "Nic") -> Stats:
    """get_ethtool_stats(), in its driver's order; names may come twice. Fold counts before."""
    names = NAMES[nic.options["style"]]
    queues = nic.rings[: max(nic.channels, len(nic.queues))]
    counts = [_counts(nic, queue, number) for number, queue in enumerate(queues)]
    rx = [item for each in counts for item in _shown(names.rx, each)]
    tx = [item for each in counts for item in _shown(names.tx, each)]
    card = _card_counts(nic)
    both = [*tx, *rx] if names.tx_first else [*rx, *tx]
    return [*_shown(names.card, card), *both, *_shown(names.last, card)]


def _shown(names: Counters, counts: Mapping[str, int]) -> Stats:
    number = counts.get("number", 0)
    return [(name.format(number), counts.get(source, 0)) for name, source in names.items()]


def _card_counts(nic: "Nic") -> dict[str, int]:
    received = nic.received()
    xdp = nic.xdp if "xdp" in nic.__dict__ else None
    return {
        "packets": received.packets,
        "bytes": received.bytes,
        "dropped": received.dropped,
        **(_tx_counts(nic, slice(None)) if "tx" in nic.__dict__ else {}),
        **(xdp.counters(nic.rings) if xdp else {}),
    }


def _counts(nic: "Nic", queue: "RxQueue", number: int) -> dict[str, int]:
    counts = {
        "number": number,
        "packets": queue.packets,
        "bytes": queue.bytes,
        "dropped": queue.dropped,
    }
    if "tx" in nic.__dict__:
        counts |= _tx_counts(nic, slice(number, number + 1))
    if "xdp" in nic.__dict__:
        kept, kept_bytes = nic.xdp.not_received([queue])
        counts |= nic.xdp.counters([queue])
        counts |= {"packets": queue.packets - kept, "bytes": queue.bytes - kept_bytes}
    return counts


def _tx_counts(nic: "Nic", numbers: slice) -> dict[str, int]:
    is_posted, rings, queues = (
        nic.style.counts_posted,
        nic.tx.rings[numbers],
        nic.tx.queues[numbers],
    )
    return {
        "tx_packets": sum(ring.posted if is_posted else ring.cleaned for ring in rings),
        "tx_bytes": sum(ring.posted_bytes if is_posted else ring.cleaned_bytes for ring in rings),
        "tx_kicks": sum(ring.posted for ring in rings),
        "tx_stops": sum(ring.stops for ring in rings),
        "tx_wakes": sum(ring.wakes for ring in rings),
        "tx_timeouts": sum(queue.timeouts for queue in queues),
    }
