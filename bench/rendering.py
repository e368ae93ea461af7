"""What it costs to write /proc/interrupts again when little has changed."""

import time
from collections.abc import Iterable
from statistics import median

from bench.figure import Figure, Result, interleaved, ratio
from pseudokern.fs.interrupts import records_interrupts
from pseudokern.irq.desc import IrqDesc
from pseudokern.kernel.cpumask import first_cpu
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine

PRESET = "wide-1024"
MUST_REACH = 0.1


def measure(repeats: int) -> list[Result]:
    machine = Machine(load(PRESET), seed=1)
    rows = [desc for desc in machine.irqs if desc.actions]
    some = rows[:: len(rows) // (len(rows) // 100)]
    sizes = f"{len(rows)} rows, {sum(map(len, records_interrupts(machine))) / 1e6:.0f} MB"

    def again(changed: Iterable[IrqDesc]) -> float:
        for desc in changed:
            desc.count(first_cpu(desc.effective_affinity))
        began = time.process_time()
        records_interrupts(machine)
        return (time.process_time() - began) * 1e3

    ms = interleaved(repeats, full=lambda: again(rows), part=lambda: again(some))
    part_ms, full_ms = median(ms["part"]), median(ms["full"])
    note = f"{sizes}; {part_ms:.1f} ms with {len(some)} changed rows, {full_ms:.0f} ms in full"
    name = f"/proc/interrupts of {PRESET} again, 1 % of rows changed, over all changed"
    return [Figure(name, ratio(ms, "part", "full"), "x", MUST_REACH, note)]
