"""Say which offloads a network card has, and which are on: `ethtool -k`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic


def features(nic: "Nic") -> dict[str, str]:
    """netdev_features, as far as any of it exists."""
    hashing = "on" if nic.ethtool.ops.indirection else "off [fixed]"
    return {
        "rx-checksumming:": "on",
        "tx-checksumming:": "on",
        "scatter-gather:": "on",
        "tcp-segmentation-offload:": "on",
        "generic-segmentation-offload:": "on",
        "generic-receive-offload:": "on",
        "large-receive-offload:": "off [fixed]",
        "rx-vlan-offload:": "on",
        "tx-vlan-offload:": "on",
        "ntuple-filters:": "off [fixed]",
        "receive-hashing:": hashing,
    }
