"""Offer frames to a network card on a machine with one CPU, and see what comes of it."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from pseudokern.drivers.ne2k_pci import Ne2kPci
from pseudokern.drivers.nic import Nic
from pseudokern.kernel.cost import CostModel
from pseudokern.kernel.kthread_task import let_threads_compete
from pseudokern.kernel.sched import Scheduler
from pseudokern.kernel.sched_task import SchedTask
from pseudokern.x86.pc import Pc
from tests.drivers.plugging import plugged
from tests.drivers.test_net_load import load
from tests.machine_parts import MS, new_pc, run_for

WARM_UP_MS, MEASURED_MS = 10, 40
WAITED_MS = 200  # of a fast load only some polls are measured
TO_HZ = 1000 // MEASURED_MS
KINDS = ("interrupt per packet", "NAPI", "NAPI, rx-usecs 50", "NAPI in a thread")


class Seen(NamedTuple):
    """A second: frames that reached the protocols, interrupts. busy: share of the CPU."""

    delivered_hz: int
    interrupts_hz: int
    busy: float


class Waits(NamedTuple):
    """How long frames take from the wire to the poll that takes them, and interrupts a second."""

    p50_ns: int
    p99_ns: int
    interrupts_hz: int


class Computing(SchedTask):
    """A program that always has something to do."""

    def step(self) -> None:
        self.compute(user_ns=100_000)


@cache
def reception(kind: str, offered_hz: int) -> Seen:
    """A second of frames, one of KINDS."""
    pc = _receiving(kind, offered_hz)
    run_for(pc, WARM_UP_MS * MS)
    before = _counts(pc)
    run_for(pc, MEASURED_MS * MS)
    delivered, interrupts, busy_ns = (
        now - then for now, then in zip(_counts(pc), before, strict=True)
    )
    return Seen(delivered * TO_HZ, interrupts * TO_HZ, min(1.0, busy_ns / (MEASURED_MS * MS)))


@cache
def program_share(kind: str, offered_hz: int) -> float:
    """What reception, one of KINDS, leaves of the CPU to a program."""
    pc = new_pc(1, cost=CostModel())
    ticks = pc.apic_timers.ticks
    pc.kernel.sched = Scheduler(pc.kernel, pc.smp.send_reschedule, ticks.leave_idle)
    let_threads_compete(pc.irqs.kthreads, pc.kernel.sched)
    _receiving(kind, offered_hz, pc)
    program = Computing(100, "program", 1, 0)
    pc.kernel.sched.start(program)
    used_ns = []
    for duration_ms in (WARM_UP_MS, 2 * MEASURED_MS):
        run_for(pc, duration_ms * MS)
        pc.kernel.sched.update()
        used_ns.append(program.utime_ns)
    return (used_ns[1] - used_ns[0]) / (2 * MEASURED_MS * MS)


@cache
def waits(us: int, frames: int, offered_hz: int) -> Waits:
    """Frames of a load, with this rx-usecs and rx-frames."""
    pc = new_pc(1, cost=CostModel())
    nic = plugged(pc, Nic, "eth0", style="mlx5")
    nic.ethtool.set_coalescing({"adaptive-rx": 0, "rx-usecs": us, "rx-frames": frames})
    nic.set_load(load(rate=float(offered_hz)))
    run_for(pc, WAITED_MS * MS)
    pc.fold_counts()
    latency = nic.feed(0).latency.napi
    interrupts = sum(desc.total for desc in pc.irqs)
    return Waits(
        latency.percentile_ns(50), latency.percentile_ns(99), interrupts * 1000 // WAITED_MS
    )


def along(kind: str, offered: Sequence[int]) -> list[Seen]:
    return [reception(kind, offered_hz) for offered_hz in offered]


def _receiving(kind: str, offered_hz: int, pc: Pc | None = None) -> Pc:
    """A machine whose one CPU receives. Without NAPI the handler takes the frames itself."""
    pc = pc or new_pc(1, cost=CostModel())
    if kind == "interrupt per packet":
        plugged(pc, Ne2kPci, "eth0", rate=f"{offered_hz} Hz", gsi=17)
        return pc
    nic = plugged(pc, Nic, "eth0", style="mlx5", rate=f"{offered_hz} Hz")
    nic.ethtool.set_coalescing({"adaptive-rx": 0, "rx-usecs": 50 if "usecs" in kind else 0,
                                "rx-frames": 256 if "usecs" in kind else 1})  # fmt: skip
    if "thread" in kind:
        nic.napi.threaded = True
        nic.napi.apply()
    return pc


def _counts(pc: Pc) -> tuple[int, int, int]:
    pc.fold_counts()
    (this,) = pc.kernel.cpus
    interrupts = sum(desc.total for desc in pc.irqs)
    return this.rx_packets, interrupts, this.hardirq_ns + this.softirq_ns + this.system_ns
