"""What one interrupt costs: from the frame that arrives to its poll in NET_RX.

All of the machine is real: the cards, MSI-X, the APICs, the flow, kstat, softirqs, NAPI. What is
counted is what kstat counts. How often a CPU is busy when an interrupt comes decides how many
have to wait in IRR, and which share of the polls has to wait for other softirqs; both cost more
events, so the load of the simulated CPUs is part of the figure.
"""

import heapq
import time
from functools import partial
from random import Random
from statistics import median

from bench import storm
from bench.figure import Figure, Result, interleaved, ratio
from bench.machines import network_machine
from pseudokern.kernel.cost import CostModel
from pseudokern.machine.machine import Machine

SOURCES = 64
U_TIMES = 100_000
WARM_UP = 300_000  # every queue has moved to its CPU by then
INTERRUPTS = 30_000  # in one turn: as long as U_TIMES, so that both meet the same CPU
TURNS = 12  # in one repeat
SLICE = 125  # events in one call of Timeline.run(), as many as the pacer does in 100 us
QUEUES_PER_CPU = 16
LOAD = 10  # per cent of each simulated CPU that interrupts and softirqs take
HIGH_LOAD = 30
MUST_REACH_U = 5
MUST_REACH_GROWTH = 2.5


def measure(repeats: int) -> list[Result]:
    machines = {
        f"{shape}_{load}": new_machine(shape, load)
        for load in (LOAD, HIGH_LOAD)
        for shape in ("small", "wide")
    }
    for machine in machines.values():
        interrupt_ns(machine, WARM_UP)
    ns = interleaved(
        repeats * TURNS,
        u=u_ns,
        **{name: partial(interrupt_ns, machine) for name, machine in machines.items()},
    )
    found: list[Result] = []
    for load in (LOAD, HIGH_LOAD):
        small, wide = f"small_{load}", f"wide_{load}"
        must = load == LOAD
        found += [
            Figure(
                f"one interrupt, 64 sources x 4 CPUs, {load} % load",
                ratio(ns, small, "u"),
                "U",
                MUST_REACH_U if must else None,
                f"{median(ns[small]):.0f} ns; U is {median(ns['u']):.0f} ns; load: share of each "
                "simulated CPU that interrupts and softirqs take",
            ),
            Figure(
                f"the same, 4096 sources x 256 CPUs, {load} % load",
                ratio(ns, wide, small),
                "x",
                MUST_REACH_GROWTH if must else None,
                f"{median(ns[wide]):.0f} ns",
            ),
        ]
    machines.clear()
    return [*found, _waiting(repeats), *storm.measure(repeats)]


def _waiting(repeats: int) -> Figure:
    """The same where frames wait; by itself, so that the others have the caches as before."""
    machine = new_machine("small", LOAD, waits=True)
    interrupt_ns(machine, WARM_UP)
    ns = interleaved(repeats * TURNS, u=u_ns, waiting=partial(interrupt_ns, machine))
    return Figure(
        f"one interrupt, 64 sources x 4 CPUs, {LOAD} % load, with igb's default rx-usecs 3",
        ratio(ns, "waiting", "u"),
        "U",
        None,
        f"{median(ns['waiting']):.0f} ns; in the others each frame interrupts",
    )


def new_machine(shape: str, load: int, *, waits: bool = False) -> Machine:
    """One card on 4 CPUs, or 16 on 256; 16 queues for each CPU, all at the same rate."""
    cost = CostModel()
    work_ns = cost.overhead_ns + cost.handler_ns + cost.softirq_ns + cost.softirq_item_ns
    rate_hz = round(load / 100 * 1e9 / work_ns / QUEUES_PER_CPU)
    cards, queues, cpus = (1, 64, 4) if shape == "small" else (16, 256, 256)
    return network_machine(cards, queues, cpus, rate_hz, waits=waits)


def u_ns() -> float:
    """The unit. Each event asks for its next one, as a source of events does."""
    random = Random(1)
    mean_ns = 1_000_000
    heap = [round(random.expovariate(1 / mean_ns)) << 16 | n for n in range(SOURCES)]
    heapq.heapify(heap)
    gaps = [round(random.expovariate(1 / mean_ns)) << 16 for _ in range(U_TIMES)]
    heappush, heappop = heapq.heappush, heapq.heappop
    began = time.process_time_ns()
    for gap in gaps:
        heappush(heap, heappop(heap) + gap)
    return (time.process_time_ns() - began) / U_TIMES


def interrupt_ns(machine: Machine, interrupts: int = INTERRUPTS) -> float:
    """CPU time of one interrupt on a machine that goes on from where it is."""
    timeline = machine.timeline
    rate_hz = sum(sum(device.options.get("rate", ())) for device in machine.devices)
    until_ns = timeline.now_ns + round(interrupts / rate_hz * 1e9)
    before = _interrupts(machine)
    began = time.process_time_ns()
    while not timeline.run(until_ns, SLICE):
        continue
    spent_ns = time.process_time_ns() - began
    return spent_ns / (_interrupts(machine) - before)


def _interrupts(machine: Machine) -> int:
    return sum(desc.total for desc in machine.irqs)
