"""Take many messages with one interrupt: posted MSI.

Follows sysvec_posted_msi_notification() of arch/x86/kernel/irq.c, since 6.10. Each CPU has a
posted-interrupt descriptor. The messages of all devices are bits in it; only the first one that
nobody has looked at yet interrupts, at one vector for all. EOI is needed once, too.
"""

from pseudokern.hw.posted import PostedDescriptor
from pseudokern.irq.desc import IrqDesc
from pseudokern.kernel.cpumask import CpuId, cpus_of
from pseudokern.kernel.percpu import PerCpu
from pseudokern.x86.entry import Entry
from pseudokern.x86.ir_chip import IntelIrDomain, descriptor_address
from pseudokern.x86.vector import VectorDomain
from pseudokern.x86.vectors import POSTED_MSI_NOTIFICATION_VECTOR

MAX_LOOPS = 3  # MAX_POSTED_MSI_COALESCING_LOOP: looks without being notified anew


class PostedMsi:
    """The notifications of all CPUs."""

    def __init__(self, vectors: VectorDomain, entry: Entry, ir: IntelIrDomain) -> None:
        self._vectors = vectors
        self._entry = entry
        self._ir = ir
        vectors.posted = lambda cpu: self._descriptor(cpu).pir
        vectors.take_posted = lambda cpu: self._descriptor(cpu).take()
        name = "posted_msi_notification"
        entry.set_system_vector(POSTED_MSI_NOTIFICATION_VECTOR, name, self._notified)

    def _notified(self, this: PerCpu) -> int:
        """Handle what is posted, a few times over, then ask to be notified again."""
        this.counts.posted_msi += 1
        descriptor = self._descriptor(this.cpu)
        cost_ns, loops = 0, 1
        self._ir.in_notification = True
        try:
            while loops < MAX_LOOPS and descriptor.pir:
                cost_ns += self._handle(this, descriptor)
                loops += 1
            descriptor.on = False
            cost_ns += self._handle(this, descriptor)
        finally:
            self._ir.in_notification = False
        return cost_ns

    def _handle(self, this: PerCpu, descriptor: PostedDescriptor) -> int:
        """Run the flows of what is posted, the lowest vector first; the ns that it takes."""
        pending, descriptor.pir = descriptor.pir, 0
        cost_ns = 0
        for vector in cpus_of(pending):
            desc = self._vectors.vector_irq[this.cpu].get(vector)
            if desc is None:
                self._entry.count_stray(this.cpu, vector)
            else:
                cost_ns += _cost_ns(desc)
                desc.handle_irq(desc)
        return cost_ns

    def _descriptor(self, cpu: CpuId) -> PostedDescriptor:
        return self._ir.unit.memory[descriptor_address(cpu)]


def _cost_ns(desc: IrqDesc) -> int:
    return sum(action.cost_ns for action in desc.actions)
