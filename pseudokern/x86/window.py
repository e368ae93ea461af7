"""Let interrupts into a hard handler that has enabled them, and out again.

Follows what local_irq_enable() in a handler comes to: vectors of a higher class than what the APIC
has in service nest, for an edge any other vector, because that is acknowledged before its handler
runs. The line itself does not nest: it is in progress, so it becomes pending and is replayed.
"""

import sys
from types import FrameType
from typing import TYPE_CHECKING

from pseudokern.irq.chip import unmask_irq
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.flags import IrqData, IrqState
from pseudokern.irq.resend import replay_pending
from pseudokern.kernel.leaks import function_name, warn_enabled_interrupts
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.stack import call_trace

if TYPE_CHECKING:
    from pseudokern.x86.pc import Pc

SHORT_WAYS = {"EdgeGate.fire", "SuspectGate.fire"}


def set_handler_window(pc: "Pc", this: PerCpu, frame: FrameType, is_open: bool) -> None:
    """The handler that frame called sets or clears IF."""
    cpu = pc.cpus[this.cpu]
    is_short = frame.f_code.co_qualname in SHORT_WAYS
    if not is_open:
        cpu.close_window(in_handler=not is_short)
        return
    desc = _desc_of(frame)
    if desc is not None:
        _watch(pc, this, frame, desc, is_short=is_short)
    cpu.open_window()


def _watch(pc: "Pc", this: PerCpu, frame: FrameType, desc: IrqDesc, *, is_short: bool) -> None:
    """Look at IF when the handler has returned: it should be clear again."""
    kernel, trace = pc.kernel, call_trace()
    handler = _handler_of(frame, desc)
    if is_short:
        # The short way does not say that a handler runs: nobody could have asked.
        desc.dstate |= IrqData.IRQ_INPROGRESS
        desc.changed()

    def returned() -> None:
        if frame in this.irqs_enabled_in:
            this.irqs_enabled_in.remove(frame)
            warn_enabled_interrupts(kernel, desc.irq, handler, trace)
        if is_short:
            desc.dstate &= ~IrqData.IRQ_INPROGRESS
            if desc.istate & IrqState.PENDING:
                unmask_irq(desc)
                replay_pending(desc)
            desc.changed()

    kernel.soon(returned)


def _desc_of(frame: FrameType) -> IrqDesc | None:
    """The line whose handler frame called; None for a vector of the system."""
    if frame.f_code.co_qualname in SHORT_WAYS:
        found = frame.f_locals["self"]._desc
    else:
        found = frame.f_locals.get("desc")
    return found if isinstance(found, IrqDesc) else None


def _handler_of(frame: FrameType, desc: IrqDesc) -> str:
    """The handler that is being called, as %pS prints it."""
    inner: FrameType | None = sys._getframe(1)
    while inner is not None and inner is not frame:
        if inner.f_code.co_qualname == "handle_irq_event_percpu":
            return function_name(inner.f_locals["action"].handler)
        inner = inner.f_back
    return function_name(desc.actions[0].handler)
