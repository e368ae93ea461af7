"""Handle lines that every CPU has for itself: local timers, performance counters.

Follows irq_set_percpu_devid() of kernel/irq/irqdesc.c, the *_percpu_irq() functions of
kernel/irq/manage.c, and handle_percpu_devid_irq() of kernel/irq/chip.c.

One number stands for a line on each CPU, so one dev_id cannot say which: the handler is given
this CPU's part of what was handed over. Each CPU enables its own line.
"""

import errno
from collections.abc import Callable, Sequence
from typing import Any

from pseudokern.irq.action import IrqAction
from pseudokern.irq.desc import Irq, IrqDesc, IrqTable
from pseudokern.irq.flags import IrqData, Irqf, IrqReturn, IrqSetting, IrqState, Trigger
from pseudokern.irq.manage import irq_set_irq_type
from pseudokern.irq.setup import setup_irq
from pseudokern.kernel.context import in_interrupt, this_cpu
from pseudokern.kernel.cpumask import CpuMask, first_cpu
from pseudokern.kernel.printk import Level
from pseudokern.kernel.warn import warn

SPURIOUS_PLACE = "handle_percpu_devid_irq"
FREE_PLACE = "kernel/irq/manage.c:2486"
ENABLED_PLACE = "kernel/irq/manage.c:2495"
ALREADY_FREE_PLACE = "kernel/irq/manage.c:2490"

PercpuHandler = Callable[[Any], IrqReturn]
_DEVID_SETTINGS = (
    IrqSetting.NOAUTOEN
    | IrqSetting.PER_CPU
    | IrqSetting.PER_CPU_DEVID
    | IrqSetting.NOTHREAD
    | IrqSetting.NOPROBE
)


class PercpuAction(IrqAction):
    """A handler on a per-CPU line. dev_id holds what it is given, by CPU."""

    __slots__ = ("percpu_handler",)

    def __init__(
        self,
        handler: PercpuHandler,
        flags: int,
        name: str | None,
        dev_id: Sequence[Any],
        cost_ns: int,
        cpus: CpuMask,
    ) -> None:
        super().__init__(_not_called_so, flags, name, dev_id, cost_ns)
        self.percpu_handler = handler
        self.cpus = cpus

    def call(self, cpu: int) -> IrqReturn:
        dev_id: Any = self.dev_id
        return self.percpu_handler(dev_id[cpu])


def irq_set_percpu_devid(desc: IrqDesc) -> None:
    """Make a line every CPU's own. EINVAL: it is already."""
    if desc.settings & IrqSetting.PER_CPU_DEVID:
        raise OSError(errno.EINVAL, f"interrupt {desc.irq} is every CPU's own already")
    desc.settings |= _DEVID_SETTINGS
    desc.dstate |= IrqData.PER_CPU


def request_percpu_irq(
    table: IrqTable,
    irq: Irq,
    handler: PercpuHandler,
    name: str | None,
    dev_id: Sequence[Any] | None,
    *,
    cpus: CpuMask | None = None,
    flags: int = Irqf.NONE,
) -> IrqAction:
    """Add a handler to a per-CPU line, which stays disabled until each CPU enables its own.

    cpus: where it is called, if not everywhere; others may share the line elsewhere (6.18).

    EINVAL  no dev_id; no such line; one that may not be requested, or is not per CPU; flags other
            than TIMER; CPUs or a dev_id that are taken
    and what setup_irq() says
    """
    if dev_id is None:
        raise OSError(errno.EINVAL, "a per-CPU interrupt needs a dev_id")
    desc = table.find(irq)
    is_percpu = desc.settings & IrqSetting.PER_CPU_DEVID
    if desc.settings & IrqSetting.NOREQUEST or not is_percpu:
        raise OSError(errno.EINVAL, f"interrupt {irq} is not every CPU's own")
    if flags not in (Irqf.NONE, Irqf.TIMER):
        raise OSError(errno.EINVAL, f"a per-CPU interrupt takes no flags but TIMER: {flags:#x}")
    return _add(desc, handler, flags | Irqf.PERCPU | Irqf.NO_SUSPEND, name, dev_id, cpus)


def request_percpu_nmi(
    table: IrqTable, irq: Irq, handler: PercpuHandler, name: str | None, dev_id: Sequence[Any]
) -> IrqAction:
    """Have a per-CPU line delivered as an NMI; each CPU prepares and enables its own.

    EINVAL  no such line; one that may not be requested, is not per CPU, would start by itself, or
            is an NMI already; a controller that cannot
    and what setup_irq() says
    """
    from pseudokern.irq.nmi import irq_supports_nmi  # NMIs are rare

    desc = table.find(irq)
    fits = (
        desc.settings & IrqSetting.PER_CPU_DEVID
        and desc.settings & IrqSetting.NOAUTOEN
        and not desc.settings & IrqSetting.NOREQUEST
        and irq_supports_nmi(desc)
        and not desc.istate & IrqState.NMI
    )
    if not fits:
        raise OSError(errno.EINVAL, f"interrupt {irq} cannot be every CPU's own NMI")
    flags = Irqf.PERCPU | Irqf.NO_SUSPEND | Irqf.NO_THREAD | Irqf.NOBALANCING
    action = _add(desc, handler, flags, name, dev_id, None)
    desc.istate |= IrqState.NMI
    return action


def prepare_percpu_nmi(desc: IrqDesc) -> None:
    """Have this CPU's line delivered as an NMI. EINVAL: it is none, or the controller cannot."""
    kernel = desc.table.kernel
    if not desc.istate & IrqState.NMI:
        text = f"prepare_percpu_nmi called for a non-NMI interrupt: irq {desc.irq}"
        warn(kernel, "kernel/irq/manage.c:2721", text)
        raise OSError(errno.EINVAL, f"interrupt {desc.irq} is no NMI")
    try:
        desc.chip.nmi_setup(desc)
    except OSError:
        text = f"genirq: Failed to setup NMI delivery: irq {desc.irq}"
        kernel.log.printk(Level.ERR, text)
        raise


def teardown_percpu_nmi(desc: IrqDesc) -> None:
    """Deliver this CPU's line as any interrupt again."""
    if desc.istate & IrqState.NMI:
        desc.chip.nmi_teardown(desc)


def enable_percpu_irq(desc: IrqDesc, trigger: int = Trigger.NONE) -> None:
    """Let this CPU's line through. From this CPU, with interrupts off or not."""
    trigger = trigger & Irqf.TRIGGER_MASK or desc.trigger
    if trigger:
        try:
            irq_set_irq_type(desc, trigger)
        except OSError:
            text = f"failed to set type for IRQ{desc.irq}"
            warn(desc.table.kernel, "kernel/irq/manage.c:2398", text)
            return
    desc.chip.unmask(desc)
    desc.percpu_enabled |= 1 << this_cpu(desc.table.kernel).cpu


def disable_percpu_irq(desc: IrqDesc) -> None:
    """Stop this CPU's line. From this CPU."""
    desc.chip.mask(desc)
    desc.percpu_enabled &= ~(1 << this_cpu(desc.table.kernel).cpu)


def irq_percpu_is_enabled(desc: IrqDesc) -> bool:
    """Whether this CPU takes its line."""
    return bool(desc.percpu_enabled >> this_cpu(desc.table.kernel).cpu & 1)


def free_percpu_irq(desc: IrqDesc, dev_id: object) -> IrqAction | None:
    """Take the handler of dev_id off a line that every CPU has disabled.

    None, and a warning in the log, if there is none or a CPU has not.
    """
    kernel = desc.table.kernel
    if in_interrupt(kernel):
        warn(kernel, FREE_PLACE, f"Trying to free IRQ {desc.irq} from IRQ context!")
    action = next((a for a in desc.actions if a.dev_id is dev_id), None)
    if action is None:
        warn(kernel, ALREADY_FREE_PLACE, f"Trying to free already-free IRQ {desc.irq}")
        return None
    if desc.percpu_enabled & action.cpus:
        cpu = first_cpu(desc.percpu_enabled & action.cpus)
        warn(kernel, ENABLED_PLACE, f"percpu IRQ {desc.irq} still enabled on CPU{cpu}!")
        return None
    desc.actions.remove(action)
    if not desc.actions:
        desc.istate &= ~IrqState.NMI
        desc.chip.release_resources(desc)
    desc.table.generation += 1
    desc.changed()
    return action


def handle_percpu_devid_irq(desc: IrqDesc) -> None:
    """This CPU's own line: nothing to lock, nothing to mask. One that nobody wants is stopped."""
    cpu = desc.table.kernel.this.cpu
    desc.count(cpu)
    desc.chip.ack(desc)
    action = next((a for a in desc.actions if a.cpus >> cpu & 1), None)
    if isinstance(action, PercpuAction):
        action.call(cpu)
    else:
        _stop_spurious(desc)
    desc.chip.eoi(desc)


def _stop_spurious(desc: IrqDesc) -> None:
    kernel = desc.table.kernel
    enabled = irq_percpu_is_enabled(desc)
    if enabled:
        disable_percpu_irq(desc)
    if SPURIOUS_PLACE not in kernel.warned:
        kernel.warned.add(SPURIOUS_PLACE)
        what = " and unmasked" if enabled else ""
        text = f"Spurious{what} percpu IRQ{desc.irq} on CPU{kernel.this.cpu}"
        kernel.log.printk(Level.ERR, text)


def _add(
    desc: IrqDesc,
    handler: PercpuHandler,
    flags: int,
    name: str | None,
    dev_id: Sequence[Any],
    cpus: CpuMask | None,
) -> IrqAction:
    kernel = desc.table.kernel
    where = kernel.possible if cpus is None else cpus
    action = PercpuAction(handler, flags, name, dev_id, kernel.cost.handler_ns, where)
    setup_irq(desc, action)
    return action


def _not_called_so() -> IrqReturn:
    raise TypeError("the handler of a per-CPU line is called with this CPU's part of its dev_id")
