"""Serve the settings that ethtool shows and changes: sys/kernel/debug/pseudokern/net/NAME.

Linux has no files for them, but netlink and ioctl, which no file system hears of. What is read is
a name and a value in each line; what is written are names and values, on one line or more, and
all of them are taken or none. pseudokern ethtool is a thin reader and writer of these.
"""

import errno
from collections.abc import Mapping

from pseudokern.drivers.net_device import NetDevice
from pseudokern.drivers.nic import Nic
from pseudokern.drivers.nic_ports import port
from pseudokern.drivers.nic_stats import stats
from pseudokern.machine.machine import Machine

ON_OFF = {"on": 1, "off": 0}
MOST_DIGITS = 9
RX_USECS = "rx-usecs 50"


def _nic(device: NetDevice) -> Nic:
    """EOPNOTSUPP: its driver knows nothing of this."""
    if not isinstance(device, Nic):
        raise OSError(errno.EOPNOTSUPP, f"{device.name}: {device.driver_name} has no such setting")
    return device


def show_driver(_machine: Machine, device: NetDevice) -> bytes:
    return _lines(_nic(device).ethtool.drvinfo())


def show_ring(_machine: Machine, device: NetDevice) -> bytes:
    return _lines(_nic(device).ethtool.ring())


def store_ring(_machine: Machine, data: bytes, device: NetDevice) -> None:
    _nic(device).ethtool.set_ring(_numbers(data, "rx 512", ("rx", "rx-mini", "rx-jumbo", "tx")))


def show_channels(_machine: Machine, device: NetDevice) -> bytes:
    return _lines(_nic(device).ethtool.channels())


def store_channels(_machine: Machine, data: bytes, device: NetDevice) -> None:
    names = ("rx", "tx", "other", "combined")
    _nic(device).ethtool.set_channels(_numbers(data, "combined 2", names))


def show_coalesce(_machine: Machine, device: NetDevice) -> bytes:
    return _lines(_nic(device).ethtool.coalescing())


def store_coalesce(_machine: Machine, data: bytes, device: NetDevice) -> None:
    _nic(device).ethtool.set_coalescing(_numbers(data, RX_USECS))


def show_coalesce_queues(_machine: Machine, device: NetDevice) -> bytes:
    """A line for each queue. EOPNOTSUPP: the driver has one coalescing for all."""
    nic = _nic(device)
    lines = []
    for queue in range(nic.channels):
        found = nic.ethtool.coalescing_of(queue)
        lines.append(f"{queue} " + " ".join(f"{name} {found[name]}" for name in found) + "\n")
    return "".join(lines).encode()


def store_coalesce_queues(_machine: Machine, data: bytes, device: NetDevice) -> None:
    """`2 rx-usecs 50`: of queue 2."""
    queue, _, rest = data.strip().partition(b" ")
    if not queue.isdigit() or len(queue) > MOST_DIGITS:
        raise OSError(errno.EINVAL, f"{data!r}: write a queue, names and numbers: 2 rx-usecs 50")
    _nic(device).ethtool.set_coalescing_of(int(queue), _numbers(rest, RX_USECS))


def show_stats(machine: Machine, device: NetDevice) -> bytes:
    machine.pc.fold_counts()
    counts = stats(_nic(device))
    return "".join(f"{name}: {value}\n" for name, value in counts).encode()


def show_rxfh(_machine: Machine, device: NetDevice) -> bytes:
    """rings, table, whether somebody has set it, and the key. EOPNOTSUPP: the card has no hash."""
    nic = _nic(device)
    rss = nic.ethtool.rss
    found: dict[str, object] = {"rings": nic.channels, "table": ",".join(map(str, rss.table))}
    found["default"] = "yes" if rss.is_default else "no"
    if nic.ethtool.ops.key_bytes:
        found["key"] = rss.key.hex(":")
    return _lines(found)


def store_rxfh(_machine: Machine, data: bytes, device: NetDevice) -> None:
    """`equal 4`, `equal 4 start 2`, `weight 1 3`, `default`, `hkey 6d:5a:...`."""
    _nic(device).ethtool.set_rxfh(data.decode("latin-1").split())


def show_features(_machine: Machine, device: NetDevice) -> bytes:
    return _lines(_nic(device).ethtool.features.show())


def store_features(_machine: Machine, data: bytes, device: NetDevice) -> None:
    """`rx-gro off tx-scatter-gather on`: by the kernel's names."""
    _nic(device).ethtool.features.ask(_numbers(data, "rx-gro off"))


def show_hash_fields(_machine: Machine, device: NetDevice) -> bytes:
    return _lines(_nic(device).ethtool.hash_fields.show())


def store_hash_fields(_machine: Machine, data: bytes, device: NetDevice) -> None:
    """`udp4 sdfn`: addresses and ports; `udp4 -`: nothing."""
    words = data.decode("latin-1").split()
    if len(words) != 2:
        raise OSError(errno.EINVAL, f"{data!r}: write a protocol and fields, like udp4 sdfn")
    _nic(device).ethtool.set_hash_fields(words[0], words[1].removeprefix("-"))


def show_link(_machine: Machine, device: NetDevice) -> bytes:
    nic = _nic(device)
    return _lines(port(nic.options["style"], is_up=nic.is_up))


def show_pause(_machine: Machine, device: NetDevice) -> bytes:
    return _lines(_nic(device).ethtool.pause.show())


def store_pause(_machine: Machine, data: bytes, device: NetDevice) -> None:
    _nic(device).ethtool.pause.ask(_numbers(data, "rx off", ("autoneg", "rx", "tx")))


_SHOWS = {
    "channels": show_channels,
    "coalesce": show_coalesce,
    "coalesce_queues": show_coalesce_queues,
    "driver": show_driver,
    "features": show_features,
    "hash_fields": show_hash_fields,
    "link": show_link,
    "pause": show_pause,
    "ring": show_ring,
    "rxfh": show_rxfh,
    "stats": show_stats,
}


def knows(name: str, machine: Machine, device: NetDevice) -> bool:
    """Whether the driver has this to show; there is no file of what it has not."""
    try:
        _SHOWS[name](machine, device)
    except OSError:
        return False
    return True


def _lines(values: Mapping[str, object]) -> bytes:
    return "".join(f"{name} {value}\n" for name, value in values.items()).encode()


def _numbers(data: bytes, like: str, known: tuple[str, ...] = ()) -> dict[str, int]:
    """EINVAL: these are no names with numbers, or not those that there are. like: how they are."""
    words = data.decode("latin-1").split()
    refused = OSError(errno.EINVAL, f"{' '.join(words)!r}: write names and values, like {like}")
    if not words or len(words) % 2:
        raise refused
    found = {}
    for name, word in zip(words[::2], words[1::2], strict=True):
        number = ON_OFF.get(word)
        if number is None:
            if not (word.isascii() and word.isdigit()) or int(word) >= 1 << 32:
                raise refused
            number = int(word)
        if known and name not in known:
            raise refused
        found[name] = number
    return found
