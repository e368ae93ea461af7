"""Take NMIs: the input of a CPU that IF does not close.

Follows the Intel SDM, volume 3, 6.7.1: from the delivery of an NMI to the next IRET further ones
are held back. The CPU has one latch for them, so any number becomes one.
"""

from typing import TYPE_CHECKING

from pseudokern.hw.vector import Vector
from pseudokern.sim.alarm import Alarm
from pseudokern.sim.timeline import Timeline

if TYPE_CHECKING:
    from pseudokern.hw.cpu import Cpu

NMI_VECTOR = Vector(2)


class NmiPin:
    """The NMI input of one CPU.

    latched    one has come that is not delivered yet
    blocked    one is being handled, and no IRET has come
    ends_ns    until when the one that ran last keeps the CPU
    collapsed  NMIs that found the latch set
    """

    def __init__(self, cpu: "Cpu", timeline: Timeline) -> None:
        self.latched = False
        self.blocked = False
        self.ends_ns = 0
        self.collapsed = 0
        self._cpu = cpu
        self._timeline = timeline
        self._alarm = Alarm(timeline, self._deliver_latched)

    def pulse(self) -> None:
        """An NMI arrives."""
        if self.blocked or self._timeline.now_ns < self.ends_ns:
            self.collapsed += self.latched
            self.latched = True
            if not self.blocked:
                self._alarm.set(self.ends_ns)
        else:
            self._deliver()

    def iret(self) -> None:
        """IRET, also of an exception within the handler: the next one may come."""
        if self.blocked:
            self.blocked = False
            if self.latched:
                self._deliver()
            self.blocked = True  # the handler that was interrupted goes on

    def occupy(self, duration_ns: int) -> None:
        """The handler takes so long; what it has interrupted ends so much later."""
        self._cpu.occupy(duration_ns)
        self.ends_ns = max(self.ends_ns, self._timeline.now_ns) + duration_ns

    def _deliver_latched(self) -> None:
        if self.latched:
            self._deliver()

    def _deliver(self) -> None:
        gate = self._cpu.idt[NMI_VECTOR]
        if gate is None:
            raise RuntimeError(f"CPU {self._cpu.number}: no gate for an NMI")
        self.latched = False
        self.blocked = True
        try:
            gate.handler(self._cpu, NMI_VECTOR)
        finally:
            self.blocked = False
            if self.latched:
                self._alarm.set(self.ends_ns)
