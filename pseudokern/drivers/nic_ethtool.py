"""Answer what ethtool asks of a network card, and set what it sets, as the card's driver does.

Follows the ethtool_ops of igb, ice, mlx5e, mlx4_en, bnxt_en, e1000e, vmxnet3 and virtio_net. What a
driver does not have is refused with EOPNOTSUPP, as is nearly everything by e1000e.
"""

import errno
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from pseudokern.drivers.nic_coalescing import NicCoalescing
from pseudokern.drivers.nic_features import Features
from pseudokern.drivers.nic_hash_fields import HashFields
from pseudokern.drivers.nic_link import Pause
from pseudokern.drivers.nic_ops import AS_QUEUES
from pseudokern.drivers.nic_rxfh import parse_rxfh
from pseudokern.drivers.rss import KEY_BYTES, Flow, Rss, spread, toeplitz, weigh

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic


class NicEthtool(NicCoalescing):
    """The settings of one card that can be changed while it is there."""

    def __init__(self, nic: "Nic") -> None:
        super().__init__(nic)
        self.tx_ring = self.ops.tx_ring
        self.jumbo_ring = self.ops.jumbo[0]
        self.features = Features(nic.options["style"])
        self.pause = Pause(nic.options["style"])
        self.hash_fields = HashFields(nic.options["style"])

    def drvinfo(self) -> dict[str, str]:
        """-i."""
        names = {"virtio-net": "virtio_net", "mlx4": "mlx4_en"}
        return {
            "driver": names.get(self._nic.options["style"], self._nic.driver_name),
            "version": self.ops.version or self._nic.kernel.release,
            "firmware-version": self.ops.firmware,
            "bus-info": str(self._nic.function.bdf),
            **{f"supports-{name}": "yes" for name in sorted(self.ops.supports)},
        }

    def ring(self) -> dict[str, int]:
        """-g."""
        most, (_, most_jumbo) = self.ops.ring[1], self.ops.jumbo
        sizes = {"rx-max": most, "tx-max": most, "rx": self._nic.ring_size, "tx": self.tx_ring}
        if most_jumbo:
            sizes |= {"rx-jumbo-max": most_jumbo, "rx-jumbo": self.jumbo_ring}
        return sizes

    def set_ring(self, wanted: Mapping[str, int]) -> None:
        """-G.

        EINVAL  more than the most; for a driver that checks, less than the least, too
        ENOMEM  the driver does not round, and that is no power of two
        """
        found = self.ring()
        for name, size in wanted.items():
            if size > found.get(f"{name}-max", 0):
                raise OSError(errno.EINVAL, f"requested ring size exceeds maximum: {name} {size}")
        sizes = {
            name: self._fitting_ring(name, size)
            for name, size in wanted.items()
            if size or found.get(f"{name}-max", 0)
        }
        had, self.tx_ring = self.tx_ring, sizes.get("tx", self.tx_ring)
        self.jumbo_ring = sizes.get("rx-jumbo", self.jumbo_ring)
        rx = sizes.get("rx", self._nic.ring_size)
        if rx != self._nic.ring_size or self.tx_ring != had:
            self._nic.set_ring_size(rx)

    def _fitting_ring(self, name: str, size: int) -> int:
        least, most, multiple = self.ops.ring
        if size < least and self.ops.strict_ring:
            raise OSError(errno.EINVAL, f"{name} {size}: from {least} to {most}")
        size = max(size, least)
        power = 1 << (size - 1).bit_length()
        if self.ops.rounding == "multiple":
            return min(-(-size // multiple) * multiple, most)
        if self.ops.rounding == "none" and size != power:
            raise OSError(errno.ENOMEM, f"{name} {size} is no power of two")
        return power

    def channels(self) -> dict[str, int]:
        """-l. EOPNOTSUPP: the driver does not say."""
        if not self.ops.channels:
            raise OSError(errno.EOPNOTSUPP, f"{self._nic.name}: it has one queue")
        kinds = ("rx", "tx") if self.ops.channels == "separate" else ("combined",)
        return {
            "other-max": self.ops.other,
            **{f"{kind}-max": self.most_channels for kind in kinds},
            "other": self.ops.other,
            **dict.fromkeys(kinds, self._nic.channels),
            "settable": int(self.ops.channels != "fixed"),
        }

    @property
    def most_channels(self) -> int:
        nic = self._nic
        if self.ops.channels == "fixed" or nic.style.keeps_irqs:
            return int(nic.options["queues"])
        most = self.ops.most_channels or nic.kernel.present.bit_count()
        return max(most, int(nic.options["queues"]))

    def set_channels(self, wanted: Mapping[str, int]) -> None:
        """-L: the vectors are freed and requested anew.

        EOPNOTSUPP  the driver cannot change them
        EINVAL      none, or more than there can be; rings of kinds that the driver has not; fewer
                    than the table of -x names that somebody has set; here, rx and tx that differ
        """
        if self.ops.channels not in ("combined", "separate"):
            raise OSError(errno.EOPNOTSUPP, f"{self._nic.name}: channels are as they are")
        found = self.channels()
        for name, number in wanted.items():
            if number > found.get(f"{name}-max", 0):
                raise OSError(errno.EINVAL, "requested channel count exceeds maximum")
        counts = {**found, **wanted}
        count = counts["combined"] if "combined" in found else counts["rx"]
        if "rx" in found and counts["rx"] != counts["tx"]:
            raise OSError(errno.EINVAL, "rx and tx: queues are in pairs here")
        if wanted.get("other", self.ops.other) != self.ops.other:
            raise OSError(errno.EINVAL, f"other is always {self.ops.other}")
        if count < 1:
            raise OSError(errno.EINVAL, "requested channel counts would result in no RX channel")
        if "rss" in self.__dict__ and not self.rss.is_default and max(self.rss.table) >= count:
            raise OSError(errno.EINVAL, f"the indirection table names ring {max(self.rss.table)}")
        if count != self._nic.channels:
            self._nic.set_channels(count)

    def reset(self) -> None:
        super().reset()
        self.tx_ring = self.ops.tx_ring
        self.jumbo_ring = self.ops.jumbo[0]
        self.features = Features(self._nic.options["style"])
        self.pause = Pause(self._nic.options["style"])
        self.hash_fields = HashFields(self._nic.options["style"])
        self.__dict__.pop("rss", None)

    @cached_property
    def rss(self) -> Rss:
        """The hash of -x. EOPNOTSUPP: the card has one queue."""
        if not self.ops.indirection:
            raise OSError(errno.EOPNOTSUPP, f"{self._nic.name}: no flow hash")
        chance = self._nic.kernel.chance(f"{self._nic.name}/rss")
        rss = Rss(self._entries, chance, self.ops.key_bytes or KEY_BYTES)
        self._spread(rss)
        return rss

    @property
    def _entries(self) -> int:
        """Of the indirection table."""
        if self.ops.indirection == AS_QUEUES:
            return 1 << self._nic.channels.bit_length() - 1
        return self.ops.indirection

    def _spread(self, rss: Rss) -> None:
        """The table as the driver makes it."""
        queues = self._nic.channels
        if self.ops.in_blocks:
            rss.table = weigh(self._entries, [1] * queues)
        else:
            rss.table = spread(self._entries, queues)
        rss.is_default = True

    def flow_hash(self, flow: Flow) -> int:
        """What the card, or else the kernel, makes of a flow."""
        if not self.ops.indirection:
            return toeplitz(bytes(range(1, KEY_BYTES + 1)), flow.hashed)
        return toeplitz(self.rss.key, self.hash_fields.hashed(flow))

    def set_hash_fields(self, protocol: str, fields: str) -> None:
        """-N rx-flow-hash. OSError as HashFields.ask()."""
        self.hash_fields.ask(protocol, fields)
        self._nic.steer()

    def set_rxfh(self, words: list[str]) -> None:
        """-X.

        EINVAL      not understood, or a queue that there is not, or a key of another length
        EOPNOTSUPP  no hash, or none whose key or function can be chosen
        """
        rss, queues, ops = self.rss, self._nic.channels, self.ops
        wanted = parse_rxfh(words, self._entries, queues)
        table, key = wanted.table, wanted.key
        if wanted.function not in (None, "toeplitz") or (key and not ops.key_bytes):
            raise OSError(errno.EOPNOTSUPP, f"{self._nic.name}: {' '.join(words)}: it cannot")
        if key is not None and len(key) != ops.key_bytes:
            raise OSError(errno.EINVAL, f"hkey: {len(key)} bytes, but it has {ops.key_bytes}")
        if table is not None and max(table) >= queues:
            raise OSError(errno.EINVAL, f"ring {max(table)}: there are rings 0-{queues - 1}")
        if table is not None:
            rss.table, rss.is_default = table, wanted.is_default
        rss.key = key or rss.key
        self._nic.steer()

    def channels_changed(self) -> None:
        """A table that nobody has set follows the number of queues; with some drivers, any."""
        if "rss" in self.__dict__ and (self.rss.is_default or self.ops.forgets_table):
            self._spread(self.rss)
