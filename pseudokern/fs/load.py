"""Show and change what devices have to do, and what became of it: load/ and results/.

A load is a line of key=value words with the keys of [[load]], or "off".
"""

from pseudokern.drivers.device import Device
from pseudokern.drivers.keys import Limits
from pseudokern.drivers.load import parse_load
from pseudokern.kernel.printk import encoded
from pseudokern.machine.machine import Machine


def loaded_names(machine: Machine) -> list[str]:
    """Every device that can be given something to do."""
    return [device.name for device in machine.devices if device.name and device.load_keys()]


def find_loaded(machine: Machine, name: str) -> Device | None:
    return next(
        (device for device in machine.devices if device.name == name and device.load_keys()), None
    )


def show_load(_machine: Machine, device: Device) -> bytes:
    return encoded(device.show_load())


def store_load(machine: Machine, data: bytes, device: Device) -> None:
    """Begin another load instead of the present one.

    EINVAL  not a load of such a device; the log of refused writes says why
    ENODEV  no driver has the device
    """
    text = data.decode("latin-1").strip()
    if text == "off":
        device.set_load(None)
        return
    description = machine.description
    cpus = machine.kernel.nr_cpu_ids
    limits = Limits(cpus=cpus, nodes=description.nodes, gsis=description.gsis)
    device.set_load(parse_load(text, device.load_keys(), limits))


def show_results(_machine: Machine, device: Device) -> bytes:
    return encoded(device.show_results())
