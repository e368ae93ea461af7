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


def show_subsystem_vendor(_machine: Machine, _root: str, function: PciFunction) -> bytes:
    return b"0x%04x\n" % subsystem(function)[0]


def show_subsystem_device(_machine: Machine, _root: str, function: PciFunction) -> bytes:
    return b"0x%04x\n" % subsystem(function)[1]


def show_revision(_machine: Machine, _root: str, function: PciFunction) -> bytes:
    return b"0x%02x\n" % function.revision


def show_enable(_machine: Machine, _root: str, function: PciFunction) -> bytes:
    """How often it was enabled: once, by its driver."""
    return b"%d\n" % bool(function.driver)


def show_modalias(_machine: Machine, _root: str, function: PciFunction) -> bytes:
    """What udev finds a driver by."""
    vendor, device = subsystem(function)
    base, sub, interface = function.pci_class.to_bytes(3, "big")
    return (
        f"pci:v{function.vendor:08X}d{function.device:08X}sv{vendor:08X}sd{device:08X}"
        f"bc{base:02X}sc{sub:02X}i{interface:02X}\n"
    ).encode()


def link_to_bus(_machine: Machine, _root: str, _function: PciFunction) -> str:
    return "../../../bus/pci"


def subsystem(function: PciFunction) -> tuple[int, int]:
    """Vendor and device of the card; those of the chip if nobody said otherwise."""
    vendor, device = function.subsystem
    return (
        function.vendor if vendor is None else vendor,
        function.device if device is None else device,
    )


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
