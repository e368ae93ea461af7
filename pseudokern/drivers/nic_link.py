"""Keep a network card's link: what the log says of it, and pause frames, `ethtool -a` and `-A`.

Follows get_pauseparam() and set_pauseparam() of the drivers. Nobody sends pause frames here, and
none come: a ring that is full drops. To negotiate takes no time; copper takes seconds.
"""

import errno
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from pseudokern.kernel.printk import Level

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic

VMXNET3_INTX, VMXNET3_MSIX = 1, 3


class _Style(NamedTuple):
    """The state at first.

    negotiates   settings are offered to the other end, which agrees to both directions
    shows_result  what came of that can be seen
    """

    autoneg: bool
    rx: bool
    tx: bool
    negotiates: bool = False
    shows_result: bool = False


_STYLES = {
    "e1000e": _Style(autoneg=True, rx=True, tx=True, negotiates=True, shows_result=True),
    "igb": _Style(autoneg=True, rx=True, tx=True, negotiates=True),
    "ice": _Style(autoneg=True, rx=False, tx=False, shows_result=True),
    "mlx5": _Style(autoneg=False, rx=True, tx=True),
    "mlx4": _Style(autoneg=False, rx=True, tx=True),
    "bnxt": _Style(autoneg=True, rx=True, tx=True, negotiates=True),
}


class Pause:
    """Flow control of one card."""

    def __init__(self, style: str) -> None:
        self._style = _STYLES.get(style)
        self._state = {}
        if self._style is not None:
            self._state = {
                "autoneg": self._style.autoneg, "rx": self._style.rx, "tx": self._style.tx,
            }  # fmt: skip

    def show(self) -> dict[str, str]:
        """EOPNOTSUPP: the driver does not tell."""
        style = self._checked()
        shown = dict(self._state)
        if style.shows_result and shown["autoneg"]:
            shown |= {"rx-negotiated": shown["rx"], "tx-negotiated": shown["tx"]}
        return {name: "on" if is_on else "off" for name, is_on in shown.items()}

    @property
    def words(self) -> str:
        """Rx/Tx, Rx, Tx or None."""
        rx, tx = self._state["rx"], self._state["tx"]
        return "/".join(word for word, is_on in (("Rx", rx), ("Tx", tx)) if is_on) or "None"

    def ask(self, wanted: Mapping[str, int]) -> None:
        """-A.

        EOPNOTSUPP  the driver has no flow control, or leaves negotiation alone
        EINVAL      the driver cannot negotiate it
        """
        style = self._checked()
        state = {**self._state, **{name: bool(is_on) for name, is_on in wanted.items()}}
        if not style.negotiates and state["autoneg"] != self._state["autoneg"]:
            number = errno.EOPNOTSUPP if style.autoneg else errno.EINVAL
            raise OSError(number, "autoneg cannot be changed")
        if style.negotiates and state["autoneg"]:
            state |= {"rx": True, "tx": True}
        self._state = state

    def _checked(self) -> _Style:
        if self._style is None:
            raise OSError(errno.EOPNOTSUPP, "no flow control")
        return self._style


def say_up(nic: "Nic", vectors: int) -> None:
    """The interface has been set up. 0 vectors: it has the INTx line."""
    if nic.options["style"] == "mlx4":  # en_info() does without the PCI address
        nic.kernel.log.printk(Level.INFO, f"mlx4_en: {nic.name}: Link Up")
    for text in _up(nic.options["style"], nic.name, nic.ethtool.pause, vectors):
        _say(nic, text)


def say_up_again(nic: "Nic") -> None:
    """The card was reset, and its link is back."""
    if texts := _up(nic.options["style"], nic.name, nic.ethtool.pause, 0):
        _say(nic, texts[-1])


def say_down(nic: "Nic") -> None:
    """Somebody has set it down."""
    if text := _DOWN.get(nic.options["style"]):
        _say(nic, text)


def _say(nic: "Nic", text: str) -> None:
    nic.kernel.log.printk(Level.INFO, f"{nic.label} {nic.name}: {text}")


def _up(style: str, name: str, pause: Pause, vectors: int) -> list[str]:
    match style:
        case "e1000e":
            return [f"NIC Link is Up 1000 Mbps Full Duplex, Flow Control: {pause.words}"]
        case "igb":
            said = f"Full Duplex, Flow Control: {pause.words.upper().replace('NONE', 'None')}"
            return [f"igb: {name} NIC Link is Up 1000 Mbps {said}"]
        case "ice":
            fec = "Requested FEC: RS-FEC, Negotiated FEC: RS-FEC"
            autoneg = "Autoneg Advertised: On, Autoneg Negotiated: True"
            said = f"NIC Link is up 100 Gbps Full Duplex, {fec}, {autoneg}"
            return [f"{said}, Flow Control: {pause.words}"]
        case "mlx5":
            return ["Link up"]
        case "bnxt":
            flow = _BNXT_FLOW[pause.words]
            said = f"NIC Link is Up, 25000 Mbps (NRZ) full duplex, Flow control: {flow}"
            return [said, "FEC autoneg off encoding: None"]
        case "vmxnet3":
            kind = VMXNET3_MSIX if vectors else VMXNET3_INTX
            allocated = f"intr type {kind}, mode 0, {max(vectors, 1)} vectors allocated"
            return [allocated, "NIC Link is Up 10000 Mbps"]
    return []


_BNXT_FLOW = {
    "None": "none", "Rx": "ON - receive", "Tx": "ON - transmit",
    "Rx/Tx": "ON - receive & transmit",
}  # fmt: skip
_DOWN = {"e1000e": "NIC Link is Down", "mlx5": "Link down"}
