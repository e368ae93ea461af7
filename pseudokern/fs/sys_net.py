"""Show network interfaces: /sys/class/net/NAME, /proc/net/dev and /proc/net/softnet_stat.

Follows net/core/net-sysfs.c and net/core/net-procfs.c. There is no lo.
"""

import errno

from pseudokern.drivers.net_device import NetDevice
from pseudokern.drivers.nic import Nic
from pseudokern.fs.kstrtox import kstrtoul
from pseudokern.fs.profile import PROFILES
from pseudokern.fs.sys_drivers import find_interface, interface_names
from pseudokern.hw.pci import PciFunction
from pseudokern.kernel.cpumask import cpumask_format, cpumask_parse, cpus_of
from pseudokern.kernel.napi_tuned import TunedNetRx
from pseudokern.kernel.percpu import UINT_RANGE
from pseudokern.machine.machine import Machine

ARPHRD_ETHER = 1
INT_MAX = 2**31 - 1
MIN_MTU, MAX_MTU = 68, 9216

STATISTICS = (
    "collisions", "multicast", "rx_bytes", "rx_compressed", "rx_crc_errors", "rx_dropped",
    "rx_errors", "rx_fifo_errors", "rx_frame_errors", "rx_length_errors", "rx_missed_errors",
    "rx_nohandler", "rx_over_errors", "rx_packets", "tx_aborted_errors", "tx_bytes",
    "tx_carrier_errors", "tx_compressed", "tx_dropped", "tx_errors", "tx_fifo_errors",
    "tx_heartbeat_errors", "tx_packets", "tx_window_errors",
)  # fmt: skip

_HEADER = (
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast"
    "|bytes    packets errs drop fifo colls carrier compressed\n"
)


def statistics(machine: Machine, device: NetDevice) -> dict[str, int]:
    """rtnl_link_stats64 of an interface, by name; what is not there is 0."""
    machine.pc.fold_counts()
    received, transmitted = device.received(), device.transmitted()
    return {
        "rx_packets": received.packets,
        "rx_bytes": received.bytes,
        received.overflow: received.dropped,
        "tx_packets": transmitted.packets,
        "tx_bytes": transmitted.bytes,
    }


def statistic_names(*_found: object) -> tuple[str, ...]:
    return STATISTICS


def find_statistic(_machine: Machine, name: str, *_found: object) -> str | None:
    return name if name in STATISTICS else None


def show_statistic(
    machine: Machine, _root: str, _function: PciFunction, device: NetDevice, name: str
) -> bytes:
    return b"%d\n" % statistics(machine, device).get(name, 0)


def show_dev(machine: Machine) -> bytes:
    """/proc/net/dev."""
    lines = [_HEADER]
    for name in interface_names(machine):
        device = find_interface(machine, name)
        assert device is not None
        found = statistics(machine, device)
        drop = found.get("rx_dropped", 0) + found.get("rx_missed_errors", 0)
        lines.append(
            f"{name:>6}: {found['rx_bytes']:7} {found['rx_packets']:7} {0:4} {drop:4} {0:4} {0:5}"
            f" {0:10} {0:9} {found['tx_bytes']:8} {found['tx_packets']:7} {0:4} {0:4} {0:4} {0:5}"
            f" {0:7} {0:10}\n"
        )
    return "".join(lines).encode()


def show_softnet_stat(machine: Machine) -> bytes:
    """One line for each CPU that is online, all numbers hexadecimal."""
    machine.pc.fold_counts()
    net_rx = machine.kernel.net_rx
    backlogs = net_rx.steering.backlogs if isinstance(net_rx, TunedNetRx) else {}
    count = PROFILES[machine.description.kernel].softnet_fields
    lines = []
    for cpu in cpus_of(machine.kernel.online):
        this = machine.kernel.cpus[cpu]
        fields = [0] * 15
        fields[0], fields[2], fields[12] = this.rx_packets, this.time_squeeze, cpu
        if (backlog := backlogs.get(cpu)) is not None:
            fields[1], fields[9] = backlog.dropped, backlog.ipis
            fields[11] = fields[13] = backlog.waiting
        lines.append(" ".join(f"{field % UINT_RANGE:08x}" for field in fields[:count]) + "\n")
    return "".join(lines).encode()


def show_address(machine: Machine, _root: str, _function: PciFunction, device: NetDevice) -> bytes:
    """A locally administered address, which follows from the interface's number."""
    return b"52:54:00:00:00:%02x\n" % (_ifindex(machine, device) - 1)


def show_broadcast(*_found: object) -> bytes:
    return b"ff:ff:ff:ff:ff:ff\n"


def show_carrier(_machine: Machine, _root: str, _function: PciFunction, device: NetDevice) -> bytes:
    """EINVAL: the interface is down."""
    if not device.is_up:
        raise OSError(errno.EINVAL, f"{device.name} is down")
    return b"1\n"


def show_speed(_machine: Machine, _root: str, _function: PciFunction, device: NetDevice) -> bytes:
    """Mbit/s; -1 if the driver does not know. EINVAL: it is down, or the driver does not say."""
    show_carrier(_machine, _root, _function, device)
    return b"%d\n" % (device.speed_mbps if device.speed_mbps else -1)


def show_duplex(_machine: Machine, _root: str, _function: PciFunction, device: NetDevice) -> bytes:
    """EINVAL: the same."""
    show_carrier(_machine, _root, _function, device)
    return b"full\n" if device.speed_mbps else b"unknown\n"


def show_ifindex(machine: Machine, _root: str, _function: PciFunction, device: NetDevice) -> bytes:
    return b"%d\n" % _ifindex(machine, device)


def show_mtu(_machine: Machine, _root: str, _function: PciFunction, device: NetDevice) -> bytes:
    return b"%d\n" % device.mtu


def store_mtu(
    _machine: Machine, data: bytes, _root: str, _function: PciFunction, device: NetDevice
) -> None:
    """EINVAL: that is no number, or one that the interface cannot have, or not with XDP."""
    mtu = kstrtoul(data, f"{device.name}/mtu")
    if not MIN_MTU <= mtu <= MAX_MTU:
        raise OSError(errno.EINVAL, f"{device.name}/mtu: {mtu} is not from {MIN_MTU} to {MAX_MTU}")
    device.change_mtu(mtu)


def show_type(*_found: object) -> bytes:
    return b"%d\n" % ARPHRD_ETHER


def has_queues(_machine: Machine, _root: str, _function: PciFunction, device: NetDevice) -> bool:
    return isinstance(device, Nic)


def show_gro_flush_timeout(
    _machine: Machine, _root: str, _function: PciFunction, nic: Nic
) -> bytes:
    return b"%d\n" % nic.napi.gro_flush_timeout_ns


def store_gro_flush_timeout(
    _machine: Machine, data: bytes, _root: str, _function: PciFunction, nic: Nic
) -> None:
    """Nanoseconds. EINVAL: that is no number."""
    nic.napi.gro_flush_timeout_ns = kstrtoul(data, f"{nic.name}/gro_flush_timeout")
    nic.napi.apply()


def show_napi_defer_hard_irqs(
    _machine: Machine, _root: str, _function: PciFunction, nic: Nic
) -> bytes:
    return b"%d\n" % nic.napi.defer_hard_irqs


def store_napi_defer_hard_irqs(
    _machine: Machine, data: bytes, _root: str, _function: PciFunction, nic: Nic
) -> None:
    """EINVAL: that is no number. ERANGE: it is more than an int holds."""
    polls = kstrtoul(data, f"{nic.name}/napi_defer_hard_irqs")
    if polls > INT_MAX:
        raise OSError(errno.ERANGE, f"{nic.name}/napi_defer_hard_irqs: more than {INT_MAX}")
    nic.napi.defer_hard_irqs = polls
    nic.napi.apply()


def show_threaded(_machine: Machine, _root: str, _function: PciFunction, nic: Nic) -> bytes:
    return b"%d\n" % nic.napi.threaded


def store_threaded(
    _machine: Machine, data: bytes, _root: str, _function: PciFunction, nic: Nic
) -> None:
    """1: have threads napi/NAME-ID poll its queues. EINVAL: no number; EOPNOTSUPP: another one."""
    threaded = kstrtoul(data, f"{nic.name}/threaded")
    if threaded not in (0, 1):
        raise OSError(errno.EOPNOTSUPP, f"{nic.name}/threaded: {threaded} is neither 0 nor 1")
    nic.napi.threaded = bool(threaded)
    nic.napi.apply()


def rx_queue_names(
    _machine: Machine, _root: str, _function: PciFunction, device: NetDevice
) -> list[str]:
    count = device.channels if isinstance(device, Nic) else 0
    return [f"rx-{number}" for number in range(count)]


def find_rx_queue(
    machine: Machine, name: str, root: str, function: PciFunction, device: NetDevice
) -> int | None:
    names = rx_queue_names(machine, root, function, device)
    return names.index(name) if name in names else None


def show_rps_cpus(
    machine: Machine, _root: str, _function: PciFunction, nic: Nic, queue: int
) -> bytes:
    mask = nic.napi.rps_cpus.get(queue, 0)
    return f"{cpumask_format(mask, machine.kernel.nr_cpu_ids)}\n".encode()


def store_rps_cpus(
    machine: Machine, data: bytes, _root: str, _function: PciFunction, nic: Nic, queue: int
) -> None:
    """Hand what this queue receives on to these CPUs. EINVAL, EOVERFLOW: no such mask."""
    nic.napi.rps_cpus[queue] = cpumask_parse(data, machine.kernel.nr_cpu_ids)
    nic.napi.apply()


def _ifindex(machine: Machine, device: NetDevice) -> int:
    """lo would be 1."""
    return interface_names(machine).index(device.name) + 2
