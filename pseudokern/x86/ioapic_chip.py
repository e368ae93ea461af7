"""Drive the pins of the I/O APICs.

Follows arch/x86/kernel/apic/io_apic.c: ioapic_ack_level(), ioapic_set_affinity(), mp_irqdomain.
"""

from typing import NamedTuple

from pseudokern.hw.ioapic import IoApic
from pseudokern.hw.vector import Vector
from pseudokern.irq.chip import mask_irq, unmask_irq
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.flags import IrqData
from pseudokern.irq.migration import irq_move_masked_irq
from pseudokern.x86.apic_chip import ApicChip
from pseudokern.x86.entry import Entry
from pseudokern.x86.vector import VectorDomain


class Pin(NamedTuple):
    """Which pin a line is."""

    ioapic: IoApic
    number: int


class IoApicChip(ApicChip):
    """Every I/O APIC's pins: edges are acknowledged, levels end with an EOI."""

    name = "IO-APIC"

    def __init__(self, vectors: VectorDomain, entry: Entry) -> None:
        super().__init__(vectors)
        self._entry = entry

    def connect(self, desc: IrqDesc, pin: Pin) -> None:
        """Take in a pin, before it has a vector."""

    def disconnect(self, desc: IrqDesc) -> None:
        """Let go of a pin, which has no vector any more."""

    def write_target(self, desc: IrqDesc) -> None:
        pin = pin_of(desc)
        data = self.vectors.data(desc)
        pin.ioapic.program(
            pin.number,
            vector=Vector(data.target_vector),
            destination=self.vectors.cpus[data.target_cpu].apic_id,
        )

    def deactivate(self, desc: IrqDesc) -> None:
        # A level that a CPU has accepted, and not handled yet, would find no line any more, and
        # nobody would ever end it at the pin. Linux lets it be handled first, by a line without
        # handlers: synchronize_hardirq() asks the pin.
        pin = pin_of(desc)
        if pin.ioapic.entries[pin.number].remote_irr:
            data = self.vectors.data(desc)
            self.vectors.cpus[data.cpu].apic.withdraw(Vector(data.vector))
            pin.ioapic.clear_remote_irr(pin.number)
        super().deactivate(desc)

    def mask(self, desc: IrqDesc) -> None:
        pin = pin_of(desc)
        pin.ioapic.set_masked(pin.number, True)

    def unmask(self, desc: IrqDesc) -> None:
        pin = pin_of(desc)
        pin.ioapic.set_masked(pin.number, False)

    def eoi(self, desc: IrqDesc) -> None:
        """End a level interrupt; a pending move is made while the pin is masked and quiet."""
        self.vectors.complete_move(desc)
        moving = desc.dstate & IrqData.SETAFFINITY_PENDING
        was_masked = desc.is_masked
        if moving:
            mask_irq(desc)
        vector = Vector(self.vectors.data(desc).vector)
        came_as_level = self.local_apic.is_level(vector)
        self.local_eoi()
        pin = pin_of(desc)
        if not came_as_level:
            # An edge had the vector before, or at the same time: no APIC tells the pin's.
            self._entry.mis += 1
            pin.ioapic.eoi(vector)
        if moving:
            if not pin.ioapic.entries[pin.number].remote_irr:
                irq_move_masked_irq(desc)
            if not was_masked:
                unmask_irq(desc)


def pin_of(desc: IrqDesc) -> Pin:
    """The pin of an interrupt of this chip."""
    pin = desc.chip_data
    assert isinstance(pin, Pin)
    return pin
