"""Deliver interrupts to a CPU, or let them wait until it can take them.

Follows the Intel SDM, volume 3: chapter 6 (IDT, IF) and 11.8.3 (when the APIC's highest request
is delivered). A CPU that executes a handler has IF clear until its time is over, so a vector
that arrives meanwhile stays in IRR: nothing nests but NMI.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from pseudokern.hw.lapic import LocalApic
from pseudokern.hw.vector import VECTORS, ApicId, Vector
from pseudokern.sim.alarm import Alarm
from pseudokern.sim.timeline import FOREVER_NS, Timeline

if TYPE_CHECKING:
    from pseudokern.hw.nmi import NmiPin

GENERAL_PROTECTION = Vector(13)
ERROR_CODE_IDT = 1 << 1
USER_DPL = 3

Handler = Callable[["Cpu", Vector], None]


class IdtGate(NamedTuple):
    """One entry of an IDT. dpl: who may `int N` it (3: programs); ist: stack, 0 for the current."""

    name: str
    handler: Handler
    dpl: int = 0
    ist: int = 0


class TrapFrame(NamedTuple):
    """What the CPU saves for the handler of an exception.

    is_user  it was a program that did it; address: CR2, or what the instruction was about
    status   of a machine check, MCi_STATUS of its bank
    """

    is_user: bool = False
    error_code: int = 0
    address: int = 0
    status: int = 0


class Cpu:
    """One processor: its IDT, its local APIC, and until when it is busy.

    busy_until_ns  end of the handler that runs, or ran last
    ready_ns       an interrupt that arrives at or after this time is delivered at once. It is
                   FOREVER_NS while a handler is called, something waits in IRR, or IF is clear
    trap_frame     what the exception that is being handled has saved
    short_ways     for an IRR with only this bit: what taking that vector comes to (x86/gate.py)
    """

    __slots__ = ("_in_handler", "_kick", "_nmi_pin", "_timeline", "apic", "busy_until_ns",
                 "idt", "interrupt_flag", "number", "ready_ns", "short_ways",
                 "trap_frame")  # fmt: skip

    def __init__(self, timeline: Timeline, number: int, apic: LocalApic) -> None:
        self.number = number
        self.apic = apic
        self.idt: list[IdtGate | None] = [None] * VECTORS
        self.short_ways: dict[int, Callable[[int], None]] = {}
        self.interrupt_flag = False
        self.busy_until_ns = 0
        self.ready_ns = FOREVER_NS
        self.trap_frame = TrapFrame()
        self._nmi_pin: NmiPin | None = None
        self._in_handler = False
        self._timeline = timeline
        self._kick = Alarm(timeline, self._kicked)
        apic.connect(self.interrupt_pending)
        apic.connect_nmi(self.nmi)

    @property
    def apic_id(self) -> ApicId:
        return self.apic.apic_id

    def sti(self) -> None:
        """Set IF: what waits in IRR is taken as soon as the CPU is not busy."""
        self.interrupt_flag = True
        self._update()
        self.interrupt_pending()

    def cli(self) -> None:
        """Clear IF: everything but NMI waits."""
        self.interrupt_flag = False
        self._update()

    @property
    def nmi_pin(self) -> "NmiPin":
        """The input that IF does not close."""
        if self._nmi_pin is None:
            from pseudokern.hw.nmi import NmiPin  # most machines never see an NMI

            self._nmi_pin = NmiPin(self, self._timeline)
        return self._nmi_pin

    def nmi(self) -> None:
        """An NMI: handled now whatever IF says, or once when the present one is over."""
        self.nmi_pin.pulse()

    def exception(self, vector: Vector, frame: TrapFrame) -> None:
        """What the present instruction does is against the rules: take the gate of vector now."""
        gate = self.idt[vector]
        if gate is None:
            raise RuntimeError(f"CPU {self.number}: no gate for exception {vector}")
        outer, self.trap_frame = self.trap_frame, frame
        try:
            gate.handler(self, vector)
        finally:
            self.trap_frame = outer
            if self._nmi_pin is not None:
                self._nmi_pin.iret()

    def software_interrupt(self, vector: Vector, frame: TrapFrame) -> None:
        """INT vector. A program may only take gates whose DPL is 3; others are a #GP."""
        gate = self.idt[vector]
        if frame.is_user and (gate is None or gate.dpl < USER_DPL):
            error_code = vector << 3 | ERROR_CODE_IDT
            self.exception(GENERAL_PROTECTION, frame._replace(error_code=error_code))
        else:
            self.exception(vector, frame)

    def open_window(self) -> None:
        """STI within a handler: what is of a higher class is taken now, and from now on."""
        self._in_handler = False
        self.busy_until_ns = self._timeline.now_ns
        self._update()
        self.interrupt_pending()

    def close_window(self, *, in_handler: bool) -> None:
        """CLI within that handler; in_handler: what it is part of came through the APIC."""
        self._in_handler = in_handler
        self._update()

    def occupy(self, duration_ns: int) -> int:
        """Be busy for duration_ns more, from now or from the end of what runs; return that end."""
        self.busy_until_ns = max(self.busy_until_ns, self._timeline.now_ns) + duration_ns
        if self.ready_ns != FOREVER_NS:
            self.ready_ns = self.busy_until_ns
        return self.busy_until_ns

    def interrupt_pending(self) -> None:
        """The APIC has a request: take it now, or when the CPU is free."""
        if self._in_handler or not self.interrupt_flag or not self.apic.has_request():
            self._update()
        elif self._timeline.now_ns < self.busy_until_ns:
            self.ready_ns = FOREVER_NS
            self._kick.set(self.busy_until_ns)
        else:
            self._take()

    def put_off(self, vector: Vector) -> None:
        """Let a vector wait that arrives before ready_ns.

        What apic.accept() does, without its questions if nothing waits yet: 550 -> 270 ns.
        """
        if self.ready_ns == FOREVER_NS:
            self.apic.accept(vector)
            return
        apic, bit = self.apic, 1 << vector
        apic.irr = bit
        if apic.tmr:
            apic.tmr &= ~bit
        self.ready_ns = FOREVER_NS
        self._kick.set(self.busy_until_ns)

    def _kicked(self) -> None:
        """The handler is over for the end of which something waits."""
        apic = self.apic
        short_way = self.short_ways.get(apic.irr)
        if short_way is None or apic.isr or apic.tpr or not self.interrupt_flag:
            self.interrupt_pending()
        elif (now_ns := self._timeline.now_ns) < self.busy_until_ns:
            self._kick.set(self.busy_until_ns)
        else:
            apic.irr = 0
            self.ready_ns = now_ns
            short_way(now_ns)

    def _take(self) -> None:
        # Already while it asks for the vector: an 8259 may answer with the next request at once.
        self._in_handler = True
        try:
            vector = self.apic.acknowledge() if self.interrupt_flag else None
            if vector is not None:
                self.ready_ns = FOREVER_NS
                self._dispatch(vector)
        finally:
            self._in_handler = False
            if self.interrupt_flag and self.apic.has_request():
                self._kick.set(self.busy_until_ns)
            self._update()

    def _dispatch(self, vector: Vector) -> None:
        gate = self.idt[vector]
        if gate is None:
            raise RuntimeError(f"CPU {self.number}: no gate for vector {vector:#x}")
        gate.handler(self, vector)

    def _update(self) -> None:
        apic = self.apic
        open_to_all = self.interrupt_flag and not (apic.irr or apic.isr or apic.tpr)
        free = open_to_all and not self._in_handler
        self.ready_ns = self.busy_until_ns if free else FOREVER_NS
