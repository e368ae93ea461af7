"""Interrupt other CPUs: to reschedule, to call a function, to flush their TLBs.

Follows arch/x86/kernel/smp.c, kernel/smp.c and arch/x86/mm/tlb.c.
"""

from collections import deque
from collections.abc import Callable

from pseudokern.hw.cpu import Cpu
from pseudokern.hw.vector import Vector
from pseudokern.kernel.cpumask import CpuId, CpuMask, cpus_of
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.percpu import PerCpu
from pseudokern.x86.entry import Entry
from pseudokern.x86.vectors import (
    CALL_FUNCTION_SINGLE_VECTOR,
    CALL_FUNCTION_VECTOR,
    RESCHEDULE_VECTOR,
)

CalledFunction = Callable[[PerCpu], None]


class Smp:
    """Inter-processor interrupts, sent by writing the ICR of a local APIC."""

    def __init__(self, kernel: Kernel, cpus: list[Cpu], entry: Entry) -> None:
        self._kernel = kernel
        self._cpus = cpus
        self._queues: list[deque[CalledFunction]] = [deque() for _ in cpus]
        kernel.on_cpu_change(self._flush)
        entry.set_system_vector(CALL_FUNCTION_VECTOR, "call_function", self._called)
        entry.set_system_vector(CALL_FUNCTION_SINGLE_VECTOR, "call_function_single", self._called)

    def send_reschedule(self, cpu: CpuId) -> None:
        """Make cpu look whether it should run something else."""
        self._send(cpu, RESCHEDULE_VECTOR)

    def call_function(self, mask: CpuMask, function: CalledFunction) -> None:
        """Call function on every online CPU of mask, by interrupt."""
        targets = list(cpus_of(mask & self._kernel.online))
        vector = CALL_FUNCTION_SINGLE_VECTOR if len(targets) == 1 else CALL_FUNCTION_VECTOR
        for cpu in targets:
            # A CPU that has one to take finds the others in the same go.
            if not self._queues[cpu]:
                self._send(cpu, vector)
            self._queues[cpu].append(function)

    def flush_tlb(self, mask: CpuMask) -> None:
        """Make the CPUs of mask forget translations: counted as a call and as a shootdown."""
        self.call_function(mask, _flush_tlb)

    def _send(self, cpu: CpuId, vector: int) -> None:
        sender = self._cpus[self._kernel.this.cpu].apic
        sender.write_icr(self._cpus[cpu].apic_id, Vector(vector))

    def _called(self, this: PerCpu) -> int:
        this.counts.call_function += 1
        calls = self._call_queued(this)
        return calls * self._kernel.cost.handler_ns // 2

    def _flush(self, cpu: CpuId) -> None:
        """A CPU goes down: it calls what it was asked to without the interrupt for it."""
        if not self._kernel.is_online(cpu):
            self._call_queued(self._kernel.cpus[cpu])

    def _call_queued(self, this: PerCpu) -> int:
        queue = self._queues[this.cpu]
        calls = len(queue)
        while queue:
            queue.popleft()(this)
        return calls


def _flush_tlb(this: PerCpu) -> None:
    this.counts.tlb += 1
