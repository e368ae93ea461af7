"""Notice interrupts that nobody handles, and silence the line that sends them.

Follows kernel/irq/spurious.c: note_interrupt().

A line is stuck when more than 99,900 of 100,000 interrupts came back IRQ_NONE. The odd unhandled
one is normal on a shared line, so the count starts over when 100 ms pass without any.
"""

from zlib import crc32

from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.flags import IrqData, Irqf, IrqReturn, IrqSetting, IrqState
from pseudokern.kernel.printk import Level
from pseudokern.kernel.warn import dump_stack

WINDOW = 100_000
STUCK_THRESHOLD = 99_900
MAX_ANSWER = IrqReturn.HANDLED | IrqReturn.WAKE_THREAD
DEFERRED = 1 << 31  # in threads_handled_last: the next interrupt judges this one


def note_interrupt(desc: IrqDesc, answers: int) -> None:
    """Judge one interrupt by the OR of its handlers' answers."""
    # A healthy line: nothing is counted, which keeps this cheap.
    if answers == IrqReturn.HANDLED and not desc.irqs_unhandled and not desc.table.irqfixup:
        return
    if desc.settings & (IrqSetting.NO_DEBUG | IrqSetting.IS_POLLED):
        return
    if desc.istate & IrqState.POLL_INPROGRESS:
        return
    if answers > MAX_ANSWER:
        if desc.table.bad_answers_to_report:
            desc.table.bad_answers_to_report -= 1
            _report(desc, answers)
        return
    judged = _judge_threads(desc, answers)
    if judged is None:
        return
    if judged == IrqReturn.NONE:
        _count_unhandled(desc)
    if _may_be_misrouted(desc, judged):
        rescued = desc.table.poll_others(desc)
        if judged == IrqReturn.NONE:
            desc.irqs_unhandled -= rescued
    if desc.irqs_unhandled:
        _count(desc, answers)


def is_judged_simply(desc: IrqDesc) -> bool:
    """Whether note_unhandled() says of an unhandled interrupt what note_interrupt() would."""
    special = desc.settings & (IrqSetting.NO_DEBUG | IrqSetting.IS_POLLED)
    return not (special or desc.istate & IrqState.POLL_INPROGRESS or desc.table.irqfixup)


def note_unhandled(desc: IrqDesc, now_ns: int) -> None:
    """Judge one interrupt that nobody handled, of a line that is judged simply.

    The same as note_interrupt(), in one piece: 2400 -> 500 ns.
    """
    kernel = desc.table.kernel
    jiffies = now_ns // kernel.tick_period_ns
    if desc.irq_count >= WINDOW - 1 or jiffies > desc.last_unhandled + kernel.hz // 10:
        note_interrupt(desc, IrqReturn.NONE)
        return
    desc.irqs_unhandled += 1
    desc.last_unhandled = jiffies
    desc.irq_count += 1


def _judge_threads(desc: IrqDesc, answers: int) -> int | None:
    """What the interrupt before said, where only threads can say it; None: not known yet."""
    if not answers & IrqReturn.WAKE_THREAD:
        return answers
    if answers & IrqReturn.HANDLED:
        desc.threads_handled_last &= ~DEFERRED
        return IrqReturn.HANDLED
    if not desc.threads_handled_last & DEFERRED:
        desc.threads_handled_last |= DEFERRED
        return None
    handled = desc.threads_handled | DEFERRED
    if handled == desc.threads_handled_last:
        return IrqReturn.NONE
    desc.threads_handled_last = handled
    return IrqReturn.HANDLED


def _may_be_misrouted(desc: IrqDesc, judged: int) -> bool:
    """irqfixup: an interrupt that nobody wanted. irqpoll: also one of a line that polls."""
    level = desc.table.irqfixup
    if not level or judged == IrqReturn.NONE:
        return bool(level)
    polls = desc.irq == 0 or (desc.actions and desc.actions[0].flags & Irqf.IRQPOLL)
    return level > 1 and bool(polls)


def _count(desc: IrqDesc, answers: int) -> None:
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
        desc.table.start_polling()
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
    dump_stack(desc.table.kernel)
    log.printk(Level.ERR, "handlers:")
    for action in desc.actions:
        line = f"[<{id_of(action.handler)}>] {symbol_of(action.handler)}"
        if action.thread_fn is not None:
            line += f" threaded [<{id_of(action.thread_fn)}>] {symbol_of(action.thread_fn)}"
        log.printk(Level.ERR, line)


def id_of(function: object) -> str:
    """What %p prints for a function: 32 bits of a hash, the same in every run."""
    return f"{crc32(symbol_of(function).encode()):016x}"


def symbol_of(function: object) -> str:
    """What %ps prints: the function's `symbol` if it has one, or its name."""
    name = getattr(function, "__name__", type(function).__name__)
    return str(getattr(function, "symbol", name))
