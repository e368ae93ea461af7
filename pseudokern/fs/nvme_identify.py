"""Serve what nvme id-ctrl and list ask of a controller: nvme/NAME/identify, and the same in bytes.

The fields that are not 0, each with its value on a line, and the size of its one namespace.
"""

from pseudokern.drivers.nvme import Nvme
from pseudokern.hw.nvme_identify import SECTOR_BYTES, SECTORS, identify, structure
from pseudokern.machine.machine import Machine


def _fields(device: Nvme) -> dict[str, int | str]:
    function = device.function
    subsystem = function.subsystem[0]
    serial = "PK" + str(function.bdf).replace(":", "").replace(".", "").upper()
    vendor = function.vendor if subsystem is None else subsystem
    return identify(function.vendor, vendor, serial)


def show_identify(_machine: Machine, device: Nvme) -> bytes:
    shown = {**_fields(device), "nsze": SECTORS, "sector": SECTOR_BYTES}
    return "".join(f"{name} {value}\n" for name, value in shown.items()).encode()


def show_identify_controller(_machine: Machine, device: Nvme) -> bytes:
    """Identify Controller, as it comes from the drive."""
    return structure(_fields(device))
