"""Say what each driver of a network card lets ethtool set: sizes, counts, and waiting times.

Follows the ethtool_ops of igb, ice, mlx5e, e1000e, vmxnet3 and virtio_net.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Ops(NamedTuple):
    """What one driver has.

    ring       sizes of a receive ring: the least, the most, and what it is a multiple of
    tx_ring    the transmit ring's size, if nobody says
    power_of_two  a ring's size is made one
    strict_ring   a size out of bounds is EINVAL; else it is brought into them
    coalesce   what may be set, with the driver's default
    most_us    the longest time to wait
    is_gap     see moderation.Waiting
    channels   "combined": they can be set; "fixed": only shown; "": neither
    most_channels  0: one for each CPU
    other      vectors for what is not a queue, as -l counts them
    indirection  entries of the table of -x; 0: there is none
    in_blocks  each queue has one part of that table at first; else they take turns
    """

    version: str = "6.12.0"
    firmware: str = "N/A"
    ring: tuple[int, int, int] = (64, 4096, 8)
    tx_ring: int = 256
    power_of_two: bool = False
    strict_ring: bool = False
    coalesce: Mapping[str, int] = {}
    most_us: int = 10_000
    is_gap: bool = True
    channels: str = "combined"
    most_channels: int = 0
    other: int = 0
    indirection: int = 128
    in_blocks: bool = False


OPS = {
    "e1000e": Ops(
        firmware="1.8-0", coalesce={"rx-usecs": 3}, channels="", indirection=0
    ),
    "igb": Ops(
        firmware="1.63, 0x80000a05",
        coalesce={"rx-usecs": 3, "tx-usecs": 0},
        most_channels=8,
        other=1,
        in_blocks=True,
    ),
    "ice": Ops(
        firmware="4.20 0x800177b4 1.3346.0",
        ring=(64, 8160, 32),
        strict_ring=True,
        coalesce={
            "adaptive-rx": 1, "adaptive-tx": 1, "rx-usecs": 50, "tx-usecs": 50, "rx-usecs-high": 0,
        },
        most_us=8160,
        other=1,
        indirection=2048,
    ),
    "mlx5": Ops(
        firmware="16.35.2000 (MT_0000000008)",
        ring=(64, 8192, 1),
        tx_ring=1024,
        power_of_two=True,
        strict_ring=True,
        coalesce={
            "adaptive-rx": 1, "adaptive-tx": 1,
            "rx-usecs": 8, "rx-frames": 256, "tx-usecs": 8, "tx-frames": 128,
        },
        most_us=4095,
        is_gap=False,
        indirection=256,
    ),
    "vmxnet3": Ops(
        version="1.9.0.0-k", ring=(64, 4096, 32), tx_ring=512, channels="fixed", other=1,
        indirection=32,
    ),
    "virtio-net": Ops(
        version="1.0.0",
        ring=(64, 256, 1),
        strict_ring=True,
        coalesce={
            "adaptive-rx": 0, "rx-usecs": 0, "rx-frames": 1, "tx-usecs": 0, "tx-frames": 1,
        },
        most_us=1_000_000,
        is_gap=False,
        indirection=128,
    ),
}  # fmt: skip
