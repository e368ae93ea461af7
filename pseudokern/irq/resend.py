"""Replay interrupts: by the controller if it can, else in software.

Follows kernel/irq/resend.c: check_irq_resend(), irq_sw_resend() and its tasklet,
irq_inject_interrupt().
"""

import contextlib
import errno
from collections.abc import Callable

from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.flags import IrqData, IrqSetting, IrqState


def replay_pending(desc: IrqDesc) -> None:
    """Replay what came while it could not be handled, if anything did and it can be."""
    if desc.istate & IrqState.PENDING:
        with contextlib.suppress(OSError):
            check_irq_resend(desc)


def irq_inject_interrupt(desc: IrqDesc) -> None:
    """Make a line interrupt once, without its device.

    EINVAL  a level line, one that is not active, an NMI
    EBUSY   the last replay has not come yet
    """
    if desc.istate & IrqState.NMI or not desc.dstate & IrqData.ACTIVATED:
        raise OSError(errno.EINVAL, f"interrupt {desc.irq} is not active, or an NMI")
    check_irq_resend(desc, inject=True)


def check_irq_resend(desc: IrqDesc, *, inject: bool = False) -> None:
    """Replay an interrupt that came while it could not be handled: once, however many came.

    inject: also if none came. A level line is never replayed: its wire says so itself.

    EINVAL  a level line, or one that can be replayed neither in hardware nor in software
    EBUSY   the last replay has not come yet
    """
    if desc.settings & IrqSetting.LEVEL:
        desc.istate &= ~IrqState.PENDING
        raise OSError(errno.EINVAL, f"interrupt {desc.irq} is a level, and cannot be replayed")
    if desc.istate & IrqState.REPLAY:
        raise OSError(errno.EBUSY, f"interrupt {desc.irq} is being replayed already")
    if not desc.istate & IrqState.PENDING and not inject:
        return
    desc.istate &= ~IrqState.PENDING
    if not desc.chip.retrigger(desc):
        irq_sw_resend(desc)
    desc.istate |= IrqState.REPLAY
    desc.changed()


def irq_sw_resend(desc: IrqDesc) -> None:
    """Have the resend tasklet call the flow handler; for a nested line, that of its parent.

    EINVAL  its interrupts may come from hardware only; a nested line without a parent
    """
    if desc.dstate & IrqData.HANDLE_ENFORCE_IRQCTX:
        raise OSError(errno.EINVAL, f"interrupt {desc.irq} cannot be replayed in software")
    if desc.settings & IrqSetting.NESTED_THREAD:
        if desc.parent is None:
            raise OSError(errno.EINVAL, f"nested interrupt {desc.irq} has no parent")
        desc = desc.parent
    desc.table.resend(desc)


def clear_irq_resend(desc: IrqDesc) -> None:
    """Forget a replay in software that has not come yet."""
    desc.table.cancel_resend(desc)


class SoftwareResend:
    """Calls the flow handlers of the lines given to it, in a tasklet.

    schedule  has a function called in the TASKLET softirq, once however often it is asked
    """

    def __init__(self, schedule: Callable[[Callable[[], None]], None]) -> None:
        self._schedule = schedule
        self._queue: list[IrqDesc] = []

    def resend(self, desc: IrqDesc) -> None:
        """Queue desc, once."""
        if desc not in self._queue:
            self._queue.append(desc)
        self._schedule(self.resend_irqs)

    def cancel(self, desc: IrqDesc) -> None:
        """desc is shut down: nothing of it is to come."""
        if desc in self._queue:
            self._queue.remove(desc)

    def resend_irqs(self) -> None:
        while self._queue:
            desc = self._queue.pop(0)
            desc.handle_irq(desc)
