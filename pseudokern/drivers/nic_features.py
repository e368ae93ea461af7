"""Say which offloads a network card has, and switch them: `ethtool -k` and `-K`.

Follows net/core/dev.c: netdev_fix_features(), and ndo_fix_features() of the drivers: what needs
something else goes off with it, and comes back with it. Frames are not the wiser: no offload
changes what they cost here.

igb, e1000e, vmxnet3 and virtio_net have what Linux 6.12 showed for emulated cards; ice and mlx5e
what they register for an E810 and a ConnectX-5.
"""

import errno
from collections.abc import Mapping
from typing import NamedTuple

# In the order of their bits.
FEATURES = (
    "tx-scatter-gather", "tx-checksum-ipv4", "tx-checksum-ip-generic", "tx-checksum-ipv6",
    "highdma", "tx-scatter-gather-fraglist", "tx-vlan-hw-insert", "rx-vlan-hw-parse",
    "rx-vlan-filter", "vlan-challenged", "tx-generic-segmentation", "rx-gro", "rx-lro",
    "tx-tcp-segmentation", "tx-gso-robust", "tx-tcp-ecn-segmentation",
    "tx-tcp-mangleid-segmentation", "tx-tcp6-segmentation", "tx-fcoe-segmentation",
    "tx-gre-segmentation", "tx-gre-csum-segmentation", "tx-ipxip4-segmentation",
    "tx-ipxip6-segmentation", "tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation",
    "tx-gso-partial", "tx-tunnel-remcsum-segmentation", "tx-sctp-segmentation",
    "tx-esp-segmentation", "tx-udp-segmentation", "tx-gso-list", "tx-checksum-fcoe-crc",
    "tx-checksum-sctp", "rx-ntuple-filter", "rx-hashing", "rx-checksum", "tx-nocache-copy",
    "loopback", "rx-fcs", "rx-all", "tx-vlan-stag-hw-insert", "rx-vlan-stag-hw-parse",
    "rx-vlan-stag-filter", "l2-fwd-offload", "hw-tc-offload", "esp-hw-offload",
    "esp-tx-csum-hw-offload", "rx-udp_tunnel-port-offload", "tls-hw-tx-offload",
    "tls-hw-rx-offload", "rx-gro-hw", "tls-hw-record", "rx-gro-list", "macsec-hw-offload",
    "rx-udp-gro-forwarding", "hsr-tag-ins-offload", "hsr-tag-rm-offload", "hsr-fwd-offload",
    "hsr-dup-offload",
)  # fmt: skip

TSO = frozenset({
    "tx-tcp-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp-mangleid-segmentation",
    "tx-tcp6-segmentation",
})  # fmt: skip
_TUNNELS = (
    "tx-gre-segmentation tx-gre-csum-segmentation tx-ipxip4-segmentation tx-ipxip6-segmentation "
    "tx-udp_tnl-segmentation tx-udp_tnl-csum-segmentation tx-gso-partial"
)
_ALWAYS_ON = "tx-scatter-gather tx-generic-segmentation rx-gro"
_ALWAYS_OFF = "tx-nocache-copy rx-gro-list rx-udp-gro-forwarding tx-tcp-mangleid-segmentation"
_TCP = "tx-tcp-segmentation tx-tcp6-segmentation"
_USUAL = f"{_TCP} tx-checksum-ip-generic tx-vlan-hw-insert rx-vlan-hw-parse rx-hashing rx-checksum"


class _Style(NamedTuple):
    """What a driver registers: on or off and can be changed, on for ever; the rest is off so.

    vlan_pairs  insertion of VLAN tags follows their removal
    """

    on: str
    off: str = ""
    fixed: str = "highdma rx-vlan-filter"
    vlan_pairs: bool = False


_STYLES = {
    "e1000e": _Style(on=_USUAL, off="rx-fcs rx-all", vlan_pairs=True),
    "igb": _Style(
        on=f"{_USUAL} {_TUNNELS} tx-checksum-sctp tx-udp-segmentation", off="rx-all",
        vlan_pairs=True,
    ),
    "ice": _Style(
        on=f"{_TCP} {_TUNNELS} tx-tcp-ecn-segmentation tx-checksum-ipv4 tx-checksum-ipv6 "
        "tx-checksum-sctp tx-vlan-hw-insert rx-vlan-hw-parse rx-vlan-filter rx-hashing rx-checksum "
        "rx-ntuple-filter highdma tx-udp-segmentation",
        off="loopback rx-fcs hw-tc-offload tx-vlan-stag-hw-insert rx-vlan-stag-hw-parse "
        "rx-vlan-stag-filter",
        fixed="rx-udp_tunnel-port-offload",
    ),
    "mlx5": _Style(
        on=f"{_USUAL} {_TUNNELS} tx-udp-segmentation rx-vlan-filter tx-vlan-stag-hw-insert",
        off="rx-lro rx-ntuple-filter rx-fcs rx-all hw-tc-offload rx-gro-hw",
        fixed="highdma rx-vlan-stag-filter rx-udp_tunnel-port-offload",
    ),
    "mlx4": _Style(
        on=f"{_TCP} tx-checksum-ipv4 tx-checksum-ipv6 tx-vlan-hw-insert rx-vlan-hw-parse "
        "rx-hashing rx-checksum",
        off="loopback rx-fcs rx-all",
    ),
    "bnxt": _Style(
        on=f"{_TCP} {_TUNNELS} tx-checksum-ipv4 tx-checksum-ipv6 tx-vlan-hw-insert "
        "rx-vlan-hw-parse tx-vlan-stag-hw-insert rx-vlan-stag-hw-parse rx-hashing rx-checksum "
        "rx-gro-hw rx-ntuple-filter",
        off="rx-lro",
        fixed="highdma rx-udp_tunnel-port-offload",
    ),
    "vmxnet3": _Style(on=f"{_USUAL} rx-lro highdma", fixed="rx-vlan-filter"),
    "virtio-net": _Style(
        on=f"{_TCP} tx-tcp-ecn-segmentation tx-checksum-ip-generic rx-gro-hw",
        off="rx-hashing tx-udp-segmentation",
        fixed="rx-checksum highdma rx-vlan-filter tx-gso-robust",
    ),
}  # fmt: skip


class Features:
    """The offloads of one card.

    changeable  hw_features; wanted, active: wanted_features and features of struct net_device
    """

    def __init__(self, style: str) -> None:
        self._style = _STYLES[style]
        on = set(f"{_ALWAYS_ON} {self._style.on}".split())
        self.changeable = on | set(f"{_ALWAYS_OFF} {self._style.off}".split())
        self.wanted = on | set(self._style.fixed.split())
        self.active = self._fixed(self.wanted)

    def show(self) -> dict[str, str]:
        """`on`, `off`, and whether that is fixed, or something else has been asked for."""
        return {name: self._state(name) for name in FEATURES}

    def _state(self, name: str) -> str:
        state = "on" if name in self.active else "off"
        if name not in self.changeable:
            return f"{state} [fixed]"
        if (name in self.wanted) != (name in self.active):
            return f"{state} [requested {'on' if name in self.wanted else 'off'}]"
        return state

    def ask(self, asked: Mapping[str, int]) -> None:
        """Ask for some to be on or off; what is fixed stays. EOPNOTSUPP: there is no such."""
        for name in asked:
            if name not in FEATURES:
                raise OSError(errno.EOPNOTSUPP, f"{name}: there is no such feature")
        for name, is_on in asked.items():
            if name in self.changeable:
                (self.wanted.add if is_on else self.wanted.discard)(name)
        self.active = self._fixed(self.wanted)

    def _fixed(self, wanted: set[str]) -> set[str]:
        """wanted, as far as it can be."""
        found = set(wanted)
        if self._style.vlan_pairs:
            found.discard("tx-vlan-hw-insert")
            found |= {"tx-vlan-hw-insert"} if "rx-vlan-hw-parse" in found else set()
        if "rx-checksum" not in found:
            found -= {"rx-lro", "rx-gro-hw"}
        if "tx-checksum-ip-generic" not in found:
            v4, v6 = "tx-checksum-ipv4" in found, "tx-checksum-ipv6" in found
            found -= set() if v4 else {"tx-tcp-segmentation", "tx-tcp-ecn-segmentation"}
            found -= set() if v6 else {"tx-tcp6-segmentation"}
            found -= set() if v4 and v6 else {"tx-udp-segmentation"}
        if "tx-tcp-segmentation" not in found:
            found.discard("tx-tcp-mangleid-segmentation")
        if "tx-scatter-gather" not in found:
            found -= TSO | {"tx-generic-segmentation"}
        if found & TSO == {"tx-tcp-ecn-segmentation"}:
            found.discard("tx-tcp-ecn-segmentation")
        return found
