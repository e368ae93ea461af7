"""Be the CMOS clock: rtc0 on interrupt 8.

Follows drivers/rtc/rtc-cmos.c.
"""

from typing import ClassVar

from pseudokern.drivers.device import Device, IrqReturn
from pseudokern.drivers.keys import Gsi, Key, Rate
from pseudokern.irq.desc import Irq


class Rtc(Device):
    """An MC146818. rate: update, alarm and periodic interrupts together."""

    KEYS: ClassVar = {
        "gsi": Key(
            Gsi(minimum=1, trigger="edge", shared=False), default=8, doc="its ISA interrupt"
        ),
        "rate": Key(Rate(), default=0, doc="interrupts a second"),
    }

    def probe(self) -> None:
        irq = Irq(self.options["gsi"])
        self.request_irq(irq, lambda: IrqReturn.HANDLED, name=self.name)
        self.traffic(self.options["rate"], [lambda _now_ns: self.pulse(irq)])
