"""How long nobody is answered while a CPU goes down or comes up, on the widest machine.

A CPU goes down between two events, as stop_machine() has it: no program sees half of it. So this
is one piece, however many interrupts have to move.
"""

import gc
import time
from collections.abc import Callable
from statistics import median

from bench.figure import Figure, Result
from pseudokern.irq.manage import irq_set_affinity
from pseudokern.kernel.cpumask import CpuId
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine

MACHINE = "wide-1024"
MUST_REACH_MS = 5
CPU, FULL_CPU = CpuId(500), CpuId(501)
LONGEST_GAP_NS = 30_000_000_000  # a queue interrupts once in ten seconds, and moves when it does


def measure(repeats: int) -> list[Result]:
    machine = Machine(load(MACHINE), seed=1)
    gc.freeze()  # as when it is booted
    times: dict[str, list[float]] = {"down": [], "up": [], "down, full of vectors": []}
    for _ in range(repeats):
        moved = _fill(machine, FULL_CPU)
        times["down, full of vectors"].append(_ms(lambda: machine.pc.hotplug.down(FULL_CPU)))
        machine.pc.hotplug.up(FULL_CPU)
        times["down"].append(_ms(lambda: machine.pc.hotplug.down(CPU)))
        times["up"].append(_ms(lambda: machine.pc.hotplug.up(CPU)))
    what = f"longest piece of work when one CPU of {MACHINE} goes"
    note = f"{len(machine.irqs)} interrupts; {moved} of them on the full CPU"
    return [
        Figure(f"{what} {how}", median(ms), "ms", MUST_REACH_MS, note) for how, ms in times.items()
    ]


def _ms(change: Callable[[], None]) -> float:
    """CPU time: what other programs take of this computer is not counted."""
    began = time.process_time()
    change()
    return (time.process_time() - began) * 1e3


def _fill(machine: Machine, cpu: CpuId) -> int:
    """Send as many interrupts to cpu as it has vectors; how many are there when each has come."""
    movable = [desc for desc in machine.irqs if desc.user_can_set_affinity]
    room = machine.pc.vectors.matrix.maps[cpu].available
    for desc in movable[-room:]:
        irq_set_affinity(desc, 1 << cpu)
    end_ns = machine.timeline.now_ns + LONGEST_GAP_NS
    while not machine.timeline.run(end_ns, 100_000):
        continue
    return sum(desc.effective_affinity == 1 << cpu for desc in machine.irqs)
