"""Let lines misbehave: raise them at will, hold them, lose their edges, delay their EOI."""

from collections.abc import Callable
from functools import partial

from pseudokern.hw.line import IntxLine
from pseudokern.irq.desc import Irq, IrqDesc
from pseudokern.sim.agenda import Agenda
from pseudokern.sim.quantity import QuantityError, parse_duration_ns, parse_rate_hz
from pseudokern.x86.i8259_chip import I8259Chip
from pseudokern.x86.ioapic_chip import IoApicChip, pin_of
from pseudokern.x86.msi_chip import MsiChip, message_of
from pseudokern.x86.pc import Pc

NS_PER_S = 1_000_000_000
DEFAULT_RATE = "10 kHz"
OFF = "off"


class Refused(ValueError):
    """A command that makes no sense; the text says what would."""


def find_line(pc: Pc, word: str) -> IrqDesc:
    """The interrupt of this number."""
    desc = pc.irqs.get(Irq(number(word)))
    if desc is None or not desc.actions:
        raise Refused(f"nobody has requested interrupt {word}; see /proc/interrupts")
    return desc


def number(word: str, least: int = 0, most: int = 1 << 32) -> int:
    """A number in any of C's bases."""
    try:
        value = int(word, 0)
    except ValueError:
        raise Refused(f"{word!r} is no number") from None
    if not least <= value <= most:
        raise Refused(f"{word} is not from {least:#x} to {most:#x}")
    return value


class _Burst:
    """One line's interrupts that are still to come."""

    __slots__ = ("left", "period_ns", "rate", "signal")

    def __init__(self, signal: Callable[[], None], left: int, rate: str, period_ns: int) -> None:
        self.signal = signal
        self.left = left
        self.rate = rate
        self.period_ns = period_ns


class RaiseFault:
    """Interrupt many times, as the device would: IRQ TIMES [RATE], or IRQ off.

    Nobody told the driver, so a handler that looks at its device says that it was not this one.
    """

    USAGE = "IRQ TIMES [RATE], like 29 1000 10kHz, or IRQ off"

    def __init__(self, pc: Pc, agenda: Agenda) -> None:
        self._pc = pc
        self._agenda = agenda
        self._timeline = pc.kernel.timeline
        self._bursts: dict[int, _Burst] = {}

    def command(self, irq: str, times: str, *rate: str) -> None:
        desc = find_line(self._pc, irq)
        if times == OFF:
            self._bursts.pop(desc.irq, None)
            return
        text = " ".join(rate) or DEFAULT_RATE
        try:
            rate_hz = parse_rate_hz(text)
        except QuantityError as error:
            raise Refused(f"rate {text!r} {error}") from None
        if not rate_hz:
            raise Refused("a rate of 0 never ends; use off")
        period_ns = max(1, round(NS_PER_S / rate_hz))
        burst = _Burst(self._signal(desc), number(times, 1), text, period_ns)
        self._bursts[desc.irq] = burst
        self._agenda.at(self._timeline.now_ns, partial(self._step, desc.irq, burst))

    def armed(self) -> list[str]:
        bursts = sorted(self._bursts.items())
        return [f"{irq} {burst.left} {burst.rate}" for irq, burst in bursts]

    def _signal(self, desc: IrqDesc) -> Callable[[], None]:
        if isinstance(desc.chip, MsiChip):
            message = message_of(desc)
            return lambda: message.trigger(self._timeline.now_ns)
        if isinstance(desc.chip, IoApicChip):
            pin = pin_of(desc)
            if desc.is_level:
                return lambda: pin.ioapic.glitch(pin.number)
            return lambda: pin.ioapic.pulse(pin.number)
        if isinstance(desc.chip, I8259Chip):
            return lambda: self._pc.pic.pulse(desc.irq)
        raise Refused(f"interrupt {desc.irq} has neither a message nor a wire; irqctl raises it")

    def _step(self, irq: int, burst: _Burst) -> None:
        if self._bursts.get(irq) is not burst:
            return  # it was switched off, or begun anew
        burst.left -= 1
        if burst.left:
            at_ns = self._timeline.now_ns + burst.period_ns
            self._agenda.at(at_ns, partial(self._step, irq, burst))
        else:
            del self._bursts[irq]
        burst.signal()


class StuckLineFault:
    """Hold the wire of PCI devices as if one of them never let go: GSI on, or GSI off."""

    USAGE = "GSI on, or GSI off, like 21 on"

    def __init__(self, pc: Pc, _agenda: Agenda) -> None:
        self._pc = pc
        self._held: dict[int, IntxLine] = {}

    def command(self, gsi: str, switch: str) -> None:
        line = number(gsi)
        wired = sorted({f.gsi for f in self._pc.pci.functions.values() if f.gsi})
        if line not in wired:
            raise Refused(f"no PCI device is wired to {gsi}; the lines are {wired}")
        if switch == "on":
            self._held[line] = self._pc.gsis.intx_line(line)
            self._held[line].assert_by(self)
        elif switch == OFF:
            wire = self._held.pop(line, None)
            if wire is not None:
                wire.release_by(self)
        else:
            raise Refused(f"{switch!r} is neither on nor off")

    def armed(self) -> list[str]:
        return [f"{gsi} on" for gsi in sorted(self._held)]


class LostEdgeFault:
    """Lose the next edges of a line, or its next messages, on their way: IRQ TIMES; 0 ends it."""

    USAGE = "IRQ TIMES, like 4 3; 0 ends it"

    def __init__(self, pc: Pc, _agenda: Agenda) -> None:
        self._pc = pc

    def command(self, irq: str, times: str) -> None:
        desc, count = find_line(self._pc, irq), number(times)
        if isinstance(desc.chip, MsiChip):
            message_of(desc).lose_next(count)
        elif isinstance(desc.chip, IoApicChip) and not desc.is_level:
            pin = pin_of(desc)
            pin.ioapic.lose_next(pin.number, count)
        else:
            raise Refused(f"interrupt {irq} has no edges at an I/O APIC, and no messages")

    def armed(self) -> list[str]:
        return [f"{desc.irq} {left}" for desc in self._pc.irqs if (left := self._losing(desc))]

    @staticmethod
    def _losing(desc: IrqDesc) -> int:
        if isinstance(desc.chip, MsiChip):
            return message_of(desc).losing
        if isinstance(desc.chip, IoApicChip):
            pin = pin_of(desc)
            return pin.ioapic.losing(pin.number)
        return 0


class DelayedEoiFault:
    """Let the EOI of level lines reach the I/O APICs late: DURATION, or off.

    Until then their pins deliver nothing more, so no line comes more often than once in that time.
    """

    USAGE = "DURATION, like 2ms, or off"

    def __init__(self, pc: Pc, agenda: Agenda) -> None:
        self._pc = pc
        self._agenda = agenda
        self._delay_ns = 0

    def command(self, *words: str) -> None:
        text = " ".join(words)
        if not self._pc.ioapics:
            raise Refused("there is no I/O APIC in use")
        try:
            self._delay_ns = 0 if text == OFF else parse_duration_ns(text)
        except QuantityError as error:
            raise Refused(f"{text!r} {error}") from None
        for ioapic in self._pc.ioapics:
            ioapic.delay_eois(self._later if self._delay_ns else None)

    def armed(self) -> list[str]:
        return [f"{self._delay_ns} ns"] if self._delay_ns else []

    def _later(self, end: Callable[[], None]) -> None:
        self._agenda.at(self._pc.kernel.timeline.now_ns + self._delay_ns, end)
