"""Stand for the 8259 pair where an I/O APIC has taken its lines over: only the cascade is left.

Follows arch/x86/kernel/i8259.c. Not modelled yet: the chips themselves, for machines without an
I/O APIC.
"""

from pseudokern.irq.irqchip import IrqChip


class I8259Chip(IrqChip):
    """The legacy controller. Interrupt 2, its cascade, keeps it for ever."""

    name = "XT-PIC"
