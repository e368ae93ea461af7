"""Deliver interrupts to a CPU, or let them wait until it can take them.

Follows the Intel SDM, volume 3: chapter 6 (IDT, IF) and 11.8.3 (when the APIC's highest request
is delivered). A CPU that executes a handler has IF clear until its time is over, so a vector
that arrives meanwhile stays in IRR: nothing nests but NMI.
"""

from collections.abc import Callable
from typing import NamedTuple

from pseudokern.hw.lapic import LocalApic
from pseudokern.hw.vector import VECTORS, ApicId, Vector
from pseudokern.sim.alarm import Alarm
from pseudokern.sim.timeline import FOREVER_NS, Timeline

Handler = Callable[["Cpu", Vector], None]


class IdtGate(NamedTuple):
    """One entry of an IDT. dpl: who may `int N` it (3: programs); ist: stack, 0 for the current."""

    name: str
    handler: Handler
    dpl: int = 0
    ist: int = 0


class Cpu:
    """One processor: its IDT, its local APIC, and until when it is busy.

    busy_until_ns  end of the handler that runs, or ran last
    ready_ns       an interrupt that arrives at or after this time is delivered at once. It is
                   FOREVER_NS while a handler is called, something waits in IRR, or IF is clear
    short_ways     for an IRR with only this bit: what taking that vector comes to (x86/gate.py)
    """

    __slots__ = ("_in_handler", "_kick", "_timeline", "apic", "busy_until_ns", "idt",
                 "interrupt_flag", "number", "ready_ns", "short_ways")  # fmt: skip

    def __init__(self, timeline: Timeline, number: int, apic: LocalApic) -> None:
        self.number = number
        self.apic = apic
        self.idt: list[IdtGate | None] = [None] * VECTORS
        self.short_ways: dict[int, Callable[[int], None]] = {}
        self.interrupt_flag = False
        self.busy_until_ns = 0
        self.ready_ns = FOREVER_NS
        self._in_handler = False
        self._timeline = timeline
        self._kick = Alarm(timeline, self._kicked)
        apic.connect(self.interrupt_pending)

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
