"""Have a line delivered as an NMI, by a controller that can.

Follows request_nmi() and free_nmi() of kernel/irq/manage.c, and handle_fasteoi_nmi() of
kernel/irq/chip.c. On x86 no chip can: this is for controllers that a driver brings along.
"""

import errno

from pseudokern.irq.action import Handler, IrqAction
from pseudokern.irq.desc import Irq, IrqDesc, IrqTable
from pseudokern.irq.flags import ChipFlag, Irqf, IrqSetting, IrqState
from pseudokern.irq.manage import disable_irq_nosync, irq_shutdown_and_deactivate
from pseudokern.irq.request import IRQ_NOTCONNECTED
from pseudokern.irq.setup import setup_irq
from pseudokern.kernel.warn import warn

NOT_NMI_PLACE = "kernel/irq/manage.c:2076"
DEVID_PLACE = "kernel/irq/manage.c:2079"
ENABLED_PLACE = "kernel/irq/manage.c:2083"
REQUEST_DEVID_PLACE = "kernel/irq/manage.c:2327"


def irq_supports_nmi(desc: IrqDesc) -> bool:
    """Whether the controller can, and nobody stands between it and the CPUs."""
    if desc.domain is not None and desc.domain.parent is not None:
        return False
    return bool(desc.chip.flags & ChipFlag.SUPPORTS_NMI)


def request_nmi(
    table: IrqTable,
    irq: Irq,
    handler: Handler | None,
    flags: int,
    name: str | None,
    dev_id: object = None,
) -> IrqAction:
    """Add the only handler of a line that comes as an NMI; it stays disabled until enable_nmi().

    ENOTCONN  the device has no interrupt
    EINVAL    SHARED, COND_SUSPEND or IRQPOLL; not PERCPU; no handler; no such line; a line that
              would start by itself, may not be requested or is per CPU; a controller that cannot
    and what setup_irq() says
    """
    if irq == IRQ_NOTCONNECTED:
        raise OSError(errno.ENOTCONN, "the device has no interrupt")
    if flags & (Irqf.SHARED | Irqf.COND_SUSPEND | Irqf.IRQPOLL):
        raise OSError(errno.EINVAL, "an NMI is not shared, and not polled")
    if not flags & Irqf.PERCPU:
        raise OSError(errno.EINVAL, "an NMI has to be PERCPU")
    if handler is None:
        raise OSError(errno.EINVAL, "an NMI needs a handler")
    desc = table.find(irq)
    if not desc.settings & IrqSetting.NOAUTOEN and not flags & Irqf.NO_AUTOEN:
        raise OSError(errno.EINVAL, f"interrupt {irq} would start by itself; use NO_AUTOEN")
    if desc.settings & IrqSetting.NOREQUEST:
        raise OSError(errno.EINVAL, f"interrupt {irq} may not be requested")
    if desc.settings & IrqSetting.PER_CPU_DEVID:
        warn(table.kernel, REQUEST_DEVID_PLACE, "")
        raise OSError(errno.EINVAL, f"interrupt {irq} is every CPU's own; use request_percpu_nmi()")
    if not irq_supports_nmi(desc):
        raise OSError(errno.EINVAL, f"{desc.chip.name} cannot deliver interrupt {irq} as an NMI")
    flags |= Irqf.NO_THREAD | Irqf.NOBALANCING
    action = IrqAction(handler, flags, name, dev_id, table.kernel.cost.handler_ns)
    setup_irq(desc, action)
    desc.istate |= IrqState.NMI
    try:
        desc.chip.nmi_setup(desc)
    except OSError:
        _clean_up(desc)
        raise OSError(errno.EINVAL, f"interrupt {irq} was not made an NMI") from None
    return action


def free_nmi(desc: IrqDesc) -> IrqAction | None:
    """Take the handler off an NMI. None, and a warning in the log, if it is none."""
    kernel = desc.table.kernel
    if not desc.istate & IrqState.NMI:
        warn(kernel, NOT_NMI_PLACE, "")
        return None
    if desc.settings & IrqSetting.PER_CPU_DEVID:
        warn(kernel, DEVID_PLACE, "")
        return None
    if desc.depth == 0:
        warn(kernel, ENABLED_PLACE, "")
        disable_irq_nosync(desc)
    desc.chip.nmi_teardown(desc)
    return _clean_up(desc)


def handle_fasteoi_nmi(desc: IrqDesc) -> None:
    """An NMI: its only handler, and the EOI. No lock, and nobody judges the answer."""
    desc.count(desc.table.kernel.this.cpu)
    desc.actions[0].handler()
    desc.chip.eoi(desc)


def _clean_up(desc: IrqDesc) -> IrqAction:
    desc.istate &= ~IrqState.NMI
    action = desc.actions.pop()
    irq_shutdown_and_deactivate(desc)
    desc.chip.release_resources(desc)
    desc.table.generation += 1
    desc.changed()
    return action
