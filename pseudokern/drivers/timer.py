"""Tick at boot, until the local APICs' timers take over: the 8254, interrupt 0.

Follows arch/x86/kernel/time.c: the interrupt is requested before /proc/irq exists, and may not be
moved.
"""

from typing import ClassVar

from pseudokern.drivers.device import Device, Irqf, IrqReturn
from pseudokern.drivers.keys import Integer, Key
from pseudokern.irq.desc import Irq
from pseudokern.sim.alarm import Alarm

TIMER_IRQ = Irq(0)


class Timer(Device):
    """The programmable interval timer; boot_ticks is how often it fires before it stops."""

    KEYS: ClassVar = {
        "boot_ticks": Key(Integer(0, 100_000), default=125, doc="interrupts during boot")
    }
    BEFORE_PROC: ClassVar[bool] = True

    def probe(self) -> None:
        self._left = self.options["boot_ticks"]
        self._alarm = Alarm(self.kernel.timeline, self._fire)
        flags = Irqf.NOBALANCING | Irqf.IRQPOLL | Irqf.TIMER
        self.request_irq(TIMER_IRQ, lambda: IrqReturn.HANDLED, name="timer", flags=flags)
        self._set()

    def _set(self) -> None:
        if self._left:
            self._alarm.set(self.kernel.timeline.now_ns + self.kernel.tick_period_ns)

    def _fire(self) -> None:
        self._left -= 1
        self.pulse(TIMER_IRQ)
        self._set()
