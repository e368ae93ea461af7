"""Show the configuration space of a PCI function, as lspci reads it, and its resources.

Follows PCI Local Bus 3.0, chapter 6: the header, and the MSI and MSI-X capabilities that the driver
has set up, as they are at this instant. There are no base addresses: registers of devices are
Python's attributes here. Read-only; Linux lets root write.
"""

import struct

from pseudokern.fs.open_file import OpenFile, Opening
from pseudokern.fs.sys_pci import subsystem
from pseudokern.hw.message import Message
from pseudokern.hw.msi import MsiCapability
from pseudokern.hw.msix import MsixTable
from pseudokern.hw.pci import PciFunction
from pseudokern.machine.machine import Machine

SIZE = 256
SIZE_FOR_ANYBODY = 64  # capabilities may hang a device that is read in the wrong moment

# include/uapi/linux/pci_regs.h
COMMAND_MEMORY, COMMAND_MASTER, COMMAND_INTX_DISABLE = 0x2, 0x4, 0x400
STATUS_CAP_LIST = 0x10
HEADER_TYPE_BRIDGE, HEADER_TYPE_MULTIFUNCTION = 0x1, 0x80
CAP_ID_MSI, CAP_ID_MSIX = 0x05, 0x11
MSI_ENABLE, MSI_64_BIT, MSI_MASKABLE = 0x1, 0x80, 0x100
MSIX_MASKALL, MSIX_ENABLE = 0x4000, 0x8000
CLASS_BRIDGE_PCI = 0x0604

FIRST_CAPABILITY = 0x40
NO_RESOURCE = f"{0:#018x} {0:#018x} {0:#018x}\n"
RESOURCES = 13  # base addresses, the ROM, and windows of bridges


class ConfigFile(OpenFile):
    """/sys/bus/pci/devices/BDF/config. Anybody but root gets the header alone."""

    def __init__(
        self, machine: Machine, opening: Opening, _root: str, function: PciFunction
    ) -> None:
        self._functions = machine.pc.pci.functions
        self._function = function
        self._size = SIZE if opening.by_root else SIZE_FOR_ANYBODY

    def read(self, size: int, offset: int) -> bytes:
        shown = config_space(self._function, self._is_one_of_many())[: self._size]
        return shown[offset : offset + size]

    def _is_one_of_many(self) -> bool:
        device = self._function.bdf.rpartition(".")[0]
        return sum(bdf.rpartition(".")[0] == device for bdf in self._functions) > 1


def show_resource(_machine: Machine, _root: str, _function: PciFunction) -> bytes:
    return (NO_RESOURCE * RESOURCES).encode()


def config_space(function: PciFunction, is_one_of_many: bool) -> bytes:
    """Its 256 bytes."""
    space = bytearray(SIZE)
    capabilities = _capabilities(function)
    is_bridge = function.pci_class >> 8 == CLASS_BRIDGE_PCI
    command = COMMAND_MEMORY | COMMAND_MASTER if function.driver else 0
    status = STATUS_CAP_LIST if capabilities else 0
    if any(each.enabled for each in (function.msi, function.msix) if each is not None):
        command |= COMMAND_INTX_DISABLE
    struct.pack_into("<4H", space, 0x00, function.vendor, function.device, command, status)
    space[0x08:0x0C] = bytes((function.revision, *function.pci_class.to_bytes(3, "little")))
    space[0x0E] = HEADER_TYPE_BRIDGE * is_bridge | HEADER_TYPE_MULTIFUNCTION * is_one_of_many
    if not is_bridge:
        struct.pack_into("<2H", space, 0x2C, *subsystem(function))
    space[0x3D] = 1 if function.gsi else 0
    link, place = 0x34, FIRST_CAPABILITY
    for capability in capabilities:
        space[link] = place
        space[place : place + len(capability)] = capability
        link, place = place + 1, place + (len(capability) + 3 & ~3)
    return bytes(space)


def _capabilities(function: PciFunction) -> list[bytes]:
    found = []
    if function.msi is not None:
        found.append(_msi(function.msi, function.msi_maskable))
    if function.msix is not None:
        found.append(_msix(function.msix))
    return found


def _msi(msi: MsiCapability, maskable: bool) -> bytes:
    """As many messages as it is capable of, all enabled; a 64-bit address."""
    log2_count = len(msi.entries).bit_length() - 1
    control = log2_count << 1 | log2_count << 4 | MSI_64_BIT
    control |= MSI_ENABLE * msi.enabled | MSI_MASKABLE * maskable
    first: Message = msi.entries[0]
    data = first.data & ~(len(msi.entries) - 1)
    shown = struct.pack("<BBHQHH", CAP_ID_MSI, 0, control, first.address, data & 0xFFFF, 0)
    if maskable:
        masked = sum(1 << each.index for each in msi.entries if each.masked)
        pending = sum(1 << each.index for each in msi.entries if each.pending)
        shown += struct.pack("<II", masked, pending)
    return shown


def _msix(table: MsixTable) -> bytes:
    """The table and the pending bits stand in the memory of base address 0, one after the other."""
    control = len(table.entries) - 1
    control |= MSIX_ENABLE * table.enabled | MSIX_MASKALL * table.function_masked
    return struct.pack("<BBHII", CAP_ID_MSIX, 0, control, 0, 16 * len(table.entries))
