"""Offer frames to a network card on a machine with one CPU, and see what becomes of them."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from pseudokern.drivers.ne2k_pci import Ne2kPci
from pseudokern.drivers.nic import Nic
from pseudokern.kernel.cost import CostModel
from pseudokern.x86.pc import Pc
from tests.drivers.plugging import plugged
from tests.machine_parts import MS, new_pc, run_for

WARM_UP_MS, MEASURED_MS = 10, 40
TO_HZ = 1000 // MEASURED_MS
KINDS = ("interrupt per packet", "NAPI", "NAPI, rx-usecs 50", "NAPI in a thread")


class Seen(NamedTuple):
    """A second: frames that reached the protocols, interrupts. busy: share of the CPU."""

    delivered_hz: int
    interrupts_hz: int
    busy: float


@cache
def reception(kind: str, offered_hz: int) -> Seen:
    """A second of frames, one of KINDS. Without NAPI the handler takes the frames itself."""
    pc = new_pc(1, cost=CostModel())
    if kind == "interrupt per packet":
        plugged(pc, Ne2kPci, "eth0", rate=f"{offered_hz} Hz", gsi=17)
    else:
        nic = plugged(pc, Nic, "eth0", style="mlx5", rate=f"{offered_hz} Hz")
        nic.ethtool.set_coalescing({"adaptive-rx": 0, "rx-usecs": 50 if "usecs" in kind else 0,
                                    "rx-frames": 256 if "usecs" in kind else 1})  # fmt: skip
        if "thread" in kind:
            nic.napi.threaded = True
            nic.napi.apply()
    run_for(pc, WARM_UP_MS * MS)
    before = _counts(pc)
    run_for(pc, MEASURED_MS * MS)
    delivered, interrupts, busy_ns = (
        now - then for now, then in zip(_counts(pc), before, strict=True)
    )
    return Seen(delivered * TO_HZ, interrupts * TO_HZ, min(1.0, busy_ns / (MEASURED_MS * MS)))


def along(kind: str, offered: Sequence[int]) -> list[Seen]:
    return [reception(kind, offered_hz) for offered_hz in offered]


def _counts(pc: Pc) -> tuple[int, int, int]:
    pc.fold_counts()
    (this,) = pc.kernel.cpus
    interrupts = sum(desc.total for desc in pc.irqs)
    return this.rx_packets, interrupts, this.hardirq_ns + this.softirq_ns + this.system_ns
