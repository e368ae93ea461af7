"""Name and order the vectors of a network card as its Linux driver does."""

from collections.abc import Callable
from itertools import cycle, islice
from typing import NamedTuple

from pseudokern.kernel.cpumask import CpuMask, cpus_of

OTHER = -1  # a vector that belongs to no queue: link changes, commands


class Vector(NamedTuple):
    """One vector of a card: its action's name, its queue or OTHER, and whether frames use it."""

    name: str
    queue: int
    receives: bool = False

    @property
    def belongs_to_queue(self) -> bool:
        return self.queue != OTHER


class Style(NamedTuple):
    """How a driver lays out its vectors.

    hints          the CPUs that it asks for, queue by queue, given those online and the queues
    follows_cpus   it uses a queue for each CPU at most, and asks again when one has gone or come
    least_vectors  it allocates so many, and leaves what is over unused
    needs_messages it has no use for the INTx line
    keeps_queues   it serves all its queues on that line, too, and not one only
    ring           buffers of a receive ring, if nobody says
    overflow       where it counts frames that found no buffer, of /sys/class/net/*/statistics
    keeps_irqs     it has its interrupts from probe() on, and keeps them while the interface is down
    """

    driver: str
    identity: tuple[int, int, int]
    vectors: Callable[[str, str, int], list[Vector]]
    hints: Callable[[CpuMask, int], list[CpuMask]] | None = None
    follows_cpus: bool = False
    least_vectors: int = 1
    needs_messages: bool = False
    keeps_queues: bool = False
    keeps_irqs: bool = False
    ring: int = 256
    overflow: str = "rx_missed_errors"


def _one_cpu_each(online: CpuMask, queues: int) -> list[CpuMask]:
    return [1 << n % online.bit_count() for n in range(queues)]


def _groups_of_cpus(online: CpuMask, queues: int) -> list[CpuMask]:
    """virtnet_set_affinity() of drivers/net/virtio_net.c; more queues than CPUs go round."""
    count = online.bit_count()
    each, left = max(count // queues, 1), count % queues if count >= queues else 0
    cpus = cycle(cpus_of(online))
    return [
        sum(1 << cpu for cpu in islice(cpus, each + (number < left))) for number in range(queues)
    ]


def _e1000e(name: str, _bdf: str, queues: int) -> list[Vector]:
    receive = [Vector(f"{name}-rx-{n}", n, receives=True) for n in range(queues)]
    return [*receive, *(Vector(f"{name}-tx-{n}", n) for n in range(queues)), Vector(name, OTHER)]


def _vmxnet3(name: str, _bdf: str, queues: int) -> list[Vector]:
    rxtx = [Vector(f"{name}-rxtx-{n}", n, receives=True) for n in range(queues)]
    return [*rxtx, Vector(f"{name}-event-{queues}", OTHER)]


def _virtio_net(name: str, _bdf: str, queues: int) -> list[Vector]:
    vectors = [Vector(f"{name}-config", OTHER)]
    for n in range(queues):
        vectors.append(Vector(f"{name}-input.{n}", n, receives=True))
        vectors.append(Vector(f"{name}-output.{n}", n))
    return vectors


def _ice(name: str, bdf: str, queues: int) -> list[Vector]:
    rxtx = [Vector(f"ice-{name}-TxRx-{n}", n, receives=True) for n in range(queues)]
    return [Vector(f"ice-{bdf}:misc", OTHER), *rxtx]


def _igb(name: str, _bdf: str, queues: int) -> list[Vector]:
    rxtx = [Vector(f"{name}-TxRx-{n}", n, receives=True) for n in range(queues)]
    return [Vector(name, OTHER), *rxtx]


def _mlx5(_name: str, bdf: str, queues: int) -> list[Vector]:
    completions = [Vector(f"mlx5_comp{n}@pci:{bdf}", n, receives=True) for n in range(queues)]
    return [Vector(f"mlx5_async0@pci:{bdf}", OTHER), *completions]


STYLES = {
    "e1000e": Style("e1000e", (0x8086, 0x10D3, 0x020000), _e1000e),
    "vmxnet3": Style("vmxnet3", (0x15AD, 0x07B0, 0x020000), _vmxnet3, least_vectors=3, ring=1024),
    "virtio-net": Style(
        "virtio-pci",
        (0x1AF4, 0x1000, 0x020000),
        _virtio_net,
        hints=_groups_of_cpus,
        follows_cpus=True,
        keeps_queues=True,
        keeps_irqs=True,
        overflow="rx_dropped",
    ),
    "ice": Style(
        "ice",
        (0x8086, 0x1592, 0x020000),
        _ice,
        hints=_one_cpu_each,
        needs_messages=True,
        ring=2048,
        overflow="rx_dropped",
    ),
    "igb": Style("igb", (0x8086, 0x1521, 0x020000), _igb),
    "mlx5": Style(
        "mlx5_core",
        (0x15B3, 0x1017, 0x020000),
        _mlx5,
        hints=_one_cpu_each,
        needs_messages=True,
        ring=1024,
    ),
}
