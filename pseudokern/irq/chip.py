"""Run the flow of each kind of line: edge, fasteoi, level, simple, per CPU.

Follows kernel/irq/chip.c. A flow handler is entered with interrupts off on the CPU that took the
vector; desc.table.kernel.this is that CPU.
"""

from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.flags import ChipFlag, IrqData, IrqState
from pseudokern.irq.handle import handle_irq_event, handle_irq_event_percpu
from pseudokern.irq.resend import replay_pending


def mask_irq(desc: IrqDesc) -> None:
    if not desc.dstate & IrqData.IRQ_MASKED:
        desc.chip.mask(desc)
        desc.dstate |= IrqData.IRQ_MASKED
        desc.changed()


def unmask_irq(desc: IrqDesc) -> None:
    if desc.dstate & IrqData.IRQ_MASKED:
        # First the bit: what the controller held back comes in during the call.
        desc.dstate &= ~IrqData.IRQ_MASKED
        desc.chip.unmask(desc)
        desc.changed()


def _mask_ack(desc: IrqDesc) -> None:
    if desc.chip.has_mask_ack:
        desc.chip.mask_ack(desc)
        desc.dstate |= IrqData.IRQ_MASKED
        return
    mask_irq(desc)
    desc.chip.ack(desc)


def _is_busy(desc: IrqDesc) -> bool:
    """Whether another CPU runs the handlers now, or the line is to wake the machine."""
    return bool(desc.dstate & (IrqData.IRQ_INPROGRESS | IrqData.WAKEUP_ARMED))


def _may_handle(desc: IrqDesc) -> bool:
    """The gate that all flows share; an interrupt of a disabled line is remembered as pending."""
    desc.istate &= ~(IrqState.REPLAY | IrqState.WAITING)
    if not desc.actions or desc.dstate & IrqData.IRQ_DISABLED:
        _remember(desc)
        return False
    if desc.istate & IrqState.PENDING:
        _collapse(desc)
    return True


def _remember(desc: IrqDesc) -> None:
    if desc.istate & IrqState.PENDING:
        _collapse(desc)
    desc.istate |= IrqState.PENDING


def _collapse(desc: IrqDesc) -> None:
    """Account for an interrupt that becomes one with the pending one. A level says it again."""
    if not desc.is_level:
        desc.table.lost["collapsed in a line's pending bit"] += 1


def handle_edge_irq(desc: IrqDesc) -> None:
    """An edge: acknowledge first, so that the next edge is seen while the handler runs."""
    before = desc.istate
    if _is_busy(desc):
        _remember(desc)
        _mask_ack(desc)
    elif not _may_handle(desc):
        _mask_ack(desc)
    else:
        desc.count(desc.table.kernel.this.cpu)
        desc.chip.ack(desc)
        _handle_edges(desc)
    if desc.istate != before:
        desc.changed()


def _handle_edges(desc: IrqDesc) -> None:
    """Call the handlers, and again while another CPU finds that they are being called."""
    while desc.actions:
        if desc.istate & IrqState.PENDING and not desc.is_disabled:
            unmask_irq(desc)
        handle_irq_event(desc)
        if not desc.istate & IrqState.PENDING or desc.is_disabled:
            return
    mask_irq(desc)


def handle_fasteoi_irq(desc: IrqDesc) -> None:
    """A line whose controller keeps it quiet until the EOI."""
    if _is_busy(desc):
        if desc.dstate & IrqData.RESEND_WHEN_IN_PROGRESS:
            _remember(desc)
        desc.chip.eoi(desc)
        return
    if not _may_handle(desc):
        mask_irq(desc)
        desc.chip.eoi(desc)
        return
    desc.count(desc.table.kernel.this.cpu)
    oneshot = desc.istate & IrqState.ONESHOT
    if oneshot:
        mask_irq(desc)
    handle_irq_event(desc)
    if not oneshot:
        desc.chip.eoi(desc)
    elif not desc.is_disabled and desc.is_masked and not desc.threads_oneshot:
        desc.chip.eoi(desc)
        unmask_irq(desc)
    elif not desc.chip.flags & ChipFlag.EOI_THREADED:
        desc.chip.eoi(desc)
    if desc.istate & IrqState.PENDING:
        replay_pending(desc)


def handle_level_irq(desc: IrqDesc) -> None:
    """A level without an EOI of its own: masked while the handlers make the device let go."""
    _mask_ack(desc)
    if _is_busy(desc) or not _may_handle(desc):
        return
    desc.count(desc.table.kernel.this.cpu)
    handle_irq_event(desc)
    if not desc.is_disabled and not desc.threads_oneshot:
        unmask_irq(desc)


def handle_simple_irq(desc: IrqDesc) -> None:
    """A line without any hardware: somebody's demultiplexer calls this."""
    if _is_busy(desc) or not _may_handle(desc):
        return
    desc.count(desc.table.kernel.this.cpu)
    handle_irq_event(desc)


def handle_percpu_irq(desc: IrqDesc) -> None:
    """A line that each CPU has for itself: nothing to lock, nothing to mask."""
    desc.count(desc.table.kernel.this.cpu)
    desc.chip.ack(desc)
    handle_irq_event_percpu(desc)
    desc.chip.eoi(desc)
