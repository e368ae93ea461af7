"""Put a handler on a line: who may join, what the first one starts.

Follows __setup_irq() of kernel/irq/manage.c. The checks are in Linux's order, which decides what
a request that is wrong in two ways is told.
"""

import errno
from typing import NoReturn

from pseudokern.irq.action import (
    IrqAction,
    ThreadFunction,
    irq_default_primary_handler,
    irq_nested_primary_handler,
)
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.flags import (
    ChipFlag,
    IrqData,
    Irqf,
    IrqReturn,
    IrqSetting,
    IrqState,
)
from pseudokern.irq.irqchip import NoChip
from pseudokern.irq.manage import (
    activate,
    enable_irq,
    irq_set_irq_type,
    irq_startup,
    record_default_trigger,
)
from pseudokern.irq.thread import IrqThread
from pseudokern.kernel.printk import Level

MAX_ONESHOT_ACTIONS = 64
ONESHOT_PLACE = "kernel/irq/manage.c:1488"
AUTOEN_PLACE = "kernel/irq/manage.c:1753"


def setup_irq(desc: IrqDesc, action: IrqAction) -> None:
    """Add action to the line; the first one starts it, unless the line or the action says not to.

    ENOSYS  the line has no controller
    EINVAL  a nested line and no thread_fn; the line is an NMI; a thread alone without ONESHOT on
            a chip that needs it; a trigger that the chip does not know
    EBUSY   the handlers that are there do not share, or not in this way; or 64 are ONESHOT
    ENOSPC  no free vector
    and what the chip says when it is asked for its resources
    """
    table = desc.table
    if isinstance(desc.chip, NoChip):
        raise OSError(errno.ENOSYS, f"interrupt {desc.irq} has no controller")
    if not action.flags & Irqf.TRIGGER_MASK:
        action.flags |= desc.trigger
    told = table.kernel.behaviour.tells_of_oneshot
    if told and action.flags & Irqf.ONESHOT and action.thread_fn is None:
        _warn_once(desc, ONESHOT_PLACE)
    secondary = _prepare_threads(desc, action)
    if desc.chip.flags & ChipFlag.ONESHOT_SAFE:
        action.flags &= ~Irqf.ONESHOT
    _install(desc, action)
    if not desc.settings & IrqSetting.NESTED_THREAD:
        _start_threads(desc, action, secondary)
    desc.irq_count = 0
    desc.irqs_unhandled = 0
    table.register_irq_proc(desc, action)
    desc.changed()


def _install(desc: IrqDesc, action: IrqAction) -> None:
    """Make action one of the line's, or raise and leave everything as it was."""
    if desc.actions:
        _agree_to_share(desc, action)
        _take_oneshot_bit(desc, action)
        _join(desc, action)
        return
    _request_resources(desc, action)
    try:
        _take_oneshot_bit(desc, action)
        _start(desc, action)
    except OSError:
        desc.chip.release_resources(desc)
        raise


def _prepare_threads(desc: IrqDesc, action: IrqAction) -> ThreadFunction | None:
    """Say who calls whom, nested and with threadirqs; returns what the secondary thread runs."""
    if desc.settings & IrqSetting.NESTED_THREAD:
        if action.thread_fn is None:
            raise OSError(errno.EINVAL, f"nested interrupt {desc.irq} needs a thread function")
        action.handler = irq_nested_primary_handler(desc)
    elif desc.table.force_irqthreads and not desc.settings & IrqSetting.NOTHREAD:
        return _force_threading(action)
    return None


def _force_threading(action: IrqAction) -> ThreadFunction | None:
    """threadirqs: the handler becomes the thread function; the driver's own one a secondary's."""
    if action.flags & (Irqf.NO_THREAD | Irqf.PERCPU | Irqf.ONESHOT):
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


def _request_resources(desc: IrqDesc, action: IrqAction) -> None:
    try:
        desc.chip.request_resources(desc)
    except OSError:
        _pr_err(
            desc,
            f"Failed to request resources for {action.shown_name} (irq {desc.irq}) "
            f"on irqchip {desc.chip.name}",
        )
        raise


def _agree_to_share(desc: IrqDesc, action: IrqAction) -> None:
    """Check that action and those on the line agree, and let it take over what they have said."""
    old = desc.actions[0]
    if desc.istate & IrqState.NMI:
        _pr_err(
            desc,
            f"Invalid attempt to share NMI for {action.shown_name} (irq {desc.irq}) "
            f"on irqchip {desc.chip.name}.",
        )
        raise OSError(errno.EINVAL, f"interrupt {desc.irq} is an NMI, which nobody shares")
    if desc.settings & IrqSetting.PER_CPU_DEVID and desc.table.kernel.behaviour.shares_percpu:
        _share_cpus(desc, action)
        return
    if not desc.dstate & IrqData.DEFAULT_TRIGGER_SET:
        record_default_trigger(desc, action.flags & Irqf.TRIGGER_MASK)
    if not old.flags & action.flags & Irqf.SHARED:
        _refuse(desc, action)
    if desc.trigger != action.flags & Irqf.TRIGGER_MASK:
        _refuse(desc, action)
    if old.flags & Irqf.ONESHOT and action.flags & Irqf.COND_ONESHOT:
        action.flags |= Irqf.ONESHOT
    elif (old.flags ^ action.flags) & Irqf.ONESHOT:
        _refuse(desc, action)
    if (old.flags ^ action.flags) & Irqf.PERCPU:
        _refuse(desc, action)


def _share_cpus(desc: IrqDesc, action: IrqAction) -> None:
    """Handlers of a per-CPU line share it if no CPU and no cookie is used twice."""
    for other in desc.actions:
        if other.cpus & action.cpus or other.dev_id is action.dev_id:
            _pr_err(
                desc,
                f"Overlapping affinities for {action.shown_name} (irq {desc.irq}) "
                f"on irqchip {desc.chip.name}.",
            )
            raise OSError(errno.EINVAL, f"per-CPU interrupt {desc.irq} is taken on a CPU of these")


def _refuse(desc: IrqDesc, action: IrqAction) -> NoReturn:
    old = desc.actions[0]
    if not action.flags & Irqf.PROBE_SHARED:
        _pr_err(
            desc,
            f"Flags mismatch irq {desc.irq}. {action.flags:08x} ({action.shown_name}) "
            f"vs. {old.flags:08x} ({old.shown_name})",
        )
    raise OSError(errno.EBUSY, f"interrupt {desc.irq} is not shared in this way")


def _take_oneshot_bit(desc: IrqDesc, action: IrqAction) -> None:
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
    if action.handler is not irq_default_primary_handler:
        return
    if not desc.chip.flags & ChipFlag.ONESHOT_SAFE:
        _pr_err(
            desc,
            "Threaded irq requested with handler=NULL and !ONESHOT for "
            f"{action.shown_name} (irq {desc.irq})",
        )
        raise OSError(errno.EINVAL, f"interrupt {desc.irq}: a thread alone needs ONESHOT")


def _join(desc: IrqDesc, action: IrqAction) -> None:
    """Add action behind the others; a line that was given up for stuck gets another chance."""
    wanted = action.flags & Irqf.TRIGGER_MASK
    if wanted and wanted != desc.trigger:
        text = f"genirq: irq {desc.irq} uses trigger mode {desc.trigger}; requested {wanted}"
        desc.table.kernel.log.printk(Level.WARNING, text)
    desc.actions.append(action)
    if desc.istate & IrqState.SPURIOUS_DISABLED:
        desc.istate &= ~IrqState.SPURIOUS_DISABLED
        enable_irq(desc)


def _start(desc: IrqDesc, action: IrqAction) -> None:
    """Bring the line to life for its first action."""
    trigger = action.flags & Irqf.TRIGGER_MASK
    if trigger:
        irq_set_irq_type(desc, trigger)
    activate(desc)
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
    if not desc.settings & IrqSetting.NOAUTOEN and not action.flags & Irqf.NO_AUTOEN:
        irq_startup(desc, resend=True)
        return
    if action.flags & Irqf.SHARED:
        _warn_once(desc, AUTOEN_PLACE)
    desc.depth = 1


def _start_threads(desc: IrqDesc, action: IrqAction, secondary: ThreadFunction | None) -> None:
    threads = desc.table.kthreads
    if action.thread_fn is not None:
        action.thread = IrqThread(threads, desc, action, action.thread_fn)
    if secondary is not None:
        action.secondary = IrqThread(threads, desc, action, secondary, secondary=True)


def _warn_once(desc: IrqDesc, place: str) -> None:
    from pseudokern.kernel.leaks import warn_once  # few requests are so odd
    from pseudokern.kernel.stack import call_trace

    warn_once(desc.table.kernel, place, "", call_trace())


def _pr_err(desc: IrqDesc, text: str) -> None:
    desc.table.kernel.log.printk(Level.ERR, f"genirq: {text}")
