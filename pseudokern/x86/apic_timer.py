"""Let the local APIC's timer be the clock event device of its CPU.

Follows arch/x86/kernel/apic/apic.c: local_apic_timer_interrupt(), lapic_next_deadline().
"""

from functools import cached_property
from typing import TYPE_CHECKING

from pseudokern.hw.cpu import Cpu
from pseudokern.hw.vector import Vector
from pseudokern.kernel.cpumask import CpuId
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.tick import Ticks
from pseudokern.kernel.timer import TimerWheel
from pseudokern.x86.entry import Entry
from pseudokern.x86.vectors import LOCAL_TIMER_VECTOR

if TYPE_CHECKING:
    from pseudokern.kernel.hrtimer import HrTimers


class ApicTimers:
    """The timers of all CPUs, and the tick that they drive."""

    def __init__(self, kernel: Kernel, timers: TimerWheel, cpus: list[Cpu], entry: Entry) -> None:
        self.wheel = timers
        self.ticks = Ticks(kernel, timers, self._program)
        self._kernel = kernel
        self._tick_ns = kernel.cost.tick_ns
        self._cpus = cpus
        self._entry = entry
        entry.set_system_vector(LOCAL_TIMER_VECTOR, "apic_timer_interrupt", self._interrupt)

    def setup_cpu(self, cpu: Cpu) -> None:
        cpu.apic.lvt_timer.vector = Vector(LOCAL_TIMER_VECTOR)
        cpu.apic.lvt_timer.masked = False

    def stop_cpu(self, cpu: Cpu) -> None:
        cpu.apic.lvt_timer.masked = True
        cpu.apic.stop_timer()

    @cached_property
    def hrtimers(self) -> "HrTimers":
        """High-resolution timers, from the first use on: the ticks share their device with them."""
        from pseudokern.kernel.hrtimer import HrTimers  # few machines have any

        hrtimers = HrTimers(self._kernel, self._program)
        for cpu in self._cpus:
            if (deadline_ns := cpu.apic.deadline_ns) is not None:
                hrtimers.set_tick(CpuId(cpu.number), deadline_ns)
        self.ticks.program = hrtimers.set_tick

        def interrupt(this: PerCpu) -> int:
            this.counts.apic_timer += 1
            cost_ns = 0
            if hrtimers.take_tick(this.cpu):
                self.ticks.interrupt(this)
                cost_ns = self._tick_ns
            return cost_ns + hrtimers.interrupt(this) * self._kernel.cost.handler_ns

        self._entry.set_system_vector(LOCAL_TIMER_VECTOR, "apic_timer_interrupt", interrupt)
        return hrtimers

    def _program(self, cpu: CpuId, at_ns: int) -> None:
        self._cpus[cpu].apic.set_deadline(at_ns)

    def _interrupt(self, this: PerCpu) -> int:
        this.counts.apic_timer += 1
        self.ticks.interrupt(this)
        return self._tick_ns
