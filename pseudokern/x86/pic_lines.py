"""Connect the lines of the 8259 pair to interrupt numbers, where no I/O APIC is in use.

Follows init_ISA_irqs() and native_init_IRQ() of arch/x86/kernel/irqinit.c, and
acpi_register_gsi_pic(). Every line reaches the boot CPU only, through LINT0 of its local APIC;
/proc/irq shows no effective affinity, and nobody can choose one.
"""

from pseudokern.hw.i8259 import CASCADE, I8259Pair
from pseudokern.hw.line import IntxLine
from pseudokern.hw.pirq import PirqRouter
from pseudokern.irq.chip import handle_level_irq
from pseudokern.irq.desc import NR_IRQS_LEGACY, Irq, IrqDesc, IrqTable
from pseudokern.irq.flags import IrqData, Irqf, IrqReturn, IrqSetting
from pseudokern.irq.request import request_irq
from pseudokern.x86.i8259_chip import I8259Chip
from pseudokern.x86.vector import VectorDomain


class PicLines:
    """The lines of the 8259 pair. level_isa: lines that firmware has made level-triggered."""

    def __init__(
        self,
        irqs: IrqTable,
        vectors: VectorDomain,
        pic: I8259Pair,
        chip: I8259Chip,
        level_isa: frozenset[int],
    ) -> None:
        self._irqs = irqs
        self._vectors = vectors
        self._pic = pic
        self._chip = chip
        self._level_isa = level_isa
        self._router = PirqRouter(pic)
        self._lines: dict[int, IntxLine] = {}

    def set_up_legacy(self) -> None:
        """Make interrupts 0 to 15, and open the way for the second chip's."""
        node = self._irqs.kernel.node_of(self._irqs.kernel.cpus[0].cpu)
        for number in range(NR_IRQS_LEGACY):
            desc = self._irqs.alloc_at(Irq(number), node)
            desc.chip = self._chip
            desc.handle_irq = handle_level_irq
            desc.settings |= IrqSetting.LEVEL
            desc.dstate |= IrqData.LEVEL
            self._vectors.leave_to_8259(desc)
        for number in sorted(self._level_isa):
            self._chip.set_level(Irq(number))
        request_irq(self._irqs, Irq(CASCADE), _no_action, Irqf.NO_THREAD, "cascade")

    def register(self, gsi: int) -> IrqDesc:
        """The interrupt that a PCI line is routed to; it is level-triggered from now on."""
        desc = self._irqs.find(Irq(self._router.route(gsi)))
        self._chip.set_level(desc.irq)
        return desc

    def unregister(self, gsi: int) -> None:
        """The interrupts of the pair stay: mp_unmap_irq() is for I/O APICs."""

    def map(self, irq: Irq, gsi: int, *, level: bool, node: int) -> IrqDesc:
        """The interrupt of a line of the pair, which has the line's number. EINVAL: none has."""
        desc = self._irqs.find(irq)
        if level:
            self._chip.set_level(irq)
        return desc

    def intx_line(self, gsi: int) -> IntxLine:
        """The wire into the 8259, of all PCI lines that are routed to one."""
        pin = self._router.route(gsi)
        line = self._lines.get(pin)
        if line is None:
            line = self._lines[pin] = IntxLine(self._router, pin)
        return line

    def pulse(self, irq: Irq) -> None:
        """One edge of an ISA interrupt."""
        self._pic.pulse(irq)


def _no_action() -> IrqReturn:
    return IrqReturn.NONE
