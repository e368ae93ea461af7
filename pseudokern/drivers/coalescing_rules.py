"""Check what ethtool -C wants of a driver, and make of it what the driver makes.

Follows the set_coalesce() of igb, ice, mlx5e, mlx4_en, bnxt_en and virtio_net. All of them get the
settings that there are, with those changed that were wanted.
"""

import errno
from collections.abc import Callable, Mapping
from typing import Literal

from pseudokern.drivers.dim import DEFAULT_LINE, RX_EQE, RX_ICE, Dim
from pseudokern.drivers.moderation import NS_PER_US, Waiting
from pseudokern.drivers.nic_ops import Ops
from pseudokern.kernel.napi import NAPI_WEIGHT

LEAST_ITR_US = 10
# Settings of rx-usecs that Intel's older drivers read as words; the last one is e1000e's.
DYNAMIC, CONSERVATIVE, SIMPLIFIED = 1, 3, 4
SIMPLIFIED_US = 125  # 8,000 interrupts a second, if nearly all goes one way

# ice: 8160 us are 13 bits of 2 us; the limit of a vector's rate is in steps of 4 us.
ICE_ITR_MAX = 8160
ICE_MAX_INTRL = 236
ICE_INTRL_GRAN = 4

MLX4_MOST = 0xFFFF
MLX4_RX_USECS, MLX4_RX_FRAMES = 16, 44  # what 65535, MLX4_EN_AUTO_CONF, stands for

UINT16_RANGE = 1 << 16
BNXT_TICK_NS = 80
BNXT_MOST_DURING_INT = 63  # buffers: num_cmpl_dma_aggr_during_int has 6 bits
BNXT_STATS_US = 250_000, 1_000_000
BNXT_BUFFERS = {"rx": 2, "tx": 1}  # for a frame: each has so many records in the completion ring

Settings = Mapping[str, int]


class DriverSaid(OSError):
    """An error for which the driver has a line in the kernel log."""


def accepted(style: str, ops: Ops, had: Settings, wanted: Settings) -> dict[str, int]:
    """The settings from now on.

    EINVAL, ERANGE, EOPNOTSUPP  the driver cannot have that
    """
    return _RULES[style](ops, had, {**had, **wanted})


def remarks(style: str, had: Settings, new: Settings) -> list[str]:
    """What the driver has to say of settings that it has taken: ice_print_if_odd_usecs()."""
    said = []
    for side in ("rx", "tx") if style == "ice" else ():
        us = new[f"{side}-usecs"]
        if us % 2 and us != had[f"{side}-usecs"] and not new[f"adaptive-{side}"]:
            said.append(
                f"User set {side}-usecs to {us}, device only supports even values. "
                f"Rounding down and attempting to set {side}-usecs to {us - 1}"
            )
    return said


def waiting(style: str, ops: Ops, settings: Settings) -> Waiting:
    """How long the card has a receive queue wait with these settings, if nothing adapts it."""
    us = settings.get("rx-usecs", 0)
    frames = settings.get("rx-frames", 0 if ops.is_gap else 1)
    if style == "ice":
        us -= us % 2  # the granularity of ITR
    if style == "e1000e" and us == SIMPLIFIED:
        us = SIMPLIFIED_US
    if style == "bnxt":
        us = _bnxt_ticks(us) * BNXT_TICK_NS // NS_PER_US
        return Waiting(us, min(max(frames, 1), NAPI_WEIGHT), half_gap=True)
    return Waiting(us, frames, ops.is_gap, settings.get("rx-usecs-high", 0))


def adaptive(style: str, ops: Ops, wait: Waiting) -> tuple[Waiting, Dim]:
    """What adaptive moderation begins with, and what it chooses from."""
    if style == "bnxt":  # it begins as it was
        return wait, Dim([(us, min(frames, NAPI_WEIGHT)) for us, frames in RX_EQE])
    dim = Dim(RX_ICE, DEFAULT_LINE) if ops.is_gap else Dim(RX_EQE)
    us, frames = dim.profile[DEFAULT_LINE]
    return wait._replace(us=us, frames=frames), dim


def batch(style: str, settings: Settings, side: Literal["rx", "tx"]) -> tuple[int, int]:
    """ns and frames that completions wait for while their interrupt is served; 1 frame: not."""
    if style != "bnxt":
        return 0, 1
    frames = min(settings[f"{side}-frames-irq"], BNXT_MOST_DURING_INT // BNXT_BUFFERS[side])
    ticks = max(_bnxt_ticks(settings[f"{side}-usecs-irq"]), 1)
    return ticks * BNXT_TICK_NS, max(frames, 1)


def tx_budget(style: str, settings: Settings, usual: int) -> int:
    """Frames that one poll takes out of a transmit ring at most: tx_work_limit of mlx4."""
    return settings["tx-frames-irq"] if style == "mlx4" else usual


def _bnxt_ticks(us: int) -> int:
    """bnxt_usec_to_coal_tmr(): in 16 bits."""
    return us * NS_PER_US // BNXT_TICK_NS % UINT16_RANGE


def _e1000e(ops: Ops, had: Settings, new: dict[str, int]) -> dict[str, int]:
    return new if new["rx-usecs"] == SIMPLIFIED else _igb(ops, had, new)


def _igb(ops: Ops, had: Settings, new: dict[str, int]) -> dict[str, int]:
    words = (0, DYNAMIC, CONSERVATIVE, *range(LEAST_ITR_US, ops.most_us + 1))
    if new["rx-usecs"] not in words:
        raise OSError(errno.EINVAL, f"rx-usecs {new['rx-usecs']}: 0, 1, 3, or 10 to 10000")
    if new.get("tx-usecs"):
        raise OSError(errno.EINVAL, "tx-usecs: queues are in pairs, so rx-usecs is for both")
    return new


def _ice(_ops: Ops, had: Settings, new: dict[str, int]) -> dict[str, int]:
    high = new["rx-usecs-high"]
    if high and not ICE_INTRL_GRAN <= high <= ICE_MAX_INTRL:
        said = f"valid values are 0 (disabled), {ICE_INTRL_GRAN}-{ICE_MAX_INTRL}"
        raise DriverSaid(errno.EINVAL, f"Invalid value, rx-usecs-high {said}")
    if high != had["rx-usecs-high"] and (new["adaptive-rx"] or new["adaptive-tx"]):
        said = "cannot be changed if adaptive-tx or adaptive-rx is enabled"
        raise DriverSaid(errno.EINVAL, f"Invalid value, rx-usecs-high {said}")
    for side in ("rx", "tx"):
        us = new[f"{side}-usecs"]
        if us != had[f"{side}-usecs"] and new[f"adaptive-{side}"]:
            said = f"interrupt throttling cannot be changed if adaptive-{side} is enabled"
            raise DriverSaid(errno.EINVAL, f"{side} {said}")
        if us > ICE_ITR_MAX:
            said = f"Invalid value, {side}-usecs range is 0-{ICE_ITR_MAX}"
            raise DriverSaid(errno.EINVAL, said)
    return new


def _mlx5(ops: Ops, had: Settings, new: dict[str, int]) -> dict[str, int]:
    for side in ("rx", "tx"):
        if new[f"{side}-usecs"] > ops.most_us:
            raise OSError(errno.ERANGE, f"{side}-usecs: at most {ops.most_us}")
    return _virtio(ops, had, new)


def _virtio(ops: Ops, _had: Settings, new: dict[str, int]) -> dict[str, int]:
    for side in ("rx", "tx"):
        us = new[f"{side}-usecs"]
        if us > ops.most_us:
            raise OSError(errno.EINVAL, f"{side}-usecs {us}: at most {ops.most_us}")
        if not us and not new[f"{side}-frames"]:
            raise OSError(errno.EINVAL, f"{side}-usecs 0 {side}-frames 0: no interrupt at all")
    return new


def _mlx4(_ops: Ops, _had: Settings, new: dict[str, int]) -> dict[str, int]:
    if not new["tx-frames-irq"]:
        raise OSError(errno.EINVAL, "tx-frames-irq 0: a poll has to clean something")
    if max(new[name] for name in ("tx-usecs", "rx-usecs", "rx-usecs-low", "rx-usecs-high")) > (
        MLX4_MOST
    ):
        said = f"maximum coalesce time supported is {MLX4_MOST} usecs"
        raise DriverSaid(errno.ERANGE, f"mlx4_en_set_coalesce: {said}")
    if max(new["tx-frames"], new["rx-frames"]) > MLX4_MOST:
        said = f"maximum coalesced frames supported is {MLX4_MOST}"
        raise DriverSaid(errno.ERANGE, f"mlx4_en_set_coalesce: {said}")
    if new["rx-usecs"] == MLX4_MOST:
        new["rx-usecs"] = MLX4_RX_USECS
    if new["rx-frames"] == MLX4_MOST:
        new["rx-frames"] = MLX4_RX_FRAMES
    return new


def _bnxt(_ops: Ops, had: Settings, new: dict[str, int]) -> dict[str, int]:
    """No number is refused, but they are kept in 16 bits, and it looks at nothing else when
    adaptive moderation is switched off. Timers that every frame begins anew this card has not."""
    if had["adaptive-rx"] and not new["adaptive-rx"]:
        return {**had, "adaptive-rx": 0}
    if new["cqe-mode-rx"] or new["cqe-mode-tx"]:
        raise OSError(errno.EOPNOTSUPP, "cqe-mode: the card cannot do that")
    for side, buffers in BNXT_BUFFERS.items():
        for suffix in ("", "-irq"):
            new[f"{side}-usecs{suffix}"] %= UINT16_RANGE
            kept = new[f"{side}-frames{suffix}"] * buffers % UINT16_RANGE
            new[f"{side}-frames{suffix}"] = kept // buffers
    least_us, most_us = BNXT_STATS_US
    if (us := new["stats-block-usecs"]) and us != had["stats-block-usecs"]:
        new["stats-block-usecs"] = min(max(us, least_us), most_us) // least_us * least_us
    return new


_RULES: Mapping[str, Callable[[Ops, Settings, dict[str, int]], dict[str, int]]] = {
    "e1000e": _e1000e,
    "igb": _igb,
    "ice": _ice,
    "mlx5": _mlx5,
    "mlx4": _mlx4,
    "bnxt": _bnxt,
    "virtio-net": _virtio,
}
