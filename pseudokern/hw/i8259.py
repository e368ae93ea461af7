"""Serve 15 lines with two cascaded 8259A controllers, and the ELCR that makes lines level.

Follows the Intel 8259A datasheet; for ELCR, and for edges that are latched, the chipsets that took
the 8259 in (82371SB, and the ICH after it).

The CPU asks which line it was when it is ready. A request that is gone by then leaves the lowest
one: line 7 of its chip, without an in-service bit. That is a spurious interrupt: see glitch().

Not modelled: 8080 mode, buffered mode, LTIM (ELCR is in its place), the time that port I/O takes.
"""

from collections.abc import Callable
from enum import IntEnum, auto

CASCADE = 2
LINES_OF_CHIP = 8
SPURIOUS_LINE = 7

MASTER_COMMAND, MASTER_DATA = 0x20, 0x21
SLAVE_COMMAND, SLAVE_DATA = 0xA0, 0xA1
ELCR_MASTER, ELCR_SLAVE = 0x4D0, 0x4D1
PORTS = (MASTER_COMMAND, MASTER_DATA, SLAVE_COMMAND, SLAVE_DATA, ELCR_MASTER, ELCR_SLAVE)

# The timer, the keyboard, the cascade; the clock and the coprocessor: always edges.
MASTER_ALWAYS_EDGE = 1 << 0 | 1 << 1 | 1 << CASCADE
SLAVE_ALWAYS_EDGE = 1 << 0 | 1 << 5

ICW1 = 0x10
ICW1_NEEDS_ICW4 = 0x01
ICW1_SINGLE = 0x02
ICW4_AUTO_EOI = 0x02
ICW4_SPECIAL_FULLY_NESTED = 0x10
OCW2_EOI = 0x20
OCW2_SPECIFIC = 0x40
OCW2_ROTATE = 0x80
OCW3 = 0x08
OCW3_READ_ISR = 0x01
OCW3_READ = 0x02
OCW3_POLL = 0x04
OCW3_SPECIAL_MASK = 0x20
OCW3_SET_SPECIAL_MASK = 0x40
POLLED = 0x80


class _Expects(IntEnum):
    """What the next write to the data port is."""

    OCW1 = auto()
    ICW2 = auto()
    ICW3 = auto()
    ICW4 = auto()


class I8259:
    """One chip. Registers have a bit for each line.

    irr, isr, imr   requested, in service, masked
    elcr            level-triggered
    base            the vector of line 0
    lowest          the line of the lowest priority; the next one has the highest
    collapsed       edges that found their request set: they are one interrupt with the earlier one
    """

    def __init__(self, *, is_master: bool) -> None:
        self.irr = self.isr = self.imr = self.elcr = 0
        self.base = 0
        self.lowest = LINES_OF_CHIP - 1
        self.auto_eoi = False
        self.collapsed = 0
        self._is_master = is_master
        self._always_edge = MASTER_ALWAYS_EDGE if is_master else SLAVE_ALWAYS_EDGE
        self._high = 0
        self._glitches = 0
        self._special_mask = False
        self._special_fully_nested = False
        self._rotates_on_auto_eoi = False
        self._reads_isr = False
        self._polls = False
        self._expects = _Expects.OCW1
        self._icw1 = 0

    def set_line(self, line: int, high: bool) -> None:
        """Drive an input. An edge is latched until it is acknowledged; a level is not."""
        bit = 1 << line
        was_high, self._high = self._high & bit, self._high & ~bit | high << line
        if self.elcr & bit:
            self.irr = self.irr & ~bit | high << line
        elif high and not was_high:
            self.collapsed += self.irr >> line & 1
            self.irr |= bit

    def follow(self, line: int, high: bool) -> None:
        """Let a request come and go with its input: the cascade, whose other end is latched."""
        self.irr = self.irr & ~(1 << line) | high << line

    def glitch(self, line: int) -> None:
        """A pulse on a line that is over when the CPU asks."""
        self._glitches |= 1 << line

    @property
    def highest(self) -> int | None:
        """The line to be served next; None while there is none of higher priority than what is."""
        requested = (self.irr | self._glitches) & ~self.imr
        in_service = self.isr & ~self.imr if self._special_mask else self.isr
        if self._special_fully_nested and self._is_master:
            in_service &= ~(1 << CASCADE)  # the slave may have something higher
        for line in self._by_priority() if requested else ():
            if in_service >> line & 1:
                return None
            if requested >> line & 1:
                return line
        return None

    def acknowledge(self) -> int | None:
        """Begin to serve the highest line. None: its request is gone."""
        line = self.highest
        if line is None:
            return None
        bit = 1 << line
        self._glitches &= ~bit
        if not self.irr & bit:
            return None
        if not self.elcr & bit:
            self.irr &= ~bit
        if not self.auto_eoi:
            self.isr |= bit
        elif self._rotates_on_auto_eoi:
            self.lowest = line
        return line

    def write_command(self, value: int) -> None:
        """ICW1, OCW2 or OCW3."""
        if value & ICW1:
            self._initialize(value)
        elif value & OCW3:
            self._polls = bool(value & OCW3_POLL)
            if value & OCW3_READ:
                self._reads_isr = bool(value & OCW3_READ_ISR)
            if value & OCW3_SET_SPECIAL_MASK:
                self._special_mask = bool(value & OCW3_SPECIAL_MASK)
        else:
            self._end_of_interrupt(value)

    def write_data(self, value: int) -> None:
        """OCW1, or what ICW1 announced."""
        is_single = self._icw1 & ICW1_SINGLE
        last = _Expects.ICW4 if self._icw1 & ICW1_NEEDS_ICW4 else _Expects.OCW1
        match self._expects:
            case _Expects.OCW1:
                self.imr = value
            case _Expects.ICW2:
                self.base = value & ~(LINES_OF_CHIP - 1)
                self._expects = last if is_single else _Expects.ICW3
            case _Expects.ICW3:  # the wires of a PC say the same
                self._expects = last
            case _Expects.ICW4:
                self.auto_eoi = bool(value & ICW4_AUTO_EOI)
                self._special_fully_nested = bool(value & ICW4_SPECIAL_FULLY_NESTED)
                self._expects = _Expects.OCW1

    def read_command(self) -> int:
        """IRR or ISR, as OCW3 chose; after a poll command the line, which is then in service."""
        if not self._polls:
            return self.isr if self._reads_isr else self.irr
        self._polls = False
        line = self.acknowledge()
        return SPURIOUS_LINE if line is None else POLLED | line

    def write_elcr(self, value: int) -> None:
        """Make lines level-triggered, or edge-triggered again. Some are always edges."""
        self.elcr = value & ~self._always_edge
        self.irr = self.irr & ~self.elcr | self._high & self.elcr

    def _initialize(self, icw1: int) -> None:
        self._icw1 = icw1
        self._expects = _Expects.ICW2
        self.irr = self._high & self.elcr
        self.isr = self.imr = self._glitches = 0
        self.lowest = LINES_OF_CHIP - 1
        self.auto_eoi = self._rotates_on_auto_eoi = False
        self._special_mask = self._special_fully_nested = False
        self._reads_isr = self._polls = False

    def _end_of_interrupt(self, ocw2: int) -> None:
        rotate = bool(ocw2 & OCW2_ROTATE)
        line: int | None = ocw2 & SPURIOUS_LINE
        if not ocw2 & OCW2_EOI:
            if not ocw2 & OCW2_SPECIFIC:
                self._rotates_on_auto_eoi = rotate
            elif rotate:
                self.lowest = ocw2 & SPURIOUS_LINE
            return
        if not ocw2 & OCW2_SPECIFIC:
            # With the special mask, lines that are masked are ended by name only.
            ended = self.isr & ~self.imr if self._special_mask else self.isr
            line = next((line for line in self._by_priority() if ended >> line & 1), None)
        if line is not None:
            self.isr &= ~(1 << line)
            if rotate:
                self.lowest = line

    def _by_priority(self) -> list[int]:
        first = self.lowest + 1
        return [(first + step) % LINES_OF_CHIP for step in range(LINES_OF_CHIP)]


class I8259Pair:
    """The two of a PC, behind their ports. Lines 0 to 15; line 2 is the cascade."""

    def __init__(self, set_intr: Callable[[bool], None]) -> None:
        self.master = I8259(is_master=True)
        self.slave = I8259(is_master=False)
        self._set_intr = set_intr
        self._intr = False

    def set_line(self, line: int, high: bool) -> None:
        """Drive the wire of a device."""
        chip, number = self._at(line)
        chip.set_line(number, high)
        self._update()

    def pulse(self, line: int) -> None:
        """High and low again: what an edge-triggered device does.

        An edge is latched: the wire is low when the CPU hears of it, and the handler can cause
        the next one. A level is there only until it goes.
        """
        chip, number = self._at(line)
        chip.set_line(number, True)
        if chip.elcr >> number & 1:
            self._update()
        chip.set_line(number, False)
        self._update()

    def glitch(self, line: int) -> None:
        """Noise: a pulse that is over when the CPU asks; it is told of line 7 or 15 instead."""
        chip, number = self._at(line)
        chip.glitch(number)
        self._update()

    def acknowledge(self) -> int:
        """Answer the CPU that was interrupted: the vector."""
        line = self.master.acknowledge()
        if line == CASCADE:
            chip, line = self.slave, self.slave.acknowledge()
        else:
            chip = self.master
        self._update()
        return chip.base + (SPURIOUS_LINE if line is None else line)

    @property
    def collapsed(self) -> int:
        return self.master.collapsed + self.slave.collapsed

    def write(self, port: int, value: int) -> None:
        """Write a byte to one of PORTS."""
        chip = self.slave if port in (SLAVE_COMMAND, SLAVE_DATA, ELCR_SLAVE) else self.master
        if port in (ELCR_MASTER, ELCR_SLAVE):
            chip.write_elcr(value)
        elif port in (MASTER_DATA, SLAVE_DATA):
            chip.write_data(value)
        else:
            chip.write_command(value)
        self._update()

    def read(self, port: int) -> int:
        """Read a byte from one of PORTS."""
        chip = self.slave if port in (SLAVE_COMMAND, SLAVE_DATA, ELCR_SLAVE) else self.master
        if port in (ELCR_MASTER, ELCR_SLAVE):
            return chip.elcr
        if port in (MASTER_DATA, SLAVE_DATA):
            return chip.imr
        value = chip.read_command()
        self._update()
        return value

    def _at(self, line: int) -> tuple[I8259, int]:
        chip = self.master if line < LINES_OF_CHIP else self.slave
        return chip, line % LINES_OF_CHIP

    def _update(self) -> None:
        """Let the slave's request reach the master, and the master's the CPU."""
        self.master.follow(CASCADE, self.slave.highest is not None)
        intr = self.master.highest is not None
        if intr != self._intr:
            self._intr = intr
            self._set_intr(intr)
