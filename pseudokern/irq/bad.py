"""Say in the log what a line is like whose interrupt nobody can handle.

Follows print_irq_desc() of kernel/irq/debug.h and ack_bad_irq() of arch/x86/kernel/irq.c.
"""

from pseudokern.irq.desc import IrqDesc, IrqTable
from pseudokern.irq.flags import IrqSetting, IrqState
from pseudokern.irq.spurious import id_of, symbol_of
from pseudokern.kernel.leaks import function_name
from pseudokern.kernel.printk import Level
from pseudokern.kernel.ratelimit import RateLimit

DESC_BURST = 5  # descriptors in five seconds
_FLAGS = tuple(
    (f"IRQ_{name}", getattr(IrqSetting, name))
    for name in ("LEVEL", "PER_CPU", "NOPROBE", "NOREQUEST", "NOTHREAD", "NOAUTOEN")
)
_STATES = tuple(
    (f"IRQS_{name}", getattr(IrqState, name))
    for name in ("AUTODETECT", "REPLAY", "WAITING", "PENDING")
)


class BadIrqs:
    """Reports of one machine, and their limits."""

    def __init__(self, table: IrqTable) -> None:
        self._log = table.kernel.log
        self._descs = RateLimit(self._log, "handle_bad_irq", burst=DESC_BURST)
        self._traps = RateLimit(self._log, "ack_bad_irq")

    def report(self, desc: IrqDesc) -> None:
        if self._descs.allows():
            self._print_irq_desc(desc)
        self._traps.printk(Level.ERR, f"unexpected IRQ trap at vector {desc.irq:02x}")

    def _print_irq_desc(self, desc: IrqDesc) -> None:
        action = desc.actions[0] if desc.actions else None
        flow, chip = desc.handle_irq, type(desc.chip)
        lines = [
            f"irq {desc.irq}, desc: {id_of(desc)}, depth: {desc.depth}, "
            f"count: {desc.irq_count}, unhandled: {desc.irqs_unhandled}",
            f"->handle_irq():  {id_of(flow)}, {function_name(flow)}",
            f"->irq_data.chip(): {id_of(chip)}, {symbol_of(chip)}+0x0/0x120",
            f"->action(): {'0' * 16 if action is None else id_of(action)}",
        ]
        if action is not None:
            handler = action.handler
            lines.append(f"->action->handler(): {id_of(handler)}, {function_name(handler)}")
        lines += [f"{name:>14} set" for name, bit in _FLAGS if desc.settings & bit]
        lines += [f"{name:>14} set" for name, bit in _STATES if desc.istate & bit]
        for line in lines:
            self._log.printk(Level.WARNING, line)
