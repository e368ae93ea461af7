"""Raise a line many times, one interrupt after the other."""

import errno
from collections.abc import Callable

from pseudokern.drivers.edu import Edu
from pseudokern.irq.desc import IrqDesc
from pseudokern.kernel.cpumask import CpuId
from pseudokern.sim.agenda import Agenda
from pseudokern.sim.completion import Completion
from pseudokern.sim.timeline import Timeline
from pseudokern.x86.pc import Pc

HANDLER_NS = 200  # it counts, and no more
RAISE_SPACING_NS = 10_000  # longer than any interrupt here takes, so that none meets another
RAISE_TIMEOUT_NS = 1_000_000_000
SIM_BATCH = 128


class Repeat:
    """Do something a number of times, at equal intervals, until it fails; then complete."""

    def __init__(
        self,
        agenda: Agenda,
        timeline: Timeline,
        times: int,
        once: Callable[[], None],
        spacing_ns: int,
        done: Completion,
    ) -> None:
        self._agenda = agenda
        self._left = times
        self._once = once
        self._spacing_ns = spacing_ns
        self._done = done
        self._timeline = timeline
        agenda.at(timeline.now_ns, self._step)

    def _step(self) -> None:
        if self._left <= 0:
            self._done.complete()
            return
        self._left -= 1
        try:
            self._once()
        except OSError as error:
            self._done.fail(error)
            return
        self._agenda.at(self._timeline.now_ns + self._spacing_ns, self._step)


class DeviceBurst:
    """Have a device interrupt a number of times, each time after the last was handled.

    ETIMEDOUT  it asserts its line for RAISE_TIMEOUT_NS, and nobody makes it let go
    """

    def __init__(
        self, agenda: Agenda, timeline: Timeline, edu: Edu, times: int, done: Completion
    ) -> None:
        self._agenda = agenda
        self._edu = edu
        self._left = times
        self._done = done
        self._timeline = timeline
        self._since_ns = timeline.now_ns
        agenda.at(timeline.now_ns, self._step)

    def _step(self) -> None:
        now_ns = self._timeline.now_ns
        line = self._edu.function.intx
        if line is not None and line.is_asserted_by(self._edu):
            if now_ns - self._since_ns >= RAISE_TIMEOUT_NS:
                self._done.fail(OSError(errno.ETIMEDOUT, f"{self._edu.name} is not handled"))
                return
        elif self._left <= 0:
            self._done.complete()
            return
        else:
            self._left -= 1
            self._since_ns = now_ns
            self._edu.interrupt(now_ns)
        self._agenda.at(now_ns + RAISE_SPACING_NS, self._step)


class SoftwareBurst:
    """Call the flow handler of a software line, as generic_handle_irq() does, on one CPU.

    Each call takes HANDLER_NS of that CPU; they are made SIM_BATCH at a time.
    """

    def __init__(
        self, agenda: Agenda, pc: Pc, desc: IrqDesc, times: int, cpu: CpuId, done: Completion
    ) -> None:
        self._agenda = agenda
        self._kernel = pc.kernel
        self._cpu = pc.cpus[cpu]
        self._this = pc.kernel.cpus[cpu]
        self._desc = desc
        self._left = times
        self._done = done
        agenda.at(pc.kernel.timeline.now_ns, self._step)

    def _step(self) -> None:
        if self._left <= 0:
            self._done.complete()
            return
        calls = min(self._left, SIM_BATCH)
        self._left -= calls
        outer, self._kernel.this = self._kernel.this, self._this
        try:
            for _ in range(calls):
                self._desc.handle_irq(self._desc)
        finally:
            self._kernel.this = outer
        self._this.hardirq_ns += calls * HANDLER_NS
        self._agenda.at(self._cpu.occupy(calls * HANDLER_NS), self._step)
