"""Try the handlers of lines that were silenced, or whose interrupts may arrive on another line.

Follows kernel/irq/spurious.c: poll_spurious_irqs(), misrouted_irq(), try_one_irq(). Once a line
has been silenced the timer goes on for ever. A line that is not shared is never tried.
"""

from pseudokern.irq.desc import IrqDesc, IrqTable
from pseudokern.irq.flags import IRQF_TIMER_BIT, IrqData, Irqf, IrqReturn, IrqSetting, IrqState
from pseudokern.irq.handle import handle_irq_event
from pseudokern.kernel.cpumask import CpuId
from pseudokern.kernel.timer import Timer, TimerWheel

POLLS_PER_SECOND = 10
BOOT_CPU = CpuId(0)


class SpuriousPoller:
    """The poll timer, and the search for the line that an interrupt really belongs to."""

    def __init__(self, irqs: IrqTable, timers: TimerWheel) -> None:
        self._irqs = irqs
        self._timers = timers
        self._timer = Timer(self._poll)
        self._polling = False
        irqs.start_polling = self._start
        irqs.poll_others = self._poll_others

    def _start(self) -> None:
        kernel = self._irqs.kernel
        expires = kernel.jiffies + kernel.hz // POLLS_PER_SECOND
        self._timers.mod_timer(self._timer, expires, BOOT_CPU)

    def _poll(self) -> None:
        for desc in list(self._irqs):
            if desc.irq and desc.istate & IrqState.SPURIOUS_DISABLED:
                try_one_irq(desc, force=True)
        self._start()

    def _poll_others(self, asking: IrqDesc) -> int:
        """1 if a handler of another line knew what this interrupt was about."""
        if self._polling:
            return 0
        self._polling = True
        try:
            others = [desc for desc in self._irqs if desc.irq and desc is not asking]
            # Every one is tried, also behind the first that knows.
            return int(sum(try_one_irq(desc, force=False) for desc in others) > 0)
        finally:
            self._polling = False


def try_one_irq(desc: IrqDesc, *, force: bool) -> bool:
    """Call a line's handlers without an interrupt; force: even if the line is disabled."""
    settings = IrqSetting.NESTED_THREAD | IrqSetting.IS_POLLED
    if desc.dstate & IrqData.PER_CPU or desc.settings & settings:
        return False
    if desc.is_disabled and not force:
        return False
    first = desc.actions[0].flags if desc.actions else 0
    if not first & Irqf.SHARED or first & IRQF_TIMER_BIT:
        return False
    if desc.dstate & IrqData.IRQ_INPROGRESS:
        desc.istate |= IrqState.PENDING
        return False
    desc.istate |= IrqState.POLL_INPROGRESS
    handled = handle_irq_event(desc) == IrqReturn.HANDLED
    while desc.istate & IrqState.PENDING and desc.actions:
        handled |= handle_irq_event(desc) == IrqReturn.HANDLED
    desc.istate &= ~IrqState.POLL_INPROGRESS
    return handled
