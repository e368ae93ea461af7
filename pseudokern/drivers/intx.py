"""Interrupt by a shared level line, and know whether it was oneself.

What every driver of an INTx device does: look at the device's status, answer IRQ_NONE if it was
not this one, else make it let go of the line.
"""

from pseudokern.drivers.device import Irqf, IrqReturn, PciDevice
from pseudokern.irq.desc import IrqDesc


class IntxDevice(PciDevice):
    """A device on an INTx line."""

    def request_intx(self, desc: IrqDesc | None, name: str) -> None:
        """Share the line. Without a line the device has no interrupts."""
        if desc is not None:
            self.request_irq(desc.irq, self.handle_intx, name=name, flags=Irqf.SHARED)

    def assert_intx(self, _now_ns: int) -> None:
        """Something happened: pull the line."""
        if self.function.intx is not None:
            self.function.intx.assert_by(self)

    def handle_intx(self) -> IrqReturn:
        line = self.function.intx
        if line is None or not line.is_asserted_by(self):
            return IrqReturn.NONE
        line.release_by(self)
        return IrqReturn.HANDLED
