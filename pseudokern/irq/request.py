"""Request lines and free them.

Follows kernel/irq/manage.c: request_threaded_irq(), request_any_context_irq(), __free_irq().
"""

import errno
from enum import IntEnum

from pseudokern.irq.action import (
    Handler,
    IrqAction,
    ThreadFunction,
    irq_default_primary_handler,
)
from pseudokern.irq.desc import Irq, IrqDesc, IrqTable
from pseudokern.irq.flags import Irqf, IrqSetting
from pseudokern.irq.manage import irq_shutdown_and_deactivate
from pseudokern.irq.setup import setup_irq
from pseudokern.kernel.context import in_interrupt
from pseudokern.kernel.warn import warn

IRQ_NOTCONNECTED = 1 << 31
DEVID_PLACE = "kernel/irq/manage.c:2129"
FREE_PLACE = "kernel/irq/manage.c:1878"
ALREADY_FREE_PLACE = "kernel/irq/manage.c:1893"
HINT_PLACE = "kernel/irq/manage.c:1919"
NOTIFY_PLACE = "kernel/irq/manage.c:2008"


class IrqContext(IntEnum):
    """Where request_any_context_irq() has the handler called."""

    HARDIRQ = 0
    NESTED = 1


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
              NO_AUTOEN; COND_SUSPEND without SHARED or with NO_SUSPEND; neither handler nor
              thread_fn
    and what setup_irq() says
    """
    if irq == IRQ_NOTCONNECTED:
        raise OSError(errno.ENOTCONN, "the device has no interrupt")
    _check_flags(flags, dev_id)
    desc = table.find(irq)
    if desc.settings & IrqSetting.NOREQUEST:
        raise OSError(errno.EINVAL, f"interrupt {irq} may not be requested")
    if desc.settings & IrqSetting.PER_CPU_DEVID:
        warn(table.kernel, DEVID_PLACE, "")
        raise OSError(errno.EINVAL, f"interrupt {irq} is every CPU's own; use request_percpu_irq()")
    if handler is None and thread_fn is None:
        raise OSError(errno.EINVAL, f"interrupt {irq}: neither a handler nor a thread function")
    cost_ns = table.kernel.cost.handler_ns if cost_ns is None else cost_ns
    handler = handler or irq_default_primary_handler
    action = IrqAction(handler, flags, name, dev_id, cost_ns, thread_fn)
    setup_irq(desc, action)
    return action


def request_any_context_irq(
    table: IrqTable,
    irq: Irq,
    handler: Handler,
    flags: int,
    name: str | None,
    dev_id: object = None,
) -> IrqContext:
    """Request a line that may be nested: then the handler is called in its parent's thread.

    The errors are those of request_irq().
    """
    if irq == IRQ_NOTCONNECTED:
        raise OSError(errno.ENOTCONN, "the device has no interrupt")
    if table.find(irq).settings & IrqSetting.NESTED_THREAD:
        request_irq(table, irq, None, flags, name, dev_id, thread_fn=handler)
        return IrqContext.NESTED
    request_irq(table, irq, handler, flags, name, dev_id)
    return IrqContext.HARDIRQ


def free_irq(desc: IrqDesc, dev_id: object) -> IrqAction | None:
    """Take the handler of dev_id off the line; the last one shuts the line down.

    Its thread ends with its present run; `await synchronize_irq(desc)` waits for that. Not from an
    interrupt: there is a warning in the log.

    None, and a warning, if there is no such handler, or the line is a per-CPU one.
    """
    kernel = desc.table.kernel
    if desc.settings & IrqSetting.PER_CPU_DEVID:
        warn(kernel, NOTIFY_PLACE, "")
        return None
    if desc.notifier is not None:
        warn(kernel, NOTIFY_PLACE, "")
        desc.notifier = None
    if in_interrupt(kernel):
        warn(kernel, FREE_PLACE, f"Trying to free IRQ {desc.irq} from IRQ context!")
    action = next((a for a in desc.actions if a.dev_id is dev_id), None)
    if action is None:
        warn(kernel, ALREADY_FREE_PLACE, f"Trying to free already-free IRQ {desc.irq}")
        return None
    desc.actions.remove(action)
    if desc.affinity_hint:
        if HINT_PLACE not in kernel.warned:
            kernel.warned.add(HINT_PLACE)
            warn(kernel, HINT_PLACE, "")
        desc.affinity_hint = 0
    if not desc.actions:
        desc.settings &= ~IrqSetting.DISABLE_UNLAZY
        irq_shutdown_and_deactivate(desc)
        desc.chip.release_resources(desc)
    for thread in (action.thread, action.secondary):
        if thread is not None:
            thread.stop()
    desc.table.generation += 1
    desc.changed()
    return action


def _check_flags(flags: int, dev_id: object) -> None:
    shared = flags & Irqf.SHARED
    if shared and dev_id is None:
        raise OSError(errno.EINVAL, "a shared interrupt needs a dev_id")
    if shared and flags & Irqf.NO_AUTOEN:
        raise OSError(errno.EINVAL, "a shared interrupt cannot be NO_AUTOEN")
    if flags & Irqf.COND_SUSPEND and (not shared or flags & Irqf.NO_SUSPEND):
        raise OSError(errno.EINVAL, "COND_SUSPEND is for shared interrupts that do suspend")
