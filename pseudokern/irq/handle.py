"""Call the handlers of a line.

Follows kernel/irq/handle.c: __handle_irq_event_percpu() and handle_irq_event().
"""

from pseudokern.irq.action import IrqAction
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.flags import IrqData, IrqReturn, IrqState
from pseudokern.irq.spurious import note_interrupt
from pseudokern.kernel.printk import Level


def handle_irq_event_percpu(desc: IrqDesc) -> int:
    """Call each handler in order and return their answers, OR-ed."""
    answers = 0
    for action in desc.actions:
        answer = action.handler()
        if answer == IrqReturn.WAKE_THREAD:
            _wake_thread(desc, action)
        answers |= answer
    return answers


def judge(desc: IrqDesc, action: IrqAction, answer: int) -> None:
    """What follows the call of a line's only handler, when it was made elsewhere."""
    if answer == IrqReturn.WAKE_THREAD:
        _wake_thread(desc, action)
    note_interrupt(desc, answer)


def _wake_thread(desc: IrqDesc, action: IrqAction) -> None:
    if action.thread is not None:
        action.thread.wake()
    elif not action.warned_no_thread:
        action.warned_no_thread = True
        desc.table.kernel.log.printk(
            Level.WARNING,
            f"IRQ {desc.irq} device {action.name} returned IRQ_WAKE_THREAD "
            "but no thread function available.",
        )


def handle_irq_event(desc: IrqDesc) -> int:
    """Call the handlers once, for what is pending, and let the spurious detector see the answer."""
    desc.istate &= ~IrqState.PENDING
    desc.dstate |= IrqData.IRQ_INPROGRESS
    try:
        answers = handle_irq_event_percpu(desc)
    finally:
        desc.dstate &= ~IrqData.IRQ_INPROGRESS
    note_interrupt(desc, answers)
    return answers
