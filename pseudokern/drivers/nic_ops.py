"""Say what each driver of a network card lets ethtool set: sizes, counts, and waiting times.

Follows the ethtool_ops of igb, ice, mlx5e, mlx4_en, bnxt_en, e1000e, vmxnet3 and virtio_net.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

AS_QUEUES = -1  # entries of an indirection table: a power of two, not more than there are queues


class Ops(NamedTuple):
    """What one driver has.

    ring       sizes of a receive ring: the least, the most, and what it is a multiple of
    tx_ring    the transmit ring's size, if nobody says
    jumbo      of a second receive ring: how large it is, and the most
    rounding   of other sizes: up to a multiple, to the next power of two, or not at all (ENOMEM)
    strict_ring   a size below the least is EINVAL; else it becomes the least
    coalesce   what may be set, with the driver's default
    most_us    the longest time to wait
    is_gap     see moderation.Waiting
    per_queue  each queue can have its own
    channels   "combined": they can be set; "separate": the same, as rx and tx; "fixed": only
               shown; "": neither
    most_channels  0: one for each CPU
    other      vectors for what is not a queue, as -l counts them
    indirection  entries of the table of -x; 0: there is none
    in_blocks  each queue has one part of that table at first; else they take turns
    forgets_table  it has those parts again when the number of queues changes, whatever was set
    key_bytes  of the key of the flow hash that can be seen and set; 0: it cannot
    supports   what -i says that it can do, apart from statistics
    version    that of the driver; that of the kernel if it has none
    """

    version: str = ""
    firmware: str = "N/A"
    ring: tuple[int, int, int] = (64, 4096, 8)
    tx_ring: int = 256
    jumbo: tuple[int, int] = (0, 0)
    rounding: Literal["multiple", "power", "none"] = "multiple"
    strict_ring: bool = False
    coalesce: Mapping[str, int] = {}
    most_us: int = 10_000
    is_gap: bool = True
    per_queue: bool = False
    channels: str = "combined"
    most_channels: int = 0
    other: int = 0
    indirection: int = 128
    in_blocks: bool = False
    forgets_table: bool = False
    key_bytes: int = 0
    supports: frozenset[str] = frozenset()


_INTEL = frozenset({"test", "eeprom-access", "register-dump", "priv-flags"})

OPS = {
    "e1000e": Ops(
        firmware="1.8-0", coalesce={"rx-usecs": 3}, channels="", indirection=0, supports=_INTEL,
    ),
    "igb": Ops(
        firmware="1.63, 0x80000a05",
        coalesce={"rx-usecs": 3, "tx-usecs": 0},
        most_channels=8,
        other=1,
        in_blocks=True,
        forgets_table=True,
        supports=_INTEL,
    ),
    "ice": Ops(
        firmware="4.20 0x800177b4 1.3346.0",
        ring=(64, 8160, 32),
        strict_ring=True,
        coalesce={
            "adaptive-rx": 1, "adaptive-tx": 1, "rx-usecs": 50, "tx-usecs": 50, "rx-usecs-high": 0,
        },
        most_us=8160,
        per_queue=True,
        other=1,
        indirection=2048,
        key_bytes=52,
        supports=_INTEL,
    ),
    "mlx5": Ops(
        firmware="16.35.2000 (MT_0000000008)",
        ring=(64, 8192, 1),
        tx_ring=1024,
        rounding="power",
        strict_ring=True,
        coalesce={
            "adaptive-rx": 1, "adaptive-tx": 1,
            "rx-usecs": 8, "rx-frames": 256, "tx-usecs": 8, "tx-frames": 128,
        },
        most_us=4095,
        is_gap=False,
        per_queue=True,
        indirection=256,
        key_bytes=40,
        supports=frozenset({"test", "priv-flags"}),
    ),
    "mlx4": Ops(
        version="4.0-0",
        firmware="2.42.5000",
        ring=(256, 8192, 1),
        tx_ring=1024,
        rounding="power",
        coalesce={
            "adaptive-rx": 1, "sample-interval": 0, "pkt-rate-low": 400_000,
            "pkt-rate-high": 450_000, "rx-usecs": 16, "rx-frames": 44, "tx-usecs": 16,
            "tx-frames": 16, "tx-frames-irq": 256, "rx-usecs-low": 0, "rx-usecs-high": 128,
        },
        is_gap=False,
        channels="separate",
        indirection=AS_QUEUES,
        key_bytes=40,
        supports=frozenset({"test", "priv-flags"}),
    ),
    "bnxt": Ops(
        firmware="218.0.166.0/pkg 218.0.166000",
        ring=(1, 2047, 1),
        tx_ring=511,
        strict_ring=True,
        coalesce={
            "adaptive-rx": 0, "stats-block-usecs": 1_000_000,
            "rx-usecs": 10, "rx-frames": 15, "rx-usecs-irq": 1, "rx-frames-irq": 1,
            "tx-usecs": 28, "tx-frames": 30, "tx-usecs-irq": 2, "tx-frames-irq": 2,
            "cqe-mode-rx": 0, "cqe-mode-tx": 0,
        },
        is_gap=False,
        key_bytes=40,
        supports=frozenset({"test", "eeprom-access", "register-dump"}),
    ),
    "vmxnet3": Ops(
        version="1.9.0.0-k-NAPI",
        firmware="",
        ring=(1, 4096, 32),
        tx_ring=512,
        jumbo=(512, 4096),
        strict_ring=True,
        channels="fixed",
        other=1,
        indirection=128,
        supports=frozenset({"register-dump"}),
    ),
    "virtio-net": Ops(
        version="1.0.0",
        firmware="",
        ring=(1, 256, 1),
        rounding="none",
        strict_ring=True,
        coalesce={
            "adaptive-rx": 0, "rx-usecs": 0, "rx-frames": 1, "tx-usecs": 0, "tx-frames": 1,
        },
        most_us=1_000_000,
        is_gap=False,
        per_queue=True,
        indirection=128,
        key_bytes=40,
    ),
}  # fmt: skip
