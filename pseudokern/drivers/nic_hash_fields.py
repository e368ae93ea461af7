"""Say what of a frame a card makes its flow hash of: `ethtool -n NAME rx-flow-hash udp4`, and -N.

Follows ETHTOOL_GRXFH and ETHTOOL_SRXFH of the drivers. igb and e1000e leave the ports of UDP out at
first, since fragments have none: what one host sends to one address goes to one queue.

Letters: s and d are the addresses, f and n the ports; none: such frames have no hash.
"""

import errno
from collections.abc import Mapping

from pseudokern.drivers.rss import IPPROTO_UDP, Flow

ADDRESSES, ALL, NOTHING = "sd", "sdfn", ""
_VERSIONS = "46"
_ADDRESSES_ONLY = {"sctp": ADDRESSES, "ah": ADDRESSES, "esp": ADDRESSES}
_INTEL = {"tcp": ALL, "udp": ADDRESSES, **_ADDRESSES_ONLY}
_NEWER = {"tcp": ALL, "udp": ALL}
_FIELDS: Mapping[str, Mapping[str, str]] = {
    "e1000e": _INTEL,
    "igb": _INTEL,
    "ice": {**_NEWER, "sctp": ALL},
    "mlx5": {**_NEWER, "ah": ADDRESSES, "esp": ADDRESSES},
    "bnxt": {**_NEWER, **_ADDRESSES_ONLY},
    "virtio-net": {**_NEWER, "sctp": NOTHING, "ah": NOTHING, "esp": NOTHING},
}
# What else than what there is at first can be set.
_CHOICES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "igb": {"udp": (ADDRESSES, ALL)},
    "ice": dict.fromkeys(("tcp", "udp", "sctp"), (ADDRESSES, ALL)),
    "mlx5": dict.fromkeys(("tcp", "udp"), (ADDRESSES, ALL)),
    "bnxt": {"udp": (ADDRESSES, ALL)},
    "virtio-net": dict.fromkeys(("tcp", "udp"), (NOTHING, ADDRESSES, ALL)),
}
_NOT_SETTABLE = "e1000e"
_HAVE_NONE_OF = {"virtio-net": ("sctp", "ah", "esp")}  # and cannot be told so


class HashFields:
    """The fields of one card's hash, for each protocol."""

    def __init__(self, style: str) -> None:
        self._style = style
        found = _FIELDS.get(style, {})
        self._fields = {f"{name}{v}": text for name, text in found.items() for v in _VERSIONS}

    def show(self) -> dict[str, str]:
        """EOPNOTSUPP: the driver does not tell."""
        if not self._fields:
            raise OSError(errno.EOPNOTSUPP, f"{self._style}: no fields of a hash to show")
        return {name: fields or "-" for name, fields in self._fields.items()}

    def ask(self, protocol: str, fields: str) -> None:
        """-N.

        EOPNOTSUPP  the driver does not let it be set
        EINVAL      it has no such protocol, or no hash of those fields
        """
        if not self._fields or self._style == _NOT_SETTABLE:
            raise OSError(errno.EOPNOTSUPP, f"{self._style}: the fields are as they are")
        name, first = protocol[:-1], self._fields.get(protocol)
        choices = _CHOICES[self._style].get(name, (first,))
        known = first is not None and name not in _HAVE_NONE_OF.get(self._style, ())
        if not known or fields not in choices:
            raise OSError(errno.EINVAL, f"{protocol} {fields!r}: no such hash")
        self._fields[protocol] = fields

    def hashed(self, flow: Flow) -> bytes:
        """What the card makes the hash of."""
        fields = self._fields.get("udp4" if flow.protocol == IPPROTO_UDP else "tcp4", ALL)
        return {NOTHING: b"", ADDRESSES: flow.hashed[:8], ALL: flow.hashed}[fields]
