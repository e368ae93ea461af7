"""Read and write the I/O ports of the 8259 pair: /sys/kernel/debug/pseudokern/ports.

echo 0x21 0xff > ports      masks the first chip, behind the kernel's back
echo 0x20 0x0b > ports      has 0x20 show what is in service; 0x0a: what is requested
"""

import errno

from pseudokern.hw.i8259 import PORTS
from pseudokern.machine.machine import Machine

BYTES = range(256)


def has_ports(machine: Machine) -> bool:
    return machine.pc.has_pic


def show_ports(machine: Machine) -> bytes:
    """One line for each port, in the form of a write."""
    return b"".join(b"%#05x 0x%02x\n" % (port, machine.pc.pic.read(port)) for port in PORTS)


def store_ports(machine: Machine, data: bytes) -> None:
    """Write a byte to a port. EINVAL: not in this form, or nothing answers there."""
    text = data.decode("latin-1")
    try:
        port, value = (int(word, 0) for word in text.split())
    except ValueError:
        raise OSError(errno.EINVAL, f"ports {text!r}: write PORT VALUE, like 0x21 0xff") from None
    if port not in PORTS:
        known = ", ".join(f"{port:#x}" for port in PORTS)
        raise OSError(errno.EINVAL, f"ports {text!r}: the ports are {known}")
    if value not in BYTES:
        raise OSError(errno.EINVAL, f"ports {text!r}: a port takes a byte, 0x00 to 0xff")
    machine.pc.pic.write(port, value)
