"""Be a serial port: ttyS0 on interrupt 4, one interrupt each time its FIFO wants attention.

Follows drivers/tty/serial/8250/8250_core.c.
"""

from typing import ClassVar

from pseudokern.drivers.device import Device, IrqReturn
from pseudokern.drivers.keys import Gsi, Key, Rate
from pseudokern.irq.desc import Irq


class Uart(Device):
    """An 8250. rate: how often it interrupts."""

    KEYS: ClassVar = {
        "gsi": Key(
            Gsi(minimum=1, trigger="edge", shared=False), default=4, doc="its ISA interrupt"
        ),
        "rate": Key(Rate(), default=0, doc="interrupts a second"),
    }

    def probe(self) -> None:
        irq = Irq(self.options["gsi"])
        self.request_irq(irq, lambda: IrqReturn.HANDLED, name=self.name)
        self.traffic(self.options["rate"], [lambda _now_ns: self.pulse(irq)])
