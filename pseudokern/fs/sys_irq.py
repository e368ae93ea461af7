"""Show /sys/kernel/irq/N.

Follows kernel/irq/irqdesc.c: the attributes of irq_kobj_type. Every descriptor has a directory,
requested or not; what a line does not have reads as nothing.
"""

from pseudokern.fs.profile import PROFILES
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.flags import IrqData
from pseudokern.irq.irqchip import NoChip
from pseudokern.kernel.percpu import UINT_RANGE
from pseudokern.kernel.printk import encoded
from pseudokern.machine.machine import Machine


def show_actions(_machine: Machine, desc: IrqDesc) -> bytes:
    names = [action.name or "(null)" for action in desc.actions]
    return encoded(",".join(names) + "\n") if names else b""


def show_chip_name(machine: Machine, desc: IrqDesc) -> bytes:
    if isinstance(desc.chip, NoChip):
        return b""
    return encoded(f"{PROFILES[machine.description.kernel].chip_name(desc)}\n")


def show_hwirq(machine: Machine, desc: IrqDesc) -> bytes:
    if desc.domain is None:
        return b""
    return b"%d\n" % PROFILES[machine.description.kernel].hwirq(desc)


def show_name(_machine: Machine, desc: IrqDesc) -> bytes:
    return f"{desc.flow_name}\n".encode() if desc.flow_name else b""


def show_per_cpu_count(_machine: Machine, desc: IrqDesc) -> bytes:
    counts = [str(count % UINT_RANGE) for count in desc.kstat_irqs]
    return (",".join(counts) + "\n").encode()


def show_type(_machine: Machine, desc: IrqDesc) -> bytes:
    return b"level\n" if desc.is_level else b"edge\n"


def show_wakeup(_machine: Machine, desc: IrqDesc) -> bytes:
    return b"enabled\n" if desc.dstate & IrqData.WAKEUP_STATE else b"disabled\n"
