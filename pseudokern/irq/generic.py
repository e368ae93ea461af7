"""Hand an interrupt to a line: what a controller behind another one does in its handler.

Follows generic_handle_irq() and generic_handle_domain_irq() of kernel/irq/irqdesc.c.
"""

import errno

from pseudokern.irq.desc import Irq, IrqDesc, IrqTable
from pseudokern.irq.domain import IrqDomain
from pseudokern.irq.flags import IrqData
from pseudokern.kernel.context import in_hardirq
from pseudokern.kernel.warn import warn

ENFORCE_PLACE = "kernel/irq/irqdesc.c:668"


def generic_handle_irq(table: IrqTable, irq: Irq) -> None:
    """Run the flow of an interrupt. From a hard interrupt; a software line's from anywhere.

    EINVAL  there is none of that number
    EPERM   it ends at a vector of a CPU, and this is no hard interrupt; the log says so once
    """
    handle_irq_desc(table.find(irq))


def generic_handle_domain_irq(domain: IrqDomain, hwirq: int) -> None:
    """The same, for a number that a controller has. EINVAL: it has no such line."""
    desc = domain.descs.get(hwirq)
    if desc is None:
        raise OSError(errno.EINVAL, f"{domain.name} has no line {hwirq}")
    handle_irq_desc(desc)


def handle_irq_desc(desc: IrqDesc) -> None:
    kernel = desc.table.kernel
    if desc.dstate & IrqData.HANDLE_ENFORCE_IRQCTX and not in_hardirq(kernel):
        if ENFORCE_PLACE not in kernel.warned:
            kernel.warned.add(ENFORCE_PLACE)
            warn(kernel, ENFORCE_PLACE, "")
        raise OSError(errno.EPERM, f"interrupt {desc.irq} comes from hardware only")
    desc.handle_irq(desc)
