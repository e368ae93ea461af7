"""Connect I/O APIC pins to interrupt numbers.

Follows mp_map_gsi_to_irq(), setup_IO_APIC_irqs() and acpi_register_gsi(): a pin's interrupt has
the number of its GSI. ISA interrupt 0 sits on pin 2, so interrupt 2 is left to the 8259's cascade.
"""

import errno

from pseudokern.hw.ioapic import PINS, IoApic
from pseudokern.hw.line import IntxLine
from pseudokern.irq.chip import handle_edge_irq, handle_fasteoi_irq, handle_level_irq
from pseudokern.irq.desc import NR_IRQS_LEGACY, Irq, IrqDesc, IrqTable
from pseudokern.irq.domain import IrqDomain
from pseudokern.irq.flags import IrqData, IrqSetting
from pseudokern.x86.i8259_chip import I8259Chip
from pseudokern.x86.ioapic_chip import IoApicChip, Pin
from pseudokern.x86.vector import VectorDomain

TIMER_IRQ = Irq(0)
TIMER_PIN = 2
CASCADE_IRQ = Irq(2)


class GsiMap:
    """The lines of the I/O APICs.

    level_isa  ISA interrupts that firmware declares level
    parent     the domain behind theirs: the vectors, or a remapping unit
    """

    def __init__(
        self,
        irqs: IrqTable,
        vectors: VectorDomain,
        ioapics: list[IoApic],
        level_isa: frozenset[int],
        pic_chip: I8259Chip,
        chip: IoApicChip,
        parent: IrqDomain,
    ) -> None:
        self._irqs = irqs
        self._vectors = vectors
        self._ioapics = ioapics
        self._level_isa = level_isa
        self._chip = chip
        self._pic_chip = pic_chip
        self.domains = [IrqDomain(f"IO-APIC-{n}", PINS, parent=parent) for n in range(len(ioapics))]
        self._lines: dict[int, IntxLine] = {}

    def set_up_legacy(self) -> None:
        """Make interrupts 0 to 15, as setup_IO_APIC() does at boot."""
        node = self._irqs.kernel.node_of(self._irqs.kernel.cpus[0].cpu)
        for number in range(NR_IRQS_LEGACY):
            irq = Irq(number)
            desc = self._irqs.alloc_at(irq, node)
            if irq == CASCADE_IRQ:
                self._leave_to_8259(desc)
            elif irq == TIMER_IRQ:
                self._connect(desc, TIMER_PIN, level=False, active_low=False, is_timer=True)
            else:
                level = number in self._level_isa
                self._connect(desc, number, level=level, active_low=False, is_timer=False)

    def register(self, gsi: int) -> IrqDesc:
        """The interrupt of a PCI line, made at its first use; level, active low.

        EINVAL  no I/O APIC has this pin
        """
        desc = self._irqs.get(Irq(gsi))
        if desc is not None:
            return desc
        if gsi >= PINS * len(self._ioapics):
            raise OSError(errno.EINVAL, f"no I/O APIC has GSI {gsi}")
        desc = self._irqs.alloc_at(Irq(gsi), node=-1)
        self._connect(desc, gsi, level=True, active_low=True, is_timer=False)
        return desc

    def unregister(self, gsi: int) -> None:
        """mp_unmap_irq(): a pin that no PCI device uses has no interrupt, until it is used again.

        It stays while somebody who is no PCI device has a handler there.
        """
        desc = self._irqs.get(Irq(gsi))
        if desc is None or desc.actions or gsi < NR_IRQS_LEGACY:
            return
        self.domains[gsi // PINS].disassociate(desc)
        self._vectors.teardown(desc)
        self._chip.disconnect(desc)
        self._irqs.free_desc(desc)

    def map(self, irq: Irq, gsi: int, *, level: bool, node: int) -> IrqDesc:
        """The interrupt of a pin under a chosen number, as later I/O APICs and boards without a
        8259 have them; made at its first use.

        EINVAL  no I/O APIC has this pin
        """
        desc = self._irqs.get(irq)
        if desc is not None:
            return desc
        if gsi >= PINS * len(self._ioapics):
            raise OSError(errno.EINVAL, f"no I/O APIC has GSI {gsi}")
        desc = self._irqs.alloc_at(irq, node)
        self._connect(desc, gsi, level=level, active_low=level, is_timer=False)
        return desc

    def intx_line(self, gsi: int) -> IntxLine:
        """The shared wire of a PCI line."""
        line = self._lines.get(gsi)
        if line is None:
            line = self._lines[gsi] = IntxLine(self._ioapics[gsi // PINS], gsi % PINS)
        return line

    def pin_of_irq(self, irq: Irq) -> Pin:
        """Where an ISA device of this interrupt is wired to."""
        gsi = TIMER_PIN if irq == TIMER_IRQ else int(irq)
        return Pin(self._ioapics[gsi // PINS], gsi % PINS)

    def pulse(self, irq: Irq) -> None:
        """One edge at the pin of an ISA interrupt."""
        pin = self.pin_of_irq(irq)
        pin.ioapic.pulse(pin.number)

    def _connect(
        self, desc: IrqDesc, gsi: int, *, level: bool, active_low: bool, is_timer: bool
    ) -> None:
        pin = Pin(self._ioapics[gsi // PINS], gsi % PINS)
        pin.ioapic.configure(pin.number, level=level, active_low=active_low)
        self._chip.connect(desc, pin)
        handler = handle_fasteoi_irq if level else handle_edge_irq
        self.domains[gsi // PINS].associate(
            desc, pin.number, self._chip, pin, handler, "fasteoi" if level else "edge"
        )
        if level:
            desc.settings |= IrqSetting.LEVEL
            desc.dstate |= IrqData.LEVEL
        if is_timer:
            self._vectors.setup_legacy_timer(desc)
        else:
            self._vectors.setup(desc)
        self._chip.write_target(desc)

    def _leave_to_8259(self, desc: IrqDesc) -> None:
        desc.chip = self._pic_chip
        desc.handle_irq = handle_level_irq
        desc.settings |= IrqSetting.LEVEL
        desc.dstate |= IrqData.LEVEL
