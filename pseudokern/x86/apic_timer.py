"""Let the local APIC's timer be the clock event device of its CPU.

Follows arch/x86/kernel/apic/apic.c: local_apic_timer_interrupt(), lapic_next_deadline().
"""

from pseudokern.hw.cpu import Cpu
from pseudokern.hw.vector import Vector
from pseudokern.kernel.cpumask import CpuId
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.tick import Ticks
from pseudokern.kernel.timer import TimerWheel
from pseudokern.x86.entry import Entry
from pseudokern.x86.vectors import LOCAL_TIMER_VECTOR


class ApicTimers:
    """The timers of all CPUs, and the tick that they drive."""

    def __init__(self, kernel: Kernel, timers: TimerWheel, cpus: list[Cpu], entry: Entry) -> None:
        self.wheel = timers
        self.ticks = Ticks(kernel, timers, self._program)
        self._tick_ns = kernel.cost.tick_ns
        self._cpus = cpus
        entry.set_system_vector(LOCAL_TIMER_VECTOR, "apic_timer_interrupt", self._interrupt)

    def setup_cpu(self, cpu: Cpu) -> None:
        cpu.apic.lvt_timer.vector = Vector(LOCAL_TIMER_VECTOR)
        cpu.apic.lvt_timer.masked = False

    def stop_cpu(self, cpu: Cpu) -> None:
        cpu.apic.lvt_timer.masked = True
        cpu.apic.stop_timer()

    def _program(self, cpu: CpuId, at_ns: int) -> None:
        self._cpus[cpu].apic.set_deadline(at_ns)

    def _interrupt(self, this: PerCpu) -> int:
        this.counts.apic_timer += 1
        self.ticks.interrupt(this)
        return self._tick_ns
