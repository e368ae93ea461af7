"""Name and order the vectors of a network card as its Linux driver does."""

from collections.abc import Callable
from itertools import cycle, islice
from typing import Literal, NamedTuple

from pseudokern.kernel.cpumask import CpuMask, cpus_of

OTHER = -1  # a vector that belongs to no queue: link changes, commands
MAX_SKB_FRAGS = 17  # a packet may take a descriptor for each


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
    mbps           the speed of the link
    tx             who cleans a transmit ring: "shared", the NAPI of the receive queue; "napi", one
                   of its own; "handler", the hard handler of a vector of its own
    tx_budget      frames that one poll takes out of a transmit ring at most
    stop_room      with fewer free descriptors the queue stops; wake_room: it wakes with so many
    counts_posted  a frame counts when it is put into the ring, and not when it is cleaned
    has_max_rate   a queue can be given a rate: tx_maxrate
    has_bql        it tells byte queue limits what it completes
    xps            which CPUs send by which queue, as hints; None: the hash of the flow decides
    watchdog_s     how long a queue may be stopped before the watchdog thinks that it hangs
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
    mbps: int = 1000
    tx: Literal["shared", "napi", "handler"] = "shared"
    tx_budget: int = 1 << 16
    stop_room: int = MAX_SKB_FRAGS + 4
    wake_room: int = MAX_SKB_FRAGS + 4
    counts_posted: bool = False
    has_max_rate: bool = False
    has_bql: bool = True
    xps: Callable[[CpuMask, int], list[CpuMask]] | None = None
    watchdog_s: int = 5


def _one_cpu_each(online: CpuMask, queues: int) -> list[CpuMask]:
    return [1 << n % online.bit_count() for n in range(queues)]


def _cpus_in_turn(online: CpuMask, queues: int) -> list[CpuMask]:
    """mlx5e_set_default_xps_cpumasks(): no CPU goes without a queue."""
    masks = [0] * queues
    for place, cpu in enumerate(cpus_of(online)):
        masks[place % queues] |= 1 << cpu
    return masks


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


def _mlx4(_name: str, bdf: str, queues: int) -> list[Vector]:
    completions = [Vector(f"mlx4-{n + 1}@{bdf}", n, receives=True) for n in range(queues)]
    return [Vector(f"mlx4-async@pci:{bdf}", OTHER), *completions]


def _bnxt(name: str, _bdf: str, queues: int) -> list[Vector]:
    return [Vector(f"{name}-TxRx-{n}", n, receives=True) for n in range(queues)]


STYLES = {
    "e1000e": Style("e1000e", (0x8086, 0x10D3, 0x020000), _e1000e, tx="handler", wake_room=32),
    "vmxnet3": Style(
        "vmxnet3",
        (0x15AD, 0x07B0, 0x020000),
        _vmxnet3,
        least_vectors=3,
        ring=1024,
        mbps=10_000,
        stop_room=2,
        wake_room=6,
        has_bql=False,
    ),
    "virtio-net": Style(
        "virtio-pci",
        (0x1AF4, 0x1000, 0x020000),
        _virtio_net,
        hints=_groups_of_cpus,
        follows_cpus=True,
        keeps_queues=True,
        keeps_irqs=True,
        overflow="rx_dropped",
        mbps=10_000,
        tx="napi",
        stop_room=MAX_SKB_FRAGS + 2,
        wake_room=MAX_SKB_FRAGS + 2,
        xps=_groups_of_cpus,
    ),
    "ice": Style(
        "ice",
        (0x8086, 0x1592, 0x020000),
        _ice,
        hints=_one_cpu_each,
        needs_messages=True,
        ring=2048,
        overflow="rx_dropped",
        mbps=100_000,
        tx_budget=256,
        stop_room=MAX_SKB_FRAGS + 6,
        wake_room=2 * (MAX_SKB_FRAGS + 6),
        has_max_rate=True,
        xps=_one_cpu_each,
    ),
    "igb": Style(
        "igb",
        (0x8086, 0x1521, 0x020000),
        _igb,
        tx_budget=128,
        wake_room=2 * (MAX_SKB_FRAGS + 4),
    ),
    "mlx5": Style(
        "mlx5_core",
        (0x15B3, 0x1017, 0x020000),
        _mlx5,
        hints=_one_cpu_each,
        needs_messages=True,
        ring=1024,
        mbps=100_000,
        tx_budget=128,
        stop_room=31,  # two of the largest send requests, less one
        wake_room=31,
        counts_posted=True,
        has_max_rate=True,
        xps=_cpus_in_turn,
        watchdog_s=15,
    ),
    "mlx4": Style(
        "mlx4_core",
        (0x15B3, 0x1003, 0x020000),
        _mlx4,
        hints=_one_cpu_each,
        needs_messages=True,
        keeps_irqs=True,
        ring=1024,
        overflow="rx_dropped",
        mbps=40_000,
        xps=_one_cpu_each,
        watchdog_s=15,
    ),
    "bnxt": Style(
        "bnxt_en",
        (0x14E4, 0x16D7, 0x020000),
        _bnxt,
        hints=_one_cpu_each,
        needs_messages=True,
        ring=511,
        mbps=25_000,
        xps=_cpus_in_turn,
    ),
}
