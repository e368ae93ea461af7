"""Show disks and their queues: /sys/block/NAME/{stat,inflight,queue}, /proc/diskstats.

Follows block/genhd.c (part_stat_show, diskstats_show), block/blk-sysfs.c and block/blk-mq-sysfs.c.
There is no I/O scheduler but none. I/Os that come from the key `rate` of a drive are not counted:
they have no request.
"""

import errno

from pseudokern.drivers.nvme import QUEUE_DEPTH, Nvme
from pseudokern.fs.sys_nvme import controller_names, disk_names, find_disk
from pseudokern.hw.pci import PciFunction
from pseudokern.kernel.blk_mq import READ, WRITE, Disk, DiskStatistics
from pseudokern.kernel.printk import Level
from pseudokern.machine.machine import Machine

BLOCK_EXT_MAJOR = 259
BLKDEV_MIN_RQ = 4
NS_PER_MS = 1_000_000
UINT_MAX = (1 << 32) - 1


def show_diskstats(machine: Machine) -> bytes:
    lines = []
    for minor, name in enumerate(disk_names(machine)):
        device = find_disk(machine, name)
        if device is not None:
            numbers = " ".join(map(str, _numbers(machine, device)))
            lines.append(f"{BLOCK_EXT_MAJOR:4} {minor:7} {name} {numbers}\n")
    return "".join(lines).encode()


def show_dev(
    machine: Machine, _root: str, _function: PciFunction, device: Nvme, _disk: str
) -> bytes:
    return f"{BLOCK_EXT_MAJOR}:{controller_names(machine).index(device.name)}\n".encode()


def show_stat(
    machine: Machine, _root: str, _function: PciFunction, device: Nvme, _disk: str
) -> bytes:
    numbers = _numbers(machine, device)
    return (" ".join(f"{number:8}" for number in numbers) + "\n").encode()


def show_inflight(
    machine: Machine, _root: str, _function: PciFunction, device: Nvme, _disk: str
) -> bytes:
    reads, writes = _statistics(machine, device).inflight
    return f"{reads:8} {writes:8}\n".encode()


def show_nr_requests(
    _machine: Machine, _root: str, _function: PciFunction, device: Nvme, _disk: str
) -> bytes:
    drive = device.io.drive
    return b"%d\n" % (drive.disk.nr_requests if drive else QUEUE_DEPTH - 1)


def store_nr_requests(
    _machine: Machine, data: bytes, _root: str, _function: PciFunction, device: Nvme, _disk: str
) -> None:
    """Let each queue have fewer requests under way. EINVAL: more than the drive can."""
    disk, number = _disk_of(device), _unsigned(data, "nr_requests")
    if number > disk.most_requests:
        text = f"nr_requests {number}: the drive has {disk.most_requests} for each queue"
        raise OSError(errno.EINVAL, text)
    disk.set_nr_requests(max(number, BLKDEV_MIN_RQ))


def show_rq_affinity(
    _machine: Machine, _root: str, _function: PciFunction, device: Nvme, _disk: str
) -> bytes:
    drive = device.io.drive
    return b"%d\n" % (drive.disk.rq_affinity if drive else 1)


def store_rq_affinity(
    _machine: Machine, data: bytes, _root: str, _function: PciFunction, device: Nvme, _disk: str
) -> None:
    """0, 1 or 2. Linux takes any other number, and changes nothing."""
    number = _unsigned(data, "rq_affinity")
    if number <= 2:
        _disk_of(device).rq_affinity = number


def show_io_poll(
    _machine: Machine, _root: str, _function: PciFunction, device: Nvme, _disk: str
) -> bytes:
    return b"1\n" if device.has_poll_queues else b"0\n"


def store_io_poll(
    machine: Machine, _data: bytes, _root: str, _function: PciFunction, device: Nvme, _disk: str
) -> None:
    """Since Linux 5.16 only the driver decides. EINVAL: it has no poll queues."""
    if not device.has_poll_queues:
        raise OSError(errno.EINVAL, "io_poll: no poll queues; boot with nvme.poll_queues=N")
    for text in (
        "writes to the poll attribute are ignored.",
        "please use driver specific parameters instead.",
    ):
        machine.kernel.log.printk(Level.INFO, text)


def show_io_poll_delay(*_found: object) -> bytes:
    return b"-1\n"


def show_scheduler(*_found: object) -> bytes:
    return b"[none]\n"


def store_scheduler(
    _machine: Machine, data: bytes, _root: str, _function: PciFunction, _device: Nvme, _disk: str
) -> None:
    """EINVAL: there is no other."""
    if data.strip() != b"none":
        raise OSError(errno.EINVAL, f"scheduler {data!r}: there is only none")


def show_rotational(*_found: object) -> bytes:
    return b"0\n"


def show_logical_block_size(*_found: object) -> bytes:
    return b"512\n"


show_physical_block_size = show_hw_sector_size = show_logical_block_size


def show_nr_tags(*_found: object) -> bytes:
    return b"%d\n" % (QUEUE_DEPTH - 1)


def show_nr_reserved_tags(*_found: object) -> bytes:
    return b"0\n"


def _numbers(machine: Machine, device: Nvme) -> list[int]:
    """The fields of stat, in order; neither discards nor flushes come."""
    statistics = _statistics(machine, device)
    if any(statistics.inflight):
        statistics.update_io_ticks(machine.timeline.now_ns, is_end=True)
    times_ms = [time_ns // NS_PER_MS for time_ns in statistics.time_ns]
    sides = [
        number
        for side in (READ, WRITE)
        for number in (statistics.ios[side], 0, statistics.sectors[side], times_ms[side])
    ]
    total_ms = sum(statistics.time_ns) // NS_PER_MS
    return [*sides, sum(statistics.inflight), statistics.io_ticks_ms, total_ms, *[0] * 6]


def _statistics(machine: Machine, device: Nvme) -> DiskStatistics:
    drive = device.io.drive
    return drive.disk.statistics if drive else DiskStatistics(machine.kernel.tick_period_ns)


def _disk_of(device: Nvme) -> Disk:
    return device.io.get().disk


def _unsigned(data: bytes, name: str) -> int:
    """queue_var_store(). EINVAL: no decimal number up to 2^32 - 1."""
    text = data.decode("latin-1").removesuffix("\n")
    digits = text.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 20 or int(digits) > UINT_MAX:
        raise OSError(errno.EINVAL, f"{name} {text!r}: no decimal number")
    return int(digits)
