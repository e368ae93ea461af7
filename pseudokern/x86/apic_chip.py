"""Do what every controller in front of the local APIC does: vectors, acknowledgement, retrigger.

Follows arch/x86/kernel/apic/vector.c: apic_ack_edge(), apic_retrigger_irq().
"""

from pseudokern.hw.lapic import LocalApic
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.flags import ChipFlag
from pseudokern.irq.irqchip import IrqChip
from pseudokern.irq.migration import irq_move_irq
from pseudokern.kernel.cpumask import CpuMask
from pseudokern.x86.vector import VectorDomain


class ApicChip(IrqChip):
    """A chip whose interrupts end at a vector of a CPU; subclasses say how it is written."""

    flags = ChipFlag.SKIP_SET_WAKE | ChipFlag.AFFINITY_PRE_STARTUP | ChipFlag.MOVE_DEFERRED
    can_set_affinity = True

    def __init__(self, vectors: VectorDomain) -> None:
        self.vectors = vectors

    def write_target(self, desc: IrqDesc) -> None:
        """Tell the hardware the vector and CPU that the vector domain chose."""
        raise NotImplementedError

    def activate(self, desc: IrqDesc) -> None:
        self.vectors.activate(desc)
        self.write_target(desc)

    def deactivate(self, desc: IrqDesc) -> None:
        self.vectors.deactivate(desc)
        self.write_target(desc)

    def set_affinity(self, desc: IrqDesc, mask: CpuMask) -> None:
        self.vectors.set_affinity(desc, mask)
        self.write_target(desc)

    def ack(self, desc: IrqDesc) -> None:
        # The move comes before the EOI: nothing new can arrive on the old vector meanwhile.
        self.vectors.complete_move(desc)
        irq_move_irq(desc)
        self.local_eoi()

    def retrigger(self, desc: IrqDesc) -> bool:
        self.vectors.retrigger(desc)
        return True

    def local_eoi(self) -> None:
        """Write EOI on the CPU that handles the interrupt."""
        self.local_apic.eoi()

    @property
    def local_apic(self) -> LocalApic:
        """That of the CPU that handles the interrupt."""
        return self.vectors.cpus[self.vectors.kernel.this.cpu].apic
