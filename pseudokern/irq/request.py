"""Request lines and free them.

Follows kernel/irq/manage.c: request_threaded_irq(), __setup_irq(), __free_irq().
"""

import errno

from pseudokern.irq.action import (
    Handler,
    IrqAction,
    ThreadFunction,
    irq_default_primary_handler,
)
from pseudokern.irq.desc import Irq, IrqDesc, IrqTable
from pseudokern.irq.flags import ChipFlag, IrqData, Irqf, IrqReturn, IrqSetting, IrqState
from pseudokern.irq.irqchip import NoChip
from pseudokern.irq.manage import (
    enable_irq,
    irq_set_irq_type,
    irq_shutdown_and_deactivate,
    irq_startup,
    record_default_trigger,
)
from pseudokern.irq.thread import IrqThread
from pseudokern.kernel.printk import Level
from pseudokern.kernel.warn import warn

IRQ_NOTCONNECTED = 1 << 31
MAX_ONESHOT_ACTIONS = 64


def request_irq(
    table: IrqTable,
    irq: Irq,
    handler: Handler | None,
    flags: int,
    name: str | None,
    dev_id: object = None,
    *,
    thread_fn: ThreadFunction | None = None,
    cost_ns: int | None = None,
) -> IrqAction:
    """Add a handler to a line; the first one starts the line up.

    thread_fn makes it a threaded request: it is called in a thread of its own when handler says
    WAKE_THREAD, or always if handler is None.

    cost_ns is the CPU time that a call takes; by default what the machine's cost model says.

    ENOTCONN  the device has no interrupt
    EINVAL    no such line, or one that may not be requested; SHARED without dev_id or with
              NO_AUTOEN; a trigger that the chip does not know; neither handler nor thread_fn; no
              handler and no ONESHOT on a chip that needs it
    ENOSYS    the line has no controller
    EBUSY     the handlers that are there do not share, or not in this way; or 64 of them are
              ONESHOT
    ENOSPC    no free vector
    """
    if irq == IRQ_NOTCONNECTED:
        raise OSError(errno.ENOTCONN, "the device has no interrupt")
    _check_flags(flags, dev_id)
    desc = table.find(irq)
    if desc.settings & (IrqSetting.NOREQUEST | IrqSetting.PER_CPU_DEVID):
        raise OSError(errno.EINVAL, f"interrupt {irq} may not be requested")
    if handler is None and thread_fn is None:
        raise OSError(errno.EINVAL, f"interrupt {irq}: neither a handler nor a thread function")
    if isinstance(desc.chip, NoChip):
        raise OSError(errno.ENOSYS, f"interrupt {irq} has no controller")
    cost_ns = table.kernel.cost.handler_ns if cost_ns is None else cost_ns
    handler = handler or irq_default_primary_handler
    action = IrqAction(handler, flags, name, dev_id, cost_ns, thread_fn)
    secondary = _force_threading(desc, action) if table.force_irqthreads else None
    if not flags & Irqf.TRIGGER_MASK:
        action.flags |= desc.trigger
    if desc.chip.flags & ChipFlag.ONESHOT_SAFE:
        action.flags &= ~Irqf.ONESHOT
    _check_oneshot(desc, action)
    if desc.actions:
        _join(desc, action)
    else:
        _start(desc, action)
    _start_threads(desc, action, secondary)
    desc.irq_count = 0
    desc.irqs_unhandled = 0
    table.register_irq_proc(desc, action)
    desc.changed()
    return action


def free_irq(desc: IrqDesc, dev_id: object) -> IrqAction | None:
    """Take the handler of dev_id off the line; the last one shuts the line down.

    None, and a warning in the log, if there is no such handler.
    """
    action = next((a for a in desc.actions if a.dev_id is dev_id), None)
    if action is None:
        text = f"Trying to free already-free IRQ {desc.irq}"
        warn(desc.table.kernel, "kernel/irq/manage.c:1893", text)
        return None
    desc.actions.remove(action)
    desc.affinity_hint = 0
    if not desc.actions:
        irq_shutdown_and_deactivate(desc)
    for thread in (action.thread, action.secondary):
        if thread is not None:
            thread.stop()
    desc.table.generation += 1
    desc.changed()
    return action


def _force_threading(desc: IrqDesc, action: IrqAction) -> ThreadFunction | None:
    """threadirqs: the handler becomes the thread function; the driver's own one a secondary's."""
    spared = Irqf.NO_THREAD | Irqf.PERCPU | Irqf.ONESHOT
    if action.flags & spared or desc.settings & IrqSetting.NOTHREAD:
        return None
    if action.handler is irq_default_primary_handler:
        return None
    action.flags |= Irqf.ONESHOT
    secondary = action.thread_fn
    handler = action.handler

    def forced() -> IrqReturn:
        return handler()

    action.thread_fn = forced
    action.handler = irq_default_primary_handler
    return secondary


def _check_oneshot(desc: IrqDesc, action: IrqAction) -> None:
    """Give a ONESHOT action its bit; refuse a thread alone that would be interrupted for ever."""
    if action.flags & Irqf.ONESHOT:
        taken = 0
        for other in desc.actions:
            taken |= other.thread_mask
        free = ~taken & (1 << MAX_ONESHOT_ACTIONS) - 1
        if not free:
            raise OSError(errno.EBUSY, f"interrupt {desc.irq} has 64 ONESHOT handlers")
        action.thread_mask = free & -free
        return
    safe = desc.chip.flags & ChipFlag.ONESHOT_SAFE
    if action.handler is irq_default_primary_handler and not safe:
        desc.table.kernel.log.printk(
            Level.ERR,
            "genirq: Threaded irq requested with handler=NULL and !ONESHOT for "
            f"{action.name or '(null)'} (irq {desc.irq})",
        )
        raise OSError(errno.EINVAL, f"interrupt {desc.irq}: a thread alone needs ONESHOT")


def _start_threads(desc: IrqDesc, action: IrqAction, secondary: ThreadFunction | None) -> None:
    threads = desc.table.kthreads
    if action.thread_fn is not None:
        action.thread = IrqThread(threads, desc, action, action.thread_fn)
    if secondary is not None:
        action.secondary = IrqThread(threads, desc, action, secondary, secondary=True)


def _check_flags(flags: int, dev_id: object) -> None:
    shared = flags & Irqf.SHARED
    if shared and dev_id is None:
        raise OSError(errno.EINVAL, "a shared interrupt needs a dev_id")
    if shared and flags & Irqf.NO_AUTOEN:
        raise OSError(errno.EINVAL, "a shared interrupt cannot be NO_AUTOEN")
    if flags & Irqf.COND_SUSPEND and (not shared or flags & Irqf.NO_SUSPEND):
        raise OSError(errno.EINVAL, "COND_SUSPEND is for shared interrupts that do suspend")


def _join(desc: IrqDesc, action: IrqAction) -> None:
    """Check that action and those on the line agree to share, and add it at the end."""
    old = desc.actions[0]
    if not desc.dstate & IrqData.DEFAULT_TRIGGER_SET:
        record_default_trigger(desc, action.flags & Irqf.TRIGGER_MASK)
    if action.flags & Irqf.COND_ONESHOT and old.flags & Irqf.ONESHOT:
        action.flags |= Irqf.ONESHOT
    agree = (
        old.flags & action.flags & Irqf.SHARED
        and desc.trigger == action.flags & Irqf.TRIGGER_MASK
        and not (old.flags ^ action.flags) & (Irqf.ONESHOT | Irqf.PERCPU)
    )
    if not agree:
        if not action.flags & Irqf.PROBE_SHARED:
            desc.table.kernel.log.printk(
                Level.ERR,
                f"genirq: Flags mismatch irq {desc.irq}. {action.flags:08x} "
                f"({action.name or '(null)'}) vs. {old.flags:08x} ({old.name or '(null)'})",
            )
        raise OSError(errno.EBUSY, f"interrupt {desc.irq} is not shared in this way")
    desc.actions.append(action)
    if desc.istate & IrqState.SPURIOUS_DISABLED:
        desc.istate &= ~IrqState.SPURIOUS_DISABLED
        enable_irq(desc)


def _start(desc: IrqDesc, action: IrqAction) -> None:
    """Bring the line to life for its first action."""
    trigger = action.flags & Irqf.TRIGGER_MASK
    if trigger:
        irq_set_irq_type(desc, trigger)
        action.flags = action.flags & ~Irqf.TRIGGER_MASK | desc.trigger
    if not desc.dstate & IrqData.ACTIVATED:
        desc.chip.activate(desc)
        desc.dstate |= IrqData.ACTIVATED
    desc.istate &= ~(
        IrqState.AUTODETECT | IrqState.SPURIOUS_DISABLED | IrqState.ONESHOT | IrqState.WAITING
    )
    desc.dstate &= ~IrqData.IRQ_INPROGRESS
    if action.flags & Irqf.PERCPU:
        desc.dstate |= IrqData.PER_CPU
        desc.settings |= IrqSetting.PER_CPU
        if action.flags & Irqf.NO_DEBUG:
            desc.settings |= IrqSetting.NO_DEBUG
    if desc.table.noirqdebug:
        desc.settings |= IrqSetting.NO_DEBUG
    if action.flags & Irqf.ONESHOT:
        desc.istate |= IrqState.ONESHOT
    if action.flags & Irqf.NOBALANCING:
        desc.settings |= IrqSetting.NO_BALANCING
        desc.dstate |= IrqData.NO_BALANCING
    desc.actions.append(action)
    if desc.settings & IrqSetting.NOAUTOEN or action.flags & Irqf.NO_AUTOEN:
        desc.depth = 1
        return
    irq_startup(desc, resend=True)
