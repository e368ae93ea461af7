"""How long a line keeps the machine busy that nobody handles, until Linux disables it.

The same line with the same arrivals, once with a handler that handles and once with one that does
not: 100,000 interrupts each. A message comes at random times; a level line is asserted for good.
"""

import time
from collections.abc import Callable
from functools import partial

from bench.figure import Figure, Result, interleaved, ratio
from bench.machines import network_machine
from pseudokern.hw.pci import Bdf, PciFunction
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.flags import Irqf, IrqReturn
from pseudokern.irq.request import request_irq
from pseudokern.machine.machine import Machine
from pseudokern.sim.timeline import SOURCE_BITS
from pseudokern.x86.msi_chip import message_of

INTERRUPTS = 100_000  # after so many the line is disabled
GAP_NS = 10_000
SLICE = 125
MUST_REACH = 3
GSI = 16


def measure(repeats: int) -> list[Result]:
    ns = interleaved(
        repeats,
        message=partial(message_ns, IrqReturn.HANDLED),
        message_storm=partial(message_ns, IrqReturn.NONE),
        level=partial(level_ns, stuck=False),
        level_storm=partial(level_ns, stuck=True),
    )
    return [
        Figure(
            f"a storm of 100,000 unhandled interrupts, {kind}, to as many handled",
            ratio(ns, f"{name}_storm", name),
            "x",
            MUST_REACH,
            f"{ns[f'{name}_storm'][0]:.0f} ns each; handled {ns[name][0]:.0f} ns",
        )
        for name, kind in (("message", "by message"), ("level", "of a level line"))
    ]


def message_ns(answer: IrqReturn) -> float:
    """CPU time of one message that is answered so."""
    machine = _machine()
    function = PciFunction(Bdf("0000:00:1d.0"), 0x1234, 0x11E8, 0x00FF00)
    machine.pc.pci.add(function)
    desc = machine.pc.pci.alloc_msix(function, 1)[0]
    request_irq(machine.irqs, desc.irq, lambda: answer, Irqf.NONE, "storm", function)
    message = message_of(desc)
    _every(machine, message.trigger_now)
    return _work_off(machine, desc)


def level_ns(*, stuck: bool) -> float:
    """CPU time of one interrupt of a level line. stuck: its device never lets go."""
    machine = _machine()
    desc = machine.pc.gsis.register(GSI)
    wire = machine.pc.gsis.intx_line(GSI)

    def handler() -> IrqReturn:
        if not wire.is_asserted_by(handler):
            return IrqReturn.NONE
        wire.release_by(handler)
        return IrqReturn.HANDLED

    request_irq(machine.irqs, desc.irq, handler, Irqf.SHARED, "storm", handler)
    if stuck:
        wire.assert_by(machine)
    else:
        _every(machine, lambda _now_ns: wire.assert_by(handler))
    return _work_off(machine, desc)


def _machine() -> Machine:
    """A machine on which nothing else happens but its ticks."""
    return network_machine(cards=1, queues=1, cpus=4, rate_hz=0)


def _every(machine: Machine, event: Callable[[int], None]) -> None:
    timeline = machine.timeline

    def source(now_ns: int) -> int:
        event(now_ns)
        return (now_ns + GAP_NS) << SOURCE_BITS | number

    number = timeline.add_source(source)
    timeline.schedule(number, timeline.now_ns + GAP_NS)


def _work_off(machine: Machine, desc: IrqDesc) -> float:
    began = time.process_time_ns()
    while desc.total < INTERRUPTS:
        machine.timeline.run(machine.timeline.now_ns + GAP_NS * SLICE, SLICE)
    return (time.process_time_ns() - began) / desc.total
