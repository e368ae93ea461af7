"""Move an interrupt at the one time when that is safe: while it is being handled.

Follows kernel/irq/migration.c: irq_move_irq(), irq_move_masked_irq().
"""

import errno

from pseudokern.irq.chip import mask_irq, unmask_irq
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.flags import IrqData
from pseudokern.irq.manage import irq_do_set_affinity


def irq_move_irq(desc: IrqDesc) -> None:
    """Carry out a pending move. Called by the chip's ack or EOI, on the old CPU."""
    if not desc.dstate & IrqData.SETAFFINITY_PENDING or desc.is_disabled:
        return
    masked = desc.is_masked
    if not masked:
        mask_irq(desc)
    irq_move_masked_irq(desc)
    if not masked:
        unmask_irq(desc)


def irq_move_masked_irq(desc: IrqDesc) -> None:
    """Carry out a pending move of a line that is masked.

    A mask without online CPU is forgotten; a move that is too early stays pending.
    """
    desc.dstate &= ~IrqData.SETAFFINITY_PENDING
    if desc.pending_mask & desc.table.kernel.online:
        try:
            irq_do_set_affinity(desc, desc.pending_mask)
        except OSError as error:
            if error.errno == errno.EBUSY:
                desc.dstate |= IrqData.SETAFFINITY_PENDING
                return
    desc.pending_mask = 0
    desc.changed()
