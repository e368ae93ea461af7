"""Notice interrupts that nobody handles, and silence the line that sends them.

Follows kernel/irq/spurious.c: note_interrupt().

A line is stuck when more than 99,900 of 100,000 interrupts came back IRQ_NONE. The odd unhandled
one is normal on a shared line, so the count starts over when 100 ms pass without any.

Not modelled yet: the poll timer, irqfixup, irqpoll, and the deferred judgement of threads.
"""

from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.flags import IrqData, IrqReturn, IrqSetting, IrqState
from pseudokern.kernel.printk import Level

WINDOW = 100_000
STUCK_THRESHOLD = 99_900
MAX_ANSWER = IrqReturn.HANDLED | IrqReturn.WAKE_THREAD


def note_interrupt(desc: IrqDesc, answers: int) -> None:
    """Judge one interrupt by the OR of its handlers' answers."""
    # A healthy line: nothing is counted, which keeps this cheap.
    if answers == IrqReturn.HANDLED and not desc.irqs_unhandled:
        return
    if desc.settings & (IrqSetting.NO_DEBUG | IrqSetting.IS_POLLED):
        return
    if answers > MAX_ANSWER:
        if desc.table.bad_answers_to_report:
            desc.table.bad_answers_to_report -= 1
            _report(desc, answers)
        return
    if answers == IrqReturn.NONE:
        _count_unhandled(desc)
    if not desc.irqs_unhandled:
        return
    desc.irq_count += 1
    if desc.irq_count < WINDOW:
        return
    desc.irq_count = 0
    # A few of the 100,000 may have been handled and the line still counts as stuck: they can
    # come from a healthy device that shares it.
    if desc.irqs_unhandled > STUCK_THRESHOLD:
        _report(desc, answers)
        desc.table.kernel.log.printk(Level.EMERG, f"Disabling IRQ #{desc.irq}")
        desc.istate |= IrqState.SPURIOUS_DISABLED
        desc.depth += 1
        desc.dstate |= IrqData.IRQ_DISABLED
    desc.irqs_unhandled = 0
    desc.changed()


def _count_unhandled(desc: IrqDesc) -> None:
    kernel = desc.table.kernel
    if kernel.jiffies > desc.last_unhandled + kernel.hz // 10:
        desc.irqs_unhandled = 1
    else:
        desc.irqs_unhandled += 1
    desc.last_unhandled = kernel.jiffies
    if desc.irqs_unhandled == 1:
        desc.changed()


def _report(desc: IrqDesc, answers: int) -> None:
    log = desc.table.kernel.log
    if answers > MAX_ANSWER:
        log.printk(Level.ERR, f"irq event {desc.irq}: bogus return value {answers:x}")
    else:
        text = f'irq {desc.irq}: nobody cared (try booting with the "irqpoll" option)'
        log.printk(Level.ERR, text)
    log.printk(Level.ERR, "handlers:")
    for action in desc.actions:
        log.printk(Level.ERR, f"[<{id_of(action.handler)}>] {symbol_of(action.handler)}")


def id_of(function: object) -> str:
    """Sixteen hexadecimal digits that stand for a function's address, the same in every run."""
    value = 0xCBF29CE484222325
    for byte in symbol_of(function).encode():
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return f"{value:016x}"


def symbol_of(function: object) -> str:
    """The name that a stack dump would print."""
    return str(getattr(function, "__name__", type(function).__name__))
