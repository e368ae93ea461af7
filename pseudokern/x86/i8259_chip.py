"""Drive the 8259 pair: all lines of a PC without I/O APICs, else the cascade only.

Follows arch/x86/kernel/i8259.c and, for ELCR, elcr_set_level_irq() of arch/x86/kernel/acpi/boot.c.
"""

from pseudokern.hw.i8259 import (
    CASCADE,
    ELCR_MASTER,
    ELCR_SLAVE,
    LINES_OF_CHIP,
    MASTER_COMMAND,
    MASTER_DATA,
    SLAVE_COMMAND,
    SLAVE_DATA,
    I8259Pair,
)
from pseudokern.irq.desc import Irq, IrqDesc
from pseudokern.irq.irqchip import IrqChip
from pseudokern.kernel.printk import KernelLog, Level
from pseudokern.x86.entry import Entry
from pseudokern.x86.vectors import ISA_VECTOR_BASE

INIT = 0x11
SLAVE_ON_CASCADE = 1 << CASCADE
EXPECT_EOI = 0x01
AUTO_EOI = 0x03
SPECIFIC_EOI = 0x60
READ_IRR, READ_ISR = 0x0A, 0x0B
ALL_MASKED = 0xFFFF


class I8259Chip(IrqChip):
    """The legacy controller. Where I/O APICs take over, interrupt 2 alone keeps it."""

    name = "XT-PIC"
    has_mask_ack = True
    disables_at_once = True

    def __init__(self, pic: I8259Pair, entry: Entry, log: KernelLog) -> None:
        self._pic = pic
        self._entry = entry
        self._log = log
        self._mask = ALL_MASKED
        self._level = 0
        self._spurious_told = 0

    def init(self, *, auto_eoi: bool) -> None:
        """Program both chips, as init_8259A(): vectors from 0x30 on, and the masks as they were."""
        out = self._pic.write
        out(MASTER_DATA, 0xFF)
        out(MASTER_COMMAND, INIT)
        out(MASTER_DATA, ISA_VECTOR_BASE)
        out(MASTER_DATA, SLAVE_ON_CASCADE)
        out(MASTER_DATA, AUTO_EOI if auto_eoi else EXPECT_EOI)
        out(SLAVE_COMMAND, INIT)
        out(SLAVE_DATA, ISA_VECTOR_BASE + LINES_OF_CHIP)
        out(SLAVE_DATA, CASCADE)
        out(SLAVE_DATA, EXPECT_EOI)
        self._write_mask(Irq(0))
        self._write_mask(Irq(LINES_OF_CHIP))

    def set_level(self, irq: Irq) -> None:
        """Make a line level-triggered, because PCI devices share it."""
        if self._level >> irq & 1:
            return
        self._level |= 1 << irq
        self._log.printk(Level.DEBUG, f"PCI: setting IRQ {irq} as level-triggered")
        port = ELCR_SLAVE if irq >= LINES_OF_CHIP else ELCR_MASTER
        self._pic.write(port, self._pic.read(port) | 1 << irq % LINES_OF_CHIP)

    def mask(self, desc: IrqDesc) -> None:
        self._mask |= 1 << desc.irq
        self._write_mask(desc.irq)

    def unmask(self, desc: IrqDesc) -> None:
        self._mask &= ~(1 << desc.irq)
        self._write_mask(desc.irq)

    def mask_ack(self, desc: IrqDesc) -> None:
        """Mask the line, then end its interrupt.

        A spurious interrupt comes as line 7 or 15 even if that is masked. It is counted, and
        handled all the same: for an unused line that only means to leave it masked.
        """
        irq, bit = desc.irq, 1 << desc.irq
        if self._mask & bit and not self._is_in_service(irq):
            if not self._spurious_told & bit:
                self._spurious_told |= bit
                self._log.printk(Level.DEBUG, f"spurious 8259A interrupt: IRQ{irq}.")
            self._entry.errors += 1
        self._mask |= bit
        self._write_mask(irq)
        if irq >= LINES_OF_CHIP:
            self._pic.write(SLAVE_COMMAND, SPECIFIC_EOI + irq - LINES_OF_CHIP)
            self._pic.write(MASTER_COMMAND, SPECIFIC_EOI + CASCADE)
        else:
            self._pic.write(MASTER_COMMAND, SPECIFIC_EOI + irq)

    def _is_in_service(self, irq: Irq) -> bool:
        port = SLAVE_COMMAND if irq >= LINES_OF_CHIP else MASTER_COMMAND
        self._pic.write(port, READ_ISR)
        in_service = self._pic.read(port)
        self._pic.write(port, READ_IRR)
        return bool(in_service >> irq % LINES_OF_CHIP & 1)

    def _write_mask(self, irq: Irq) -> None:
        if irq >= LINES_OF_CHIP:
            self._pic.write(SLAVE_DATA, self._mask >> LINES_OF_CHIP)
        else:
            self._pic.write(MASTER_DATA, self._mask & 0xFF)
