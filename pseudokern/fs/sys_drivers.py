"""Take a PCI device from its driver and give it back: /sys/bus/pci/drivers. Also /sys/class/net.

Follows drivers/base/bus.c: bind_store(), unbind_store(), drivers_probe_store(); pci_match_device(),
driver_set_override(); and net/core/net-sysfs.c for the flags of an interface, a write to which is
what `ip link set` does.
"""

import errno
from collections.abc import Iterator
from contextlib import suppress

from pseudokern.drivers.device import PciDevice
from pseudokern.drivers.net_device import IFF_UP, NetDevice
from pseudokern.fs.kstrtox import kstrtoul
from pseudokern.fs.sys_pci import root_of
from pseudokern.hw.pci import PciFunction
from pseudokern.machine.machine import Machine

VFIO = "vfio-pci"
PAGE_BYTES = 4096


def _pci_devices(machine: Machine) -> Iterator[PciDevice]:
    return (device for device in machine.devices if isinstance(device, PciDevice))


def driver_names(machine: Machine) -> list[str]:
    """The drivers that are there, whether they have a device or not."""
    names = {device.driver_name for device in _pci_devices(machine)} - {""}
    return sorted(names | {VFIO} if names else names)


def find_driver(machine: Machine, name: str) -> str | None:
    return name if name in driver_names(machine) else None


def bound_names(machine: Machine, driver: str) -> list[str]:
    functions = (device.function for device in _pci_devices(machine))
    return sorted(function.bdf for function in functions if function.driver == driver)


def find_bound(machine: Machine, name: str, driver: str) -> PciFunction | None:
    return next(
        (
            device.function
            for device in _pci_devices(machine)
            if device.function.bdf == name and device.function.driver == driver
        ),
        None,
    )


def link_to_bound(_machine: Machine, _driver: str, function: PciFunction) -> str:
    return f"../../../../devices/{root_of(function)}/{function.bdf}"


def has_driver(_machine: Machine, _root: str, function: PciFunction) -> bool:
    return bool(function.driver)


def link_to_driver(_machine: Machine, _root: str, function: PciFunction) -> str:
    return f"../../../bus/pci/drivers/{function.driver}"


def store_unbind(machine: Machine, data: bytes, driver: str) -> None:
    """Have a driver let go.

    ENODEV  no device of that address, or this driver does not have it
    EBUSY   vfio-pci has given it to a program
    """
    device = _find(machine, data)
    if device is None or device.function.driver != driver:
        raise OSError(errno.ENODEV, f"unbind {data!r}: {driver} has {bound_names(machine, driver)}")
    if driver == VFIO:
        device.vfio.remove()
    else:
        device.remove()


def store_bind(machine: Machine, data: bytes, driver: str) -> None:
    """Probe a device with this driver, and take it into use.

    ENODEV  no device of that address, or it is not one for this driver
    EBUSY   a driver has it already
    else what its probe() says
    """
    device = _find(machine, data)
    if device is None or not _matches(device, driver):
        raise OSError(errno.ENODEV, f"bind {data!r}: no device for {driver}")
    if device.function.driver:
        raise OSError(errno.EBUSY, f"bind {data!r}: {device.function.driver} has it")
    _attach(device, driver)


def store_drivers_probe(machine: Machine, data: bytes) -> None:
    """Have a device find its driver, if it has none; what that says stands in the log.

    ENODEV  no device of that address
    """
    device = _find(machine, data)
    if device is None:
        raise OSError(errno.ENODEV, f"drivers_probe {data!r}: no such device")
    driver = device.function.driver_override or device.driver_name
    if not device.function.driver and _matches(device, driver):
        with suppress(OSError):
            _attach(device, driver)


def show_driver_override(_machine: Machine, _root: str, function: PciFunction) -> bytes:
    return f"{function.driver_override or '(null)'}\n".encode()


def store_driver_override(
    _machine: Machine, data: bytes, _root: str, function: PciFunction
) -> None:
    """Have a device take no other driver than this; an empty line takes that back.

    EINVAL  longer than a page
    """
    if len(data) >= PAGE_BYTES - 1:
        raise OSError(errno.EINVAL, "driver_override: too long")
    function.driver_override = data.decode("latin-1").split("\n", 1)[0]


def _matches(device: PciDevice, driver: str) -> bool:
    """pci_match_device(). vfio-pci knows no device by itself."""
    override = device.function.driver_override
    if override and override != driver:
        return False
    return driver == (VFIO if override == VFIO else device.driver_name)


def _attach(device: PciDevice, driver: str) -> None:
    if driver == VFIO:
        device.vfio.probe()
    else:
        device.attach()
        device.open()


def _find(machine: Machine, data: bytes) -> PciDevice | None:
    """sysfs_streq(): the newline at the end is no part of the name."""
    name = data.decode("latin-1").removesuffix("\n")
    return next((d for d in _pci_devices(machine) if d.function.bdf == name), None)


def interface_names(machine: Machine) -> list[str]:
    """Every network interface."""
    return [device.name for device in _interfaces(machine)]


def find_interface(machine: Machine, name: str) -> NetDevice | None:
    return next((device for device in _interfaces(machine) if device.name == name), None)


def link_to_interface(_machine: Machine, device: NetDevice) -> str:
    return f"../../devices/{root_of(device.function)}/{device.function.bdf}/net/{device.name}"


def own_interface_names(machine: Machine, _root: str, function: PciFunction) -> list[str]:
    """The interface of a function, if it is a network card with a driver."""
    return [device.name for device in _interfaces(machine) if device.function is function]


def find_own_interface(
    machine: Machine, name: str, _root: str, function: PciFunction
) -> NetDevice | None:
    device = find_interface(machine, name)
    return device if device is not None and device.function is function else None


def has_interface(machine: Machine, root: str, function: PciFunction) -> bool:
    return bool(own_interface_names(machine, root, function))


def show_flags(_machine: Machine, _root: str, _function: PciFunction, device: NetDevice) -> bytes:
    return b"%#x\n" % device.flags


def store_flags(
    _machine: Machine, data: bytes, _root: str, _function: PciFunction, device: NetDevice
) -> None:
    """Set the interface up or down; the other flags stay. EINVAL: that is no number."""
    if kstrtoul(data, f"{device.name}/flags") & IFF_UP:
        device.open()
    elif device.is_up:
        device.close()
        device.link_down()


def show_operstate(
    _machine: Machine, _root: str, _function: PciFunction, device: NetDevice
) -> bytes:
    return b"up\n" if device.is_up else b"down\n"


def link_to_device(_machine: Machine, _root: str, function: PciFunction, _device: NetDevice) -> str:
    return f"../../../{function.bdf}"


def _interfaces(machine: Machine) -> Iterator[NetDevice]:
    devices = (device for device in machine.devices if isinstance(device, NetDevice))
    return (device for device in devices if device.is_bound)
