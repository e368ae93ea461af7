"""Be the keyboard controller: a keyboard on interrupt 1, a mouse on interrupt 12.

Follows drivers/input/serio/i8042.c.
"""

from typing import ClassVar

from pseudokern.drivers.device import Device, IrqReturn
from pseudokern.drivers.keys import Key, Rate
from pseudokern.drivers.traffic import Target
from pseudokern.irq.desc import Irq

KEYBOARD_IRQ = Irq(1)
MOUSE_IRQ = Irq(12)


class I8042(Device):
    """Two ports; each byte from a device is an interrupt."""

    KEYS: ClassVar = {
        "keyboard_rate": Key(Rate(), default=0, doc="bytes from the keyboard a second"),
        "mouse_rate": Key(Rate(), default=0, doc="bytes from the mouse a second"),
    }

    def probe(self) -> None:
        for irq, rate in ((MOUSE_IRQ, "mouse_rate"), (KEYBOARD_IRQ, "keyboard_rate")):
            self.request_irq(irq, lambda: IrqReturn.HANDLED, name="i8042")
            self.traffic(self.options[rate], [self._byte_from(irq)])

    def _byte_from(self, irq: Irq) -> Target:
        return lambda _now_ns: self.pulse(irq)
