"""Offer frames to a program on a machine with one CPU, and see how it hears of them."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from pseudokern.drivers.nic import Nic
from pseudokern.kernel.cputime import irq_time
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine

MS = 1_000_000
WARM_UP_MS, MEASURED_MS = 10, 40
TO_HZ = 1000 // MEASURED_MS
WAYS = ("an interrupt for each", "rx-usecs 50", "SO_BUSY_POLL", "poll mode")

MACHINE = """
[machine]
cpus = 1
iommu = "intel"

[[device]]
name = "eth0"
driver = "pseudokern.drivers.nic"
style = "mlx5"

[[load]]
user = "0%"

[[load]]
device = "eth0"
rate = "{offered_hz} Hz"

[[application]]
name = "program"
device = "eth0"
work = "200 ns"
"""
SERVER = 'kind = "server"\nrcvbuf = "768 KB"\n'  # as many packets as the ring has
BUSY_POLL = SERVER + 'busy_poll = "10 ms"\nprefer_busy_poll = true\n'


class Heard(NamedTuple):
    """A second: packets that the program got, and interrupts. p50_ns, p99_ns: from the wire.

    busy  share of the CPU that all of this took
    """

    served_hz: int
    interrupts_hz: int
    p50_ns: int
    p99_ns: int
    busy: float


@cache
def heard(way: str, offered_hz: int) -> Heard:
    """A second of frames, one of WAYS."""
    machine = _boot(way, offered_hz)
    nic = next(device for device in machine.devices if isinstance(device, Nic))
    if way != "poll mode":
        each = {"rx-usecs": 0, "rx-frames": 1}
        wait = {"rx-usecs": 50, "rx-frames": 256} if way == "rx-usecs 50" else each
        nic.ethtool.set_coalescing({"adaptive-rx": 0, **wait})
    if way == "SO_BUSY_POLL":
        nic.napi.gro_flush_timeout_ns, nic.napi.defer_hard_irqs = 10 * MS, 2
        nic.napi.apply()
    _run(machine, WARM_UP_MS * MS)
    before = _counts(machine, nic)
    _run(machine, MEASURED_MS * MS)
    served, interrupts, busy_ns = (
        now - then for now, then in zip(_counts(machine, nic), before, strict=True)
    )
    latency = machine.applications["program"].latency
    return Heard(
        served * TO_HZ,
        interrupts * TO_HZ,
        latency.percentile_ns(50),
        latency.percentile_ns(99),
        min(1.0, busy_ns / (MEASURED_MS * MS)),
    )


def _boot(way: str, offered_hz: int) -> Machine:
    program = {"SO_BUSY_POLL": BUSY_POLL, "poll mode": 'kind = "poll-mode"\n'}.get(way, SERVER)
    with TemporaryDirectory() as directory:
        path = Path(directory) / "machine.toml"
        path.write_text(MACHINE.format(offered_hz=offered_hz) + program)
        return Machine(load(str(path)), 0)


def _run(machine: Machine, duration_ns: int) -> None:
    until_ns = machine.timeline.now_ns + duration_ns
    while not machine.timeline.run(until_ns, 1_000_000):
        continue


def _counts(machine: Machine, nic: Nic) -> tuple[int, int, int]:
    """Packets, interrupts of the queue, and what the CPU has worked."""
    machine.pc.fold_counts()
    assert machine.kernel.sched is not None
    machine.kernel.sched.update()
    (this,) = machine.kernel.cpus
    taken = irq_time(machine.kernel, this)
    busy_ns = taken.hardirq_ns + taken.softirq_ns + this.system_ns + this.user_ns
    interrupts = sum(desc.total for _, desc in nic.sources if desc is not None)
    return machine.applications["program"].counts()["served"], interrupts, busy_ns
