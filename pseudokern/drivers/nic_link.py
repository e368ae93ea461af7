"""Keep a network card's link: flow control by pause frames, `ethtool -a` and `-A`.

Follows get_pauseparam() and set_pauseparam() of the drivers. Nobody sends pause frames here, and
none come: a ring that is full drops.
"""

import errno
from collections.abc import Mapping
from typing import NamedTuple


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
