"""Show NVMe controllers and their disks: /sys/class/nvme, /sys/class/block and /sys/block.

Follows drivers/nvme/host/sysfs.c, and block/blk-mq-sysfs.c for the CPUs whose requests go to a
hardware queue: those of its interrupt. A controller has one disk, whose size is not modelled.
"""

from collections.abc import Callable, Iterator

from pseudokern.drivers.nvme import Nvme
from pseudokern.fs.sys_pci import root_of
from pseudokern.hw.pci import PciFunction
from pseudokern.kernel.cpumask import cpus_of
from pseudokern.machine.machine import Machine

# What follows the machine in the arguments of show functions: the PCI root and the function.
_Show = Callable[[Machine, str, PciFunction, Nvme], bytes]


def controller_names(machine: Machine) -> list[str]:
    """Every controller that has its driver."""
    return [device.name for device in _controllers(machine)]


def find_controller(machine: Machine, name: str) -> Nvme | None:
    return next((device for device in _controllers(machine) if device.name == name), None)


def link_to_controller(_machine: Machine, device: Nvme) -> str:
    return f"../../devices/{_place(device)}"


def disk_names(machine: Machine) -> list[str]:
    return [f"{name}n1" for name in controller_names(machine)]


def find_disk(machine: Machine, name: str) -> Nvme | None:
    return find_controller(machine, name.removesuffix("n1")) if name.endswith("n1") else None


def link_from_class_to_disk(_machine: Machine, device: Nvme) -> str:
    return f"../../devices/{_place(device)}/{device.name}n1"


def link_to_disk(_machine: Machine, device: Nvme) -> str:
    return f"../devices/{_place(device)}/{device.name}n1"


def has_controller(machine: Machine, root: str, function: PciFunction) -> bool:
    return bool(own_controller_names(machine, root, function))


def own_controller_names(machine: Machine, _root: str, function: PciFunction) -> list[str]:
    """The controller of a function, if it is a drive with a driver."""
    return [device.name for device in _controllers(machine) if device.function is function]


def find_own_controller(
    machine: Machine, name: str, _root: str, function: PciFunction
) -> Nvme | None:
    device = find_controller(machine, name)
    return device if device is not None and device.function is function else None


def link_to_function(_machine: Machine, _root: str, function: PciFunction, _device: Nvme) -> str:
    return f"../../../{function.bdf}"


def _shows(value: Callable[[PciFunction], object]) -> _Show:
    def show(_machine: Machine, _root: str, function: PciFunction, _device: Nvme) -> bytes:
        return f"{value(function)}\n".encode()

    return show


show_address = _shows(lambda function: function.bdf)
show_numa_node = _shows(lambda function: function.node)
show_state = _shows(lambda _function: "live")
show_transport = _shows(lambda _function: "pcie")


def show_queue_count(_machine: Machine, _root: str, _function: PciFunction, device: Nvme) -> bytes:
    """All queues, with the admin queue."""
    return b"%d\n" % (1 + len(device.queue_cpus()))


def own_disk_names(
    _machine: Machine, _root: str, _function: PciFunction, device: Nvme
) -> list[str]:
    return [f"{device.name}n1"]


def find_own_disk(
    _machine: Machine, name: str, _root: str, _function: PciFunction, device: Nvme
) -> str | None:
    return name if name == f"{device.name}n1" else None


def link_to_own_controller(
    _machine: Machine, _root: str, _function: PciFunction, device: Nvme, _disk: str
) -> str:
    return f"../../{device.name}"


def queue_names(
    _machine: Machine, _root: str, _function: PciFunction, device: Nvme, _disk: str
) -> list[str]:
    """The hardware queues: those with an interrupt, then those that are polled."""
    return [str(number) for number in range(len(device.queue_cpus()))]


def find_queue(
    machine: Machine, name: str, root: str, function: PciFunction, device: Nvme, disk: str
) -> int | None:
    names = queue_names(machine, root, function, device, disk)
    return names.index(name) if name in names else None


def show_cpu_list(
    _machine: Machine, _root: str, _function: PciFunction, device: Nvme, _disk: str, queue: int
) -> bytes:
    return (", ".join(map(str, cpus_of(device.queue_cpus()[queue]))) + "\n").encode()


def _controllers(machine: Machine) -> Iterator[Nvme]:
    devices = (device for device in machine.devices if isinstance(device, Nvme))
    return (device for device in devices if device.is_bound)


def _place(device: Nvme) -> str:
    return f"{root_of(device.function)}/{device.function.bdf}/nvme/{device.name}"
