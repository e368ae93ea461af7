"""Interrupt by a shared level line, and know whether it was oneself.

What every driver of an INTx device does: look at the device's status, answer IRQ_NONE if it was
not this one, else make it let go of the line.
"""

import errno
from collections.abc import Callable

from pseudokern.drivers.device import Irqf, IrqReturn, PciDevice
from pseudokern.hw.line import IntxLine
from pseudokern.hw.trigger import Source
from pseudokern.irq.action import Handler
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.request import request_irq
from pseudokern.irq.spurious import symbol_of


class IntxSource:
    """What a device has instead of a message: its events pull the line, its handler shares it.

    It has the trigger of a message, so that a device need not know which of the two it has.
    """

    __slots__ = ("_handler", "_line")

    def __init__(self, line: IntxLine, handler: Handler) -> None:
        self._line = line
        self._handler = handler

    @property
    def symbol(self) -> str:
        """What the kernel log calls the handler."""
        return symbol_of(self._handler)

    def connect(self, source: Source) -> None:
        source.trigger = self.trigger

    def replace_handler(self, wrap: Callable[[Handler], Handler]) -> None:
        """Have what wrap makes of the handler called from now on."""
        self._handler = wrap(self._handler)

    def trigger(self, _now_ns: int) -> None:
        """An event of the device."""
        self._line.assert_by(self)

    def __call__(self) -> IrqReturn:
        if not self._line.is_asserted_by(self):
            return IrqReturn.NONE
        self._line.release_by(self)
        return self._handler()


class IntxDevice(PciDevice):
    """A device on an INTx line."""

    def exchangeable(self, handler: Handler) -> Handler:
        """A handler that can be exchanged later, though with threadirqs a thread keeps it."""
        if not self.pc.irqs.force_irqthreads:
            return handler
        from pseudokern.drivers.replaceable import ReplaceableHandler  # few machines have threads

        return ReplaceableHandler(handler)

    def request_intx(self, desc: IrqDesc | None, name: str) -> None:
        """Share the line. Without a line the device has no interrupts."""
        if desc is not None:
            self.request_irq(desc.irq, self.handle_intx, name=name, flags=Irqf.SHARED)

    def fall_back_to_intx(
        self, desc: IrqDesc | None, name: str, handler: Handler, *, cost_ns: int | None = None
    ) -> IntxSource:
        """Share the line instead of using messages; handler is called for this source only.

        ENOSPC  the device has no line either
        """
        if desc is None or self.function.intx is None:
            raise OSError(errno.ENOSPC, f"{self.name} has neither messages nor an INTx line")
        source = IntxSource(self.function.intx, handler)
        request_irq(self.pc.irqs, desc.irq, source, Irqf.SHARED, name, source, cost_ns=cost_ns)
        self._requested.append((desc, source))
        return source

    def free_irqs(self) -> None:
        """A device that no handler serves any more keeps its hands off the line, too."""
        if self.function.intx is not None:
            for who in (self, *(dev_id for _, dev_id in self._requested)):
                self.function.intx.release_by(who)
        super().free_irqs()

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
