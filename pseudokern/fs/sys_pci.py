"""Show /sys/devices/pciDDDD:BB and the links to it.

Follows drivers/pci/pci-sysfs.c and drivers/pci/msi/msi.c. Functions of other buses stand directly
under a root of their own here; bridges in between are not modelled.
"""

from pseudokern.hw.pci import PciFunction
from pseudokern.irq.desc import Irq
from pseudokern.kernel.cpumask import CpuMask, cpulist_format, cpumask_format
from pseudokern.machine.machine import Machine


def link_to_function(_machine: Machine, function: PciFunction) -> str:
    """Where /sys/bus/pci/devices/BDF points."""
    return f"../../../devices/{root_of(function)}/{function.bdf}"


def root_of(function: PciFunction) -> str:
    domain, bus, _ = function.bdf.split(":")
    return f"pci{domain}:{bus}"


def show_irq(_machine: Machine, _root: str, function: PciFunction) -> bytes:
    return b"%d\n" % function.irq


def show_class(_machine: Machine, _root: str, function: PciFunction) -> bytes:
    return b"0x%06x\n" % function.pci_class


def show_vendor(_machine: Machine, _root: str, function: PciFunction) -> bytes:
    return b"0x%04x\n" % function.vendor


def show_device(_machine: Machine, _root: str, function: PciFunction) -> bytes:
    return b"0x%04x\n" % function.device


def show_msi_bus(_machine: Machine, _root: str, _function: PciFunction) -> bytes:
    """Whether messages may pass this bridge or come from this device."""
    return b"1\n"


def show_numa_node(_machine: Machine, _root: str, function: PciFunction) -> bytes:
    return b"%d\n" % function.node


def show_local_cpus(machine: Machine, _root: str, function: PciFunction) -> bytes:
    cpus = _local(machine, function)
    return f"{cpumask_format(cpus, machine.kernel.nr_cpu_ids)}\n".encode()


def show_local_cpulist(machine: Machine, _root: str, function: PciFunction) -> bytes:
    return f"{cpulist_format(_local(machine, function))}\n".encode()


def has_messages(_machine: Machine, _root: str, function: PciFunction) -> bool:
    return bool(function.irqs)


def show_msi_irq(_machine: Machine, _root: str, function: PciFunction, irq: Irq) -> bytes:
    return f"{function.irqs[irq]}\n".encode()


def _local(machine: Machine, function: PciFunction) -> CpuMask:
    """The CPUs of the node; all of them if it has none."""
    kernel = machine.kernel
    near = kernel.cpumask_of_node(function.node) if function.node >= 0 else kernel.online
    return near & kernel.online
