"""Handle the lines behind a slow controller in the thread of the line that it sits on.

Follows handle_nested_irq() of kernel/irq/chip.c. To ask a controller on an I2C bus which of its
lines it was takes a thread; that thread calls the thread functions of the line itself.
"""

from inspect import isawaitable

from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.flags import IrqSetting, IrqState
from pseudokern.irq.spurious import note_interrupt
from pseudokern.irq.thread import thread_done


def irq_set_nested_thread(desc: IrqDesc, parent: IrqDesc | None) -> None:
    """Make desc a nested line; parent is the one whose thread handles it."""
    desc.settings |= IrqSetting.NESTED_THREAD
    desc.parent = parent


async def handle_nested_irq(desc: IrqDesc) -> None:
    """Call the thread functions of a nested line. From the thread of its parent."""
    desc.istate &= ~(IrqState.REPLAY | IrqState.WAITING)
    if not desc.actions or desc.is_disabled:
        desc.istate |= IrqState.PENDING
        return
    desc.count(desc.table.kernel.this.cpu)
    desc.threads_active += 1
    answers = 0
    try:
        for action in tuple(desc.actions):
            assert action.thread_fn is not None  # setup_irq() sees to it
            answer = action.thread_fn()
            answers |= await answer if isawaitable(answer) else answer
        if not desc.settings & IrqSetting.NO_DEBUG:
            note_interrupt(desc, answers)
    finally:
        thread_done(desc)
