"""Keep the requests of one CPU: IRR, ISR, TMR, priorities, EOI, and its own timer.

Follows the Intel SDM, volume 3, chapter 11. Registers of 256 bits are ints. A vector that is
requested while its IRR bit is set collapses into that request: the APIC has one bit for it.

LINT0 brings the requests of an 8259 (ExtINT): they pass IRR and ISR by, and priorities do not
concern them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pseudokern.hw.vector import VECTORS, ApicId, Vector
from pseudokern.sim.alarm import Alarm
from pseudokern.sim.timeline import Timeline

CLASS_SHIFT = 4
MIN_VALID_VECTOR = 16
# What LINT0 brings stands in IRR above every vector, so that whoever looks there finds it.
EXTINT = 1 << VECTORS
# So does what is not there any more when the CPU asks; it gets the spurious vector.
GONE = 1 << VECTORS + 1
ESR_RECEIVE_ILLEGAL_VECTOR = 1 << 6
ESR_SEND_ILLEGAL_VECTOR = 1 << 5

SendIpi = Callable[[ApicId, Vector, int], None]  # the last is the delivery mode


@dataclass(slots=True)
class LocalVector:
    """An entry of the local vector table: what one of the APIC's own sources delivers."""

    vector: Vector = Vector(0)
    masked: bool = True


class LocalApic:
    """The local APIC of one CPU.

    collapsed  requests that found their IRR bit set: they are one interrupt with the earlier one
    nmis       requests with the delivery mode NMI: they pass IRR and priorities by
    spurious_vector  what the CPU gets for a request that is gone when it asks (SVR); no EOI
    esr        error status, as bits; each new error delivers lvt_error
    """

    __slots__ = ("_acknowledge_pic", "_broadcast_eoi", "_lint0", "_lint0_masked", "_nmi",
                 "_notify", "_send_ipi", "_timer", "apic_id", "collapsed", "esr", "irr", "isr",
                 "lvt_error", "lvt_timer", "nmis", "spurious_vector", "tmr", "tpr")  # fmt: skip

    def __init__(self, timeline: Timeline, apic_id: ApicId) -> None:
        self.apic_id = apic_id
        self.irr = 0
        self.isr = 0
        self.tmr = 0
        self.tpr = 0
        self.esr = 0
        self.collapsed = 0
        self.nmis = 0
        self.spurious_vector = Vector(0xFF)
        self.lvt_timer = LocalVector()
        self.lvt_error = LocalVector()
        self._lint0 = False
        self._lint0_masked = True
        self._timer = Alarm(timeline, self._timer_expired)
        self._notify: Callable[[], None] = lambda: None
        self._broadcast_eoi: Callable[[Vector], None] = lambda _vector: None
        self._nmi: Callable[[], None] = lambda: None
        self._send_ipi: SendIpi = lambda _apic_id, _vector, _delivery: None
        self._acknowledge_pic: Callable[[], int] = lambda: 0

    def connect(self, notify: Callable[[], None]) -> None:
        """Call notify when there may be something to deliver."""
        self._notify = notify

    def connect_bus(
        self,
        broadcast_eoi: Callable[[Vector], None],
        send_ipi: SendIpi,
    ) -> None:
        """Tell broadcast_eoi of each EOI of a level-triggered vector, send_ipi of each IPI."""
        self._broadcast_eoi = broadcast_eoi
        self._send_ipi = send_ipi

    def connect_nmi(self, nmi: Callable[[], None]) -> None:
        """Call nmi for each request with that delivery mode: the CPU's NMI pin."""
        self._nmi = nmi

    def connect_pic(self, acknowledge: Callable[[], int]) -> None:
        """Ask acknowledge for the vector when the CPU takes what LINT0 brought."""
        self._acknowledge_pic = acknowledge

    @property
    def ppr(self) -> int:
        """Processor priority: the higher of TPR and the class of what is in service."""
        in_service = max(self.isr.bit_length() - 1, 0)
        if self.tpr >> CLASS_SHIFT >= in_service >> CLASS_SHIFT:
            return self.tpr
        return in_service >> CLASS_SHIFT << CLASS_SHIFT

    def accept(self, vector: Vector, *, level: bool = False) -> None:
        """Take a request from the bus.

        A vector below 16 is an error of the sender: bit 6 of ESR, and the error vector.
        """
        if vector < MIN_VALID_VECTOR:
            self.report_errors(ESR_RECEIVE_ILLEGAL_VECTOR)
            return
        bit = 1 << vector
        if level:
            self.tmr |= bit
        elif self.tmr:
            self.tmr &= ~bit
        if self.irr & bit:
            self.collapsed += 1
            return
        self.irr |= bit
        self._notify()

    def accept_nmi(self) -> None:
        """Take a request with the delivery mode NMI from the bus; its vector does not matter."""
        self.nmis += 1
        self._nmi()

    def has_request(self) -> bool:
        """Whether the highest request is of a higher class than what the CPU does."""
        if not self.isr and not self.tpr:
            return self.irr != 0  # class 0 has no vectors that could be requested
        return (self.irr.bit_length() - 1) >> CLASS_SHIFT > self.ppr >> CLASS_SHIFT

    def acknowledge(self) -> Vector | None:
        """Hand the highest request to the CPU: it moves from IRR to ISR, unless it is an ExtINT."""
        if not self.has_request():
            return None
        if self.irr & GONE:
            self.irr ^= GONE
            return self.spurious_vector
        if self.irr & EXTINT:
            return Vector(self._acknowledge_pic())
        vector = Vector(self.irr.bit_length() - 1)
        self.irr ^= 1 << vector
        self.isr |= 1 << vector
        return vector

    def eoi(self) -> None:
        """End the interrupt of the highest class in service. Without one: nothing."""
        if not self.isr:
            return
        vector = Vector(self.isr.bit_length() - 1)
        self.isr ^= 1 << vector
        if self.tmr >> vector & 1:
            self._broadcast_eoi(vector)

    def withdraw(self, vector: Vector) -> None:
        """Take a request back that the CPU has not taken. No hardware can; see who calls it."""
        self.irr &= ~(1 << vector)

    def is_requested(self, vector: Vector) -> bool:
        return bool(self.irr >> vector & 1)

    def is_level(self, vector: Vector) -> bool:
        """TMR: whether the vector came from a level-triggered source the last time."""
        return bool(self.tmr >> vector & 1)

    def is_in_service(self, vector: Vector) -> bool:
        return bool(self.isr >> vector & 1)

    def write_icr(self, destination: ApicId, vector: Vector, delivery: int = 0) -> None:
        """Write the interrupt command register: to one APIC, which may be this.

        A vector below 16 is not sent with fixed delivery: bit 5 of ESR, and the error vector.
        """
        if not delivery and vector < MIN_VALID_VECTOR:
            self.report_errors(ESR_SEND_ILLEGAL_VECTOR)
        else:
            self._send_ipi(destination, vector, delivery)

    def set_priority(self, tpr: int) -> None:
        """Write TPR (CR8): only classes above it are delivered."""
        self.tpr = tpr & 0xFF
        self._notify()

    def report_errors(self, bits: int) -> None:
        """Something went wrong: bits of ESR, and the error vector."""
        self.esr |= bits
        if not self.lvt_error.masked:
            self.accept(self.lvt_error.vector)

    def give_spurious(self) -> None:
        """Interrupt the CPU for a request that will be gone when it asks which one it was."""
        self.irr |= GONE
        self._notify()

    def set_lint0(self, high: bool) -> None:
        """Drive the wire from the 8259: high while it has a request."""
        self._lint0 = high
        self._update_lint0()

    def mask_lint0(self, masked: bool) -> None:
        """Write the mask bit of LVT0, whose delivery mode is ExtINT."""
        self._lint0_masked = masked
        self._update_lint0()

    def reset(self) -> None:
        """INIT: everything requested or in service is forgotten, the local sources are masked."""
        self.irr = self.isr = self.tmr = self.tpr = self.esr = 0
        self.lvt_timer.masked = self.lvt_error.masked = self._lint0_masked = True

    def set_deadline(self, at_ns: int) -> None:
        """Arm the timer, in TSC-deadline mode, for one interrupt at at_ns."""
        self._timer.set(at_ns)

    @property
    def deadline_ns(self) -> int | None:
        """When the timer will interrupt; None if it is not armed."""
        return self._timer.due_ns if self._timer.is_set else None

    def stop_timer(self) -> None:
        self._timer.cancel()

    def _timer_expired(self) -> None:
        if not self.lvt_timer.masked:
            self.accept(self.lvt_timer.vector)

    def _update_lint0(self) -> None:
        if self._lint0 and not self._lint0_masked:
            self.irr |= EXTINT
        else:
            self.irr &= ~EXTINT
        self._notify()
