"""Move interrupts away from a CPU that goes down, and start managed ones on a CPU that comes up.

Follows kernel/irq/cpuhotplug.c. Both run with the CPU already out of, or in, the online mask.
"""

import errno
from collections.abc import Callable, Set

from pseudokern.irq.desc import IrqDesc, IrqTable
from pseudokern.irq.flags import ChipFlag, IrqData
from pseudokern.irq.manage import (
    irq_do_set_affinity,
    irq_set_affinity,
    irq_shutdown_and_deactivate,
    irq_startup_managed,
)
from pseudokern.kernel.cpumask import CpuId
from pseudokern.kernel.printk import Level


def irq_migrate_all_off_this_cpu(
    table: IrqTable,
    cpu: CpuId,
    unfinished: Set[IrqDesc],
    force_complete_move: Callable[[IrqDesc], bool],
) -> None:
    """Move, or shut down, every interrupt that goes to cpu, in ascending order.

    unfinished has those whose last move has left a vector somewhere; force_complete_move() ends
    it, and says whether it concerned the CPU. Nothing else happens meanwhile, so the thousands
    that do not go there are passed over quickly.
    """
    this, online, pending = 1 << cpu, table.kernel.online, IrqData.SETAFFINITY_PENDING
    concerned = [
        desc
        for desc in table
        if (desc.effective_affinity or desc.affinity) & this
        or desc.dstate & pending
        or desc in unfinished
    ]
    for desc in concerned:
        if not desc.chip.can_set_affinity:
            continue
        forced = desc in unfinished and force_complete_move(desc)
        is_here = (desc.effective_affinity or desc.affinity) & this
        has_move = desc.dstate & pending
        if not (forced or is_here or (has_move and not desc.pending_mask & online)):
            continue
        if is_here and desc.dstate & IrqData.IRQ_STARTED and not desc.dstate & IrqData.PER_CPU:
            _migrate(desc)
        else:
            _take_pending_mask(desc, use=False)
        desc.changed()


def irq_affinity_online_cpu(table: IrqTable, cpu: CpuId) -> None:
    """Start the managed interrupts that had no CPU until this one came.

    One that had to go to a CPU of isolcpus=managed_irq goes here, if this is none;
    hk_should_isolate().
    """
    isolated = table.kernel.isolated_managed_irq
    for desc in table:
        if desc.is_managed and desc.actions and desc.affinity >> cpu & 1:
            if desc.dstate & IrqData.MANAGED_SHUTDOWN:
                irq_startup_managed(desc)
            elif desc.effective_affinity & isolated and not isolated >> cpu & 1:
                irq_set_affinity(desc, desc.affinity)
            desc.changed()


def _take_pending_mask(desc: IrqDesc, *, use: bool) -> int:
    """The pending mask if it has an online CPU; without one the move is forgotten."""
    if not desc.dstate & IrqData.SETAFFINITY_PENDING:
        return 0
    if not desc.pending_mask & desc.table.kernel.online:
        desc.dstate &= ~IrqData.SETAFFINITY_PENDING
        return 0
    if use:
        desc.dstate &= ~IrqData.SETAFFINITY_PENDING
    return desc.pending_mask


def _migrate(desc: IrqDesc) -> None:
    online = desc.table.kernel.online
    mask = _take_pending_mask(desc, use=True) or desc.affinity
    deferred = desc.chip.flags & ChipFlag.MOVE_DEFERRED and not desc.is_masked
    if deferred:
        desc.chip.mask(desc)
    if not mask & online and desc.is_managed:
        desc.dstate |= IrqData.MANAGED_SHUTDOWN
        irq_shutdown_and_deactivate(desc)
        return
    _set_or_break(desc, mask if mask & online else online)
    if deferred:
        desc.chip.unmask(desc)


def _set_or_break(desc: IrqDesc, mask: int) -> None:
    """Route to mask; if its CPUs are full, to any CPU, and then any CPU is the affinity."""
    online = desc.table.kernel.online
    try:
        try:
            irq_do_set_affinity(desc, mask)
        except OSError as error:
            if error.errno != errno.ENOSPC or desc.is_managed or mask == online:
                raise
            irq_do_set_affinity(desc, online)
    except OSError as error:
        desc.table.kernel.log.printk(
            Level.WARNING, f"IRQ{desc.irq}: set affinity failed(-{error.errno})."
        )
