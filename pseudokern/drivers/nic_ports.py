"""Say what each card is plugged into: `ethtool NAME`.

Follows get_link_ksettings() of the drivers. e1000e, igb, virtio_net and vmxnet3 show what they did
under Linux 6.12 on emulated cards; the others are on a copper cable of 100, 40 or 25 Gb/s.
"""

from collections.abc import Mapping
from typing import NamedTuple

_COPPER = "10baseT/Half,10baseT/Full 100baseT/Half,100baseT/Full 1000baseT/Full"
_PARTNER = "10baseT/Half,10baseT/Full 100baseT/Half,100baseT/Full 1000baseT/Half,1000baseT/Full"


class _Port(NamedTuple):
    """One style's.

    modes      rows of link modes; words that stand in one row are joined by commas
    mbits      the speed; 0: unknown
    partner    the modes of the other end, if the driver tells
    mdix       whether pairs are crossed, up and down
    wake       what can wake the machine, and what may
    keeps      the speed is shown while the interface is down, too
    """

    ports: str
    modes: str
    mbits: int
    kind: str
    pause: str = "No"
    negotiates: bool = False
    partner: str = ""
    address: int = 0
    mdix: tuple[str, str] = ("", "")
    wake: tuple[str, str] = ("", "")
    has_messages: bool = False
    keeps: bool = False


_CABLE = "Direct Attach Copper"
_PORTS = {
    "e1000e": _Port(
        "TP", _COPPER, 1000, "Twisted Pair", "Symmetric Receive-only", negotiates=True,
        partner=_PARTNER, address=1, mdix=("off (auto)", "Unknown (auto)"), wake=("d", "d"),
        has_messages=True, keeps=True,
    ),
    "igb": _Port(
        "TP", _COPPER, 1000, "Twisted Pair", "Symmetric", negotiates=True, address=1,
        mdix=("off (auto)", "off (auto)"), wake=("d", "d"), has_messages=True, keeps=True,
    ),
    "virtio-net": _Port("", "", 0, "Other"),
    "vmxnet3": _Port(
        "TP", "1000baseT/Full 10000baseT/Full", 10_000, "Twisted Pair",
        mdix=("Unknown", "Unknown"), wake=("uag", "d"),
    ),
    "ice": _Port(
        "FIBRE", "25000baseCR/Full 50000baseCR2/Full 100000baseCR4/Full", 100_000, _CABLE,
        "Symmetric", negotiates=True, wake=("d", "d"), has_messages=True,
    ),
    "mlx5": _Port(
        "Backplane", "25000baseCR/Full 50000baseCR2/Full 100000baseCR4/Full", 100_000, _CABLE,
        "Symmetric", negotiates=True, wake=("d", "d"),
    ),
    "mlx4": _Port("FIBRE", "10000baseKR/Full 40000baseCR4/Full", 40_000, _CABLE, "Symmetric"),
    "bnxt": _Port(
        "FIBRE", "10000baseCR/Full 25000baseCR/Full", 25_000, _CABLE, "Symmetric Receive-only",
        negotiates=True, wake=("d", "d"),
    ),
}  # fmt: skip


def port(style: str, *, is_up: bool) -> Mapping[str, str]:
    """By name; what a driver does not tell is not there."""
    found = _PORTS[style]
    shown = {
        "ports": found.ports,
        "modes": found.modes,
        "pause": found.pause,
        "negotiates": "yes" if found.negotiates else "no",
        "partner": found.partner,
        "speed": str(found.mbits) if found.mbits and (is_up or found.keeps) else "",
        "port": found.kind,
        "address": str(found.address),
        "mdix": found.mdix[0 if is_up else 1],
        "supports-wake": found.wake[0],
        "wake": found.wake[1],
        "messages": "yes" if found.has_messages else "",
        "link": "yes" if is_up else "no",
    }
    return {name: text for name, text in shown.items() if text}
