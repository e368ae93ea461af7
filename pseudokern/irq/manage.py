"""Switch lines, and say where they may go.

Follows kernel/irq/manage.c and the start-up half of kernel/irq/chip.c.
"""

import contextlib
import errno

from pseudokern.irq.chip import mask_irq, unmask_irq
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.flags import (
    ChipFlag,
    IrqData,
    Irqf,
    IrqSetting,
    IrqState,
    Trigger,
)
from pseudokern.irq.resend import clear_irq_resend, replay_pending
from pseudokern.irq.spurious import symbol_of
from pseudokern.irq.thread import Quiet
from pseudokern.kernel.cpumask import CpuMask
from pseudokern.kernel.printk import Level
from pseudokern.kernel.warn import warn

DISABLE_PLACE = "kernel/irq/manage.c:733"
SYNCHRONIZE_PLACE = "kernel/irq/manage.c:137"
MANAGED_PLACE = "kernel/irq/chip.c:211"


def disable_irq_nosync(desc: IrqDesc) -> None:
    """Disable a line, once more if it is already. From any context.

    Lazy: the controller hears of it only when the next interrupt comes.
    """
    desc.depth += 1
    if desc.depth == 1:
        desc.dstate |= IrqData.IRQ_DISABLED
        if desc.settings & IrqSetting.DISABLE_UNLAZY or desc.chip.disables_at_once:
            mask_irq(desc)
    desc.changed()


def disable_irq(desc: IrqDesc) -> Quiet:
    """disable_irq_nosync(), for code that may sleep.

    A thread says `await disable_irq(desc)`, and goes on when no thread of the line runs any more;
    no handler runs then, either. The line is disabled at once, awaited or not.
    """
    _may_sleep(desc, DISABLE_PLACE)
    disable_irq_nosync(desc)
    return Quiet(desc)


def disable_hardirq(desc: IrqDesc) -> bool:
    """Disable a line without waiting for its threads. True: none runs. From any context."""
    disable_irq_nosync(desc)
    return not desc.threads_active


def synchronize_irq(desc: IrqDesc) -> Quiet:
    """Await this to wait until no handler and no thread of the line runs."""
    _may_sleep(desc, SYNCHRONIZE_PLACE)
    return Quiet(desc)


def _may_sleep(desc: IrqDesc, place: str) -> None:
    from pseudokern.kernel.sleep import might_sleep  # not needed at boot

    might_sleep(desc.table.kernel, place)


def enable_irq(desc: IrqDesc) -> None:
    """Undo one disable_irq(). An interrupt that came meanwhile is replayed, once."""
    if desc.depth == 0 or (desc.depth == 1 and desc.istate & IrqState.SUSPENDED):
        text = f"Unbalanced enable for IRQ {desc.irq}"
        warn(desc.table.kernel, "kernel/irq/manage.c:792", text)
        return
    if desc.depth == 1:
        desc.settings |= IrqSetting.NOPROBE
        irq_startup(desc, resend=True, force=True)
    else:
        desc.depth -= 1
    desc.changed()


def irq_set_irq_type(desc: IrqDesc, trigger: int) -> None:
    """Make the line listen for this trigger; a chip without any choice ignores it.

    EINVAL  the chip knows others only; the log says so, too
    """
    if not desc.chip.has_set_type:
        return
    unmask = False
    if desc.chip.flags & ChipFlag.SET_TYPE_MASKED:
        unmask = not desc.is_masked and not desc.is_disabled
        mask_irq(desc)
    try:
        desc.chip.set_type(desc, trigger)
        set_trigger(desc, trigger)
    except OSError:
        setter = desc.chip.set_type
        text = f"Setting trigger mode {trigger} for irq {desc.irq} failed"
        desc.table.kernel.log.printk(Level.ERR, f"genirq: {text} ({symbol_of(setter)}+0x0/0x30)")
        raise
    finally:
        if unmask:
            unmask_irq(desc)


def set_trigger(desc: IrqDesc, trigger: int) -> None:
    """Record the trigger of a line in all the places that show it."""
    desc.trigger = trigger
    desc.dstate = desc.dstate & ~Irqf.TRIGGER_MASK | trigger
    desc.settings = desc.settings & ~(Irqf.TRIGGER_MASK | IrqSetting.LEVEL) | trigger
    desc.dstate &= ~IrqData.LEVEL
    if trigger & Trigger.LEVEL_MASK:
        desc.dstate |= IrqData.LEVEL
        desc.settings |= IrqSetting.LEVEL


def record_default_trigger(desc: IrqDesc, trigger: int) -> None:
    """irqd_set_trigger_type(): what a line is taken for by those who join it."""
    desc.trigger = trigger
    desc.dstate = desc.dstate & ~Irqf.TRIGGER_MASK | trigger | IrqData.DEFAULT_TRIGGER_SET


def irq_set_irq_wake(desc: IrqDesc, on: bool) -> None:
    """Let the line wake the machine, or no longer; calls have to balance.

    EINVAL  the line is an NMI
    ENXIO   its controller cannot
    """
    if desc.istate & IrqState.NMI:
        raise OSError(errno.EINVAL, f"interrupt {desc.irq} is an NMI")
    if not on and desc.wake_depth == 0:
        text = f"Unbalanced IRQ {desc.irq} wake disable"
        warn(desc.table.kernel, "kernel/irq/manage.c:917", text)
    if (on and desc.wake_depth == 0) or (not on and desc.wake_depth == 1):
        desc.chip.set_wake(desc, on)
    desc.wake_depth = max(0, desc.wake_depth + (1 if on else -1))
    if desc.wake_depth:
        desc.dstate |= IrqData.WAKEUP_STATE
    else:
        desc.dstate &= ~IrqData.WAKEUP_STATE


def irq_set_affinity(desc: IrqDesc, mask: CpuMask) -> None:
    """Ask that desc be delivered only to the CPUs in mask.

    Takes effect at once if the chip can move a live interrupt, otherwise when the next one
    arrives (see migration.py); a mask without an online CPU is forgotten then. Call from either
    context.

    EINVAL  the chip cannot route; or it could at once, and mask has no online CPU
    ENOSPC  no CPU in mask has a free vector
    """
    if not desc.chip.can_set_affinity:
        raise OSError(errno.EINVAL, f"interrupt {desc.irq}: {desc.chip.name} cannot route it")
    try:
        if desc.dstate & IrqData.AFFINITY_ON_ACTIVATE and not desc.dstate & IrqData.ACTIVATED:
            desc.affinity = mask
            desc.effective_affinity = mask
            return
        try:
            if _must_wait(desc):
                desc.dstate |= IrqData.SETAFFINITY_PENDING
                desc.pending_mask = mask
            else:
                _set_affinity_now(desc, mask)
        finally:
            if desc.notifier is not None:
                desc.notifier.schedule()
    finally:
        desc.dstate |= IrqData.AFFINITY_SET
        desc.changed()


def irq_update_affinity_hint(desc: IrqDesc, mask: CpuMask) -> None:
    """Note where the driver would like the line to go; 0: nowhere special."""
    desc.affinity_hint = mask


def irq_set_affinity_and_hint(desc: IrqDesc, mask: CpuMask) -> None:
    """Note where the driver would like the line to go, and ask for it; a refusal is no error."""
    desc.affinity_hint = mask
    if mask:
        with contextlib.suppress(OSError):
            irq_set_affinity(desc, mask)


def irq_affinity_shown(desc: IrqDesc) -> CpuMask:
    """What smp_affinity says: the pending mask while a move is pending."""
    if desc.dstate & IrqData.SETAFFINITY_PENDING:
        return desc.pending_mask
    return desc.affinity


def irq_do_set_affinity(desc: IrqDesc, mask: CpuMask) -> None:
    """Have the chip route to the online CPUs of mask; then mask is the affinity.

    A managed line stays off the CPUs of isolcpus=managed_irq if another of mask is online.

    EINVAL  none of mask is online; and what the chip says
    """
    kernel = desc.table.kernel
    wanted = mask & kernel.online
    if not wanted:
        raise OSError(errno.EINVAL, f"interrupt {desc.irq}: no online CPU in the mask")
    if desc.is_managed:
        wanted = wanted & ~kernel.isolated_managed_irq or wanted
    desc.chip.set_affinity(desc, wanted)
    desc.affinity = mask


def _must_wait(desc: IrqDesc) -> bool:
    """Whether the chip cannot move a live line, or has a move to make already."""
    waiting = desc.dstate & IrqData.SETAFFINITY_PENDING
    return bool(waiting or desc.chip.flags & ChipFlag.MOVE_DEFERRED)


def _set_affinity_now(desc: IrqDesc, mask: CpuMask) -> None:
    try:
        irq_do_set_affinity(desc, mask)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        desc.dstate |= IrqData.SETAFFINITY_PENDING
        desc.pending_mask = mask


def activate(desc: IrqDesc) -> None:
    """Get a line the vector that it needs; a managed one waits for that until it starts.

    ENOSPC  there is none
    """
    if not desc.is_managed:
        irq_domain_activate_irq(desc)


def irq_domain_activate_irq(desc: IrqDesc) -> None:
    if not desc.dstate & IrqData.ACTIVATED:
        desc.chip.activate(desc)
        desc.dstate |= IrqData.ACTIVATED


def irq_startup(desc: IrqDesc, *, resend: bool, force: bool = False) -> None:
    """Route the line, let it through, and replay what is pending.

    A managed line without an online CPU stays shut down until one comes; force: somebody asks for
    it all the same, and is told.
    """
    desc.depth = 0
    if desc.dstate & IrqData.IRQ_STARTED:
        _irq_enable(desc)
    elif desc.is_managed:
        if not _managed_may_start(desc, force=force):
            return
        irq_domain_activate_irq(desc)
        irq_do_set_affinity(desc, desc.affinity)
        _irq_enable(desc)
    else:
        before = desc.chip.flags & ChipFlag.AFFINITY_PRE_STARTUP
        if before:
            irq_setup_affinity(desc)
        _irq_enable(desc)
        if not before:
            irq_setup_affinity(desc)
    desc.dstate |= IrqData.IRQ_STARTED
    if resend:
        replay_pending(desc)


def irq_setup_affinity(desc: IrqDesc) -> None:
    """Choose where a line that starts goes: what was set, else the default, near its node.

    If there is no vector left there, it stays where its activation found one.
    """
    if not desc.can_set_affinity or desc.dstate & IrqData.NO_BALANCING:
        return
    table, kernel = desc.table, desc.table.kernel
    mask = table.default_affinity
    if desc.dstate & IrqData.AFFINITY_SET:
        if desc.affinity & kernel.online:
            mask = desc.affinity
        else:
            desc.dstate &= ~IrqData.AFFINITY_SET
    mask = mask & kernel.online or kernel.online
    if desc.node >= 0:
        mask = mask & kernel.cpumask_of_node(desc.node) or mask
    with contextlib.suppress(OSError):
        irq_do_set_affinity(desc, mask)


def _managed_may_start(desc: IrqDesc, *, force: bool) -> bool:
    if desc.affinity & desc.table.kernel.online:
        desc.dstate &= ~IrqData.MANAGED_SHUTDOWN
        return True
    if force and MANAGED_PLACE not in desc.table.kernel.warned:
        desc.table.kernel.warned.add(MANAGED_PLACE)
        warn(desc.table.kernel, MANAGED_PLACE, "")
    desc.depth = 1
    desc.dstate |= IrqData.MANAGED_SHUTDOWN
    return False


def _irq_enable(desc: IrqDesc) -> None:
    desc.dstate &= ~IrqData.IRQ_DISABLED
    unmask_irq(desc)


def irq_startup_managed(desc: IrqDesc) -> None:
    """Start a managed line again that had no CPU.

    From 6.16 on a driver's own disable_irq() goes on; before, it was forgotten.
    """
    if desc.table.kernel.behaviour.keeps_disable:
        desc.dstate &= ~IrqData.MANAGED_SHUTDOWN
        desc.depth -= 1
        if desc.depth:
            return
    irq_startup(desc, resend=True)


def irq_shutdown_and_deactivate(desc: IrqDesc) -> None:
    """Stop a line and give its vector back; its handlers stay."""
    _irq_shutdown(desc)
    if desc.dstate & IrqData.ACTIVATED:
        desc.chip.deactivate(desc)
        desc.dstate &= ~IrqData.ACTIVATED


def _irq_shutdown(desc: IrqDesc) -> None:
    if desc.dstate & IrqData.IRQ_STARTED:
        clear_irq_resend(desc)
        desc.depth = desc.depth + 1 if desc.table.kernel.behaviour.keeps_disable else 1
        mask_irq(desc)
        desc.dstate |= IrqData.IRQ_DISABLED | IrqData.IRQ_MASKED
        desc.dstate &= ~IrqData.IRQ_STARTED
