"""Show and set how an interface sends: queues/tx-N of /sys/class/net/NAME, and its qdiscs.

Follows net/core/net-sysfs.c. An interface with one transmit queue has no choice of queues, so what
is for that is ENOENT. Not modelled: the detector of stalls (stall_thrs and its kind).
"""

import errno

from pseudokern.drivers.net_device import NetDevice
from pseudokern.drivers.nic import Nic
from pseudokern.fs.kstrtox import UINT_RANGE, kstrtouint, kstrtoul
from pseudokern.hw.pci import PciFunction
from pseudokern.kernel.cpumask import cpumask_format, cpumask_parse
from pseudokern.kernel.dql import MAX_LIMIT
from pseudokern.kernel.net_tx import TxQueue
from pseudokern.kernel.printk import Level
from pseudokern.machine.machine import Machine

MS_PER_S = 1000


def tx_queue_names(
    _machine: Machine, _root: str, _function: PciFunction, device: NetDevice
) -> list[str]:
    count = device.channels if isinstance(device, Nic) else 0
    return [f"tx-{number}" for number in range(count)]


def find_tx_queue(
    machine: Machine, name: str, root: str, function: PciFunction, device: NetDevice
) -> int | None:
    names = tx_queue_names(machine, root, function, device)
    return names.index(name) if name in names else None


def show_traffic_class(
    machine: Machine, _root: str, _function: PciFunction, nic: Nic, number: int
) -> bytes:
    _check_has_choice(nic)
    return b"0\n"


def show_tx_timeout(
    _machine: Machine, _root: str, _function: PciFunction, nic: Nic, number: int
) -> bytes:
    """How often the watchdog found the queue stuck."""
    return b"%d\n" % nic.tx.queue(number).timeouts


def show_tx_maxrate(
    _machine: Machine, _root: str, _function: PciFunction, nic: Nic, number: int
) -> bytes:
    return b"%d\n" % nic.tx.ring(number).max_mbps


def store_tx_maxrate(
    machine: Machine, data: bytes, _root: str, _function: PciFunction, nic: Nic, number: int
) -> None:
    """Mbit/s that the queue may send; 0: as many as it can. ice_set_tx_maxrate(), and mlx5e's.

    EINVAL      that is no number, or more than ice's link has
    ERANGE      more than mlx5's link has
    EOPNOTSUPP  the driver cannot do that
    """
    if not nic.style.has_max_rate:
        raise OSError(errno.EOPNOTSUPP, f"{nic.name}: {nic.driver_name} has no tx_maxrate")
    mbps = kstrtouint(data, f"tx-{number}/tx_maxrate")
    if mbps > nic.style.mbps:
        text, code = f"Tx rate {mbps}, is not in range", errno.ERANGE
        if nic.driver_name == "ice":
            text, code = f"Invalid max rate {mbps} specified for the queue {number}", errno.EINVAL
        machine.kernel.log.printk(Level.ERR, f"{nic.netdev_name}: {text}")
        raise OSError(code, f"tx-{number}/tx_maxrate: at most {nic.style.mbps}")
    nic.tx.ring(number).max_mbps = mbps


def show_xps_cpus(
    machine: Machine, _root: str, _function: PciFunction, nic: Nic, number: int
) -> bytes:
    _check_has_choice(nic)
    mask = nic.tx.xps.cpus.get(number, 0)
    return f"{cpumask_format(mask, machine.kernel.nr_cpu_ids)}\n".encode()


def store_xps_cpus(
    machine: Machine, data: bytes, _root: str, _function: PciFunction, nic: Nic, number: int
) -> None:
    """CPUs whose packets go to this queue. EINVAL, EOVERFLOW: no such mask; ENOENT: one queue."""
    _check_has_choice(nic)
    nic.tx.xps.set_cpus([(number, cpumask_parse(data, machine.kernel.nr_cpu_ids))])


def show_xps_rxqs(
    _machine: Machine, _root: str, _function: PciFunction, nic: Nic, number: int
) -> bytes:
    _check_has_choice(nic)
    mask = nic.tx.xps.rxqs.get(number, 0)
    return f"{cpumask_format(mask, nic.ethtool.most_channels)}\n".encode()


def store_xps_rxqs(
    _machine: Machine, data: bytes, _root: str, _function: PciFunction, nic: Nic, number: int
) -> None:
    """Receive queues whose sockets answer by this queue; before xps_cpus. The same errors."""
    _check_has_choice(nic)
    nic.tx.xps.set_rxqs(number, cpumask_parse(data, nic.ethtool.most_channels))


def show_hold_time(
    machine: Machine, _root: str, _function: PciFunction, nic: Nic, number: int
) -> bytes:
    """Milliseconds."""
    return b"%d\n" % (nic.tx.queue(number).dql.hold_jiffies * MS_PER_S // machine.kernel.hz)


def store_hold_time(
    machine: Machine, data: bytes, _root: str, _function: PciFunction, nic: Nic, number: int
) -> None:
    """EINVAL: that is no number."""
    time_ms = kstrtouint(data, f"tx-{number}/hold_time")
    nic.tx.queue(number).dql.hold_jiffies = -(-time_ms * machine.kernel.hz // MS_PER_S)


def show_inflight(
    _machine: Machine, _root: str, _function: PciFunction, nic: Nic, number: int
) -> bytes:
    return b"%d\n" % nic.tx.queue(number).dql.inflight


def show_limit(
    _machine: Machine, _root: str, _function: PciFunction, nic: Nic, number: int
) -> bytes:
    return b"%d\n" % nic.tx.queue(number).dql.limit


def store_limit(
    _machine: Machine, data: bytes, _root: str, _function: PciFunction, nic: Nic, number: int
) -> None:
    """Bytes, or max; it goes on changing by itself. EINVAL: no number, or more than max."""
    nic.tx.queue(number).dql.limit = _limit(data, f"tx-{number}/limit")


def show_limit_max(
    _machine: Machine, _root: str, _function: PciFunction, nic: Nic, number: int
) -> bytes:
    return b"%d\n" % nic.tx.queue(number).dql.limit_max


def store_limit_max(
    _machine: Machine, data: bytes, _root: str, _function: PciFunction, nic: Nic, number: int
) -> None:
    nic.tx.queue(number).dql.limit_max = _limit(data, f"tx-{number}/limit_max")


def show_limit_min(
    _machine: Machine, _root: str, _function: PciFunction, nic: Nic, number: int
) -> bytes:
    return b"%d\n" % nic.tx.queue(number).dql.limit_min


def store_limit_min(
    _machine: Machine, data: bytes, _root: str, _function: PciFunction, nic: Nic, number: int
) -> None:
    nic.tx.queue(number).dql.limit_min = _limit(data, f"tx-{number}/limit_min")


def show_tx_queue_len(_machine: Machine, _root: str, _function: PciFunction, nic: Nic) -> bytes:
    return b"%d\n" % nic.tx.queue_len


def store_tx_queue_len(
    _machine: Machine, data: bytes, _root: str, _function: PciFunction, nic: Nic
) -> None:
    """Packets that a qdisc keeps. EINVAL: that is no number; ERANGE: more than an int holds."""
    length = kstrtoul(data, f"{nic.name}/tx_queue_len")
    if length >= UINT_RANGE:
        raise OSError(errno.ERANGE, f"{nic.name}/tx_queue_len: {length}")
    nic.tx.set_queue_len(length)


def show_qdisc(_machine: Machine, nic: Nic) -> bytes:
    """What `tc -s qdisc show dev NAME` prints."""
    queues = [nic.tx.queue(number) for number in range(nic.channels)]
    leaf = "bands 3 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1"
    if not nic.tx.has_choice:
        return _qdisc(f"pfifo_fast 0: root refcnt 2 {leaf}", queues)
    children = [
        _qdisc(f"pfifo_fast 0: parent :{number:x} {leaf}", [queue])
        for number, queue in enumerate(queues, 1)
    ]
    return b"".join([_qdisc("mq 0: root", queues), *children])


def knows_qdisc(_machine: Machine, device: NetDevice) -> bool:
    return isinstance(device, Nic)


def _qdisc(name: str, queues: list[TxQueue]) -> bytes:
    sums = {
        what: sum(getattr(queue.qdisc, what) for queue in queues)
        for what in ("sent", "sent_bytes", "drops", "requeues", "backlog", "length")
    }
    return (
        f"qdisc {name}\n"
        f" Sent {sums['sent_bytes']} bytes {sums['sent']} pkt"
        f" (dropped {sums['drops']}, overlimits 0 requeues {sums['requeues']})\n"
        f" backlog {sums['backlog']}b {sums['length']}p requeues {sums['requeues']}\n"
    ).encode()


def _check_has_choice(nic: Nic) -> None:
    if not nic.tx.has_choice:
        raise OSError(errno.ENOENT, f"{nic.name} has one transmit queue")


def _limit(data: bytes, name: str) -> int:
    """bql_set()."""
    if data.removesuffix(b"\n") == b"max":
        return MAX_LIMIT
    limit = kstrtouint(data, name)
    if limit > MAX_LIMIT:
        raise OSError(errno.EINVAL, f"{name}: {limit} is more than {MAX_LIMIT}")
    return limit
