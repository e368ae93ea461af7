"""Answer what ethtool asks of a network card, and set what it sets, as the card's driver does.

Follows the ethtool_ops of igb, ice, mlx5e, e1000e, vmxnet3 and virtio_net. What a driver does not
have is refused with EOPNOTSUPP, as is nearly everything by e1000e. Settings of the direction in
which nothing is ever sent are kept and shown.
"""

import errno
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from pseudokern.drivers.dim import DEFAULT_LINE, RX_EQE, RX_ICE, Dim
from pseudokern.drivers.itr import RATES_HZ, AdaptiveItr
from pseudokern.drivers.moderation import Moderation, Waiting
from pseudokern.drivers.nic_features import Features
from pseudokern.drivers.nic_link import Pause
from pseudokern.drivers.nic_ops import OPS
from pseudokern.drivers.nic_rxfh import parse_rxfh
from pseudokern.drivers.rss import KEY_BYTES, Flow, Rss, spread, toeplitz, weigh

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic

LEAST_ITR_US = 10
DYNAMIC, CONSERVATIVE = 1, 3  # settings of rx-usecs that Intel's older drivers read as words


class NicEthtool:
    """The settings of one card that can be changed while it is there."""

    def __init__(self, nic: "Nic") -> None:
        self.ops = OPS[nic.options["style"]]
        self.coalesce = dict(self.ops.coalesce)
        self.queue_coalesce: dict[int, dict[str, int]] = {}  # of queues that have their own
        self.tx_ring = self.ops.tx_ring
        self.jumbo_ring = self.ops.jumbo[0]
        self._nic = nic
        self.features = Features(nic.options["style"])
        self.pause = Pause(nic.options["style"])
        self._moderations: dict[tuple[int, bool], Moderation] = {}
        self._in_use: dict[int, Moderation] = {}

    def drvinfo(self) -> dict[str, str]:
        """-i."""
        driver = "virtio_net" if self._nic.options["style"] == "virtio-net" else None
        return {
            "driver": driver or self._nic.driver_name,
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
        self.tx_ring = sizes.get("tx", self.tx_ring)
        self.jumbo_ring = sizes.get("rx-jumbo", self.jumbo_ring)
        rx = sizes.get("rx", self._nic.ring_size)
        if rx != self._nic.ring_size:
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
        return {
            "other-max": self.ops.other,
            "combined-max": self.most_channels,
            "other": self.ops.other,
            "combined": self._nic.channels,
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
        EINVAL      none, or more than there can be; rings of other kinds than combined; fewer than
                    the table of -x names that somebody has set
        """
        if self.ops.channels != "combined":
            raise OSError(errno.EOPNOTSUPP, f"{self._nic.name}: channels are as they are")
        count = wanted.get("combined", self._nic.channels)
        if count > self.most_channels or wanted.get("rx") or wanted.get("tx"):
            raise OSError(errno.EINVAL, "requested channel count exceeds maximum")
        if wanted.get("other", self.ops.other) != self.ops.other:
            raise OSError(errno.EINVAL, f"other is always {self.ops.other}")
        if count < 1:
            raise OSError(errno.EINVAL, "requested channel counts would result in no RX channel")
        if "rss" in self.__dict__ and not self.rss.is_default and max(self.rss.table) >= count:
            raise OSError(errno.EINVAL, f"the indirection table names ring {max(self.rss.table)}")
        if count != self._nic.channels:
            self._nic.set_channels(count)

    def coalescing(self) -> dict[str, int]:
        """-c, of what the driver has. EOPNOTSUPP: that is nothing."""
        if not self.coalesce:
            raise OSError(errno.EOPNOTSUPP, f"{self._nic.name}: no coalescing to set")
        return dict(self.coalesce)

    def set_coalescing(self, wanted: Mapping[str, int]) -> None:
        """-C.

        EOPNOTSUPP  the driver has no coalescing
        EINVAL      it does not have that, or not with such a value
        """
        if not self.coalesce:
            raise OSError(errno.EOPNOTSUPP, f"{self._nic.name}: no coalescing to set")
        for name, value in wanted.items():
            if name not in self.coalesce:
                raise OSError(errno.EINVAL, f"cannot modify an unsupported parameter: {name}")
            self._check(name, value)
        self._check_sum({**self.coalesce, **wanted})
        self.coalesce.update(wanted)
        for of_queue in self.queue_coalesce.values():
            of_queue.update(wanted)
        self.moderate()

    def coalescing_of(self, queue: int) -> dict[str, int]:
        """-Q: that of one queue. EOPNOTSUPP: the driver has one for all only."""
        if not self.ops.per_queue:
            raise OSError(errno.EOPNOTSUPP, f"{self._nic.name}: coalescing is one for all queues")
        return dict(self.queue_coalesce.get(queue, self.coalesce))

    def set_coalescing_of(self, queue: int, wanted: Mapping[str, int]) -> None:
        """-Q with --coalesce. As set_coalescing(), and EINVAL: there is no such queue."""
        found = self.coalescing_of(queue)
        if queue >= self._nic.channels:
            raise OSError(errno.EINVAL, f"{self._nic.name}: there is no queue {queue}")
        for name, value in wanted.items():
            if name in found:  # the kernel does not look at the others here
                self._check(name, value)
                found[name] = value
        self._check_sum(found)
        self.queue_coalesce[queue] = found
        if queue < len(self._nic.queues):
            self.moderate_queue(queue)

    def _check(self, name: str, value: int) -> None:
        nic = self._nic
        if name.endswith("usecs") and value > self.ops.most_us:
            code = errno.ERANGE if nic.options["style"] == "mlx5" else errno.EINVAL
            raise OSError(code, f"{name} {value}: at most {self.ops.most_us}")
        words = (0, DYNAMIC, CONSERVATIVE, *range(LEAST_ITR_US, self.ops.most_us + 1))
        if self.reads_words and name == "rx-usecs" and value not in words:
            raise OSError(errno.EINVAL, f"rx-usecs {value}: 0, 1, 3, or 10 to 10000")
        if self.reads_words and name == "tx-usecs" and value:
            raise OSError(errno.EINVAL, "tx-usecs: queues are in pairs, so rx-usecs is for both")

    def _check_sum(self, values: Mapping[str, int]) -> None:
        for side in ("rx", "tx"):
            if values.get(f"{side}-frames", 1) == 0 and values[f"{side}-usecs"] == 0:
                raise OSError(errno.EINVAL, f"{side}-usecs 0 {side}-frames 0: no interrupt at all")

    @property
    def reads_words(self) -> bool:
        """Whether rx-usecs is for both directions, and 1 and 3 in it mean: adaptive."""
        return self._nic.options["style"] in ("igb", "e1000e")

    def moderate(self) -> None:
        """Have the queues wait as is set now, each one by itself."""
        for number in range(len(self._nic.queues)):
            self.moderate_queue(number)

    def moderate_queue(self, number: int) -> None:
        """Put what waits between a queue and its message, or take it away."""
        queue, (source, desc) = self._nic.queues[number], self._nic.sources[number]
        waiting, adaptive = self._waiting(self.queue_coalesce.get(number, self.coalesce))
        is_fed = queue.feed is not None
        moderation = self._moderations.get((number, is_fed))
        if (former := self._moderations.get((number, not is_fed))) is not None:
            former.stop()
        if waiting.is_none and adaptive is None and not is_fed:
            if moderation is not None:
                moderation.stop()
                moderation.wait(waiting)
            self._in_use.pop(number, None)
            source.connect(queue)
            self._moderate_tx(number)
            return
        if moderation is None:
            kind: type[Moderation] = Moderation
            if is_fed:
                from pseudokern.drivers.fed_moderation import FedModeration as kind
            moderation = self._moderations[number, is_fed] = kind(self._nic.kernel.timeline, queue)
        moderation.stop()
        moderation.queue = queue
        moderation.wait(waiting)
        moderation.adaptive, moderation.desc = adaptive, desc
        moderation.connect(source)
        self._in_use[number] = moderation
        self._moderate_tx(number)

    def moderation_of(self, number: int) -> Moderation | None:
        """What stands between a receive queue and its message now."""
        return self._in_use.get(number)

    def _moderate_tx(self, number: int) -> None:
        if "tx" in self._nic.__dict__:
            self._nic.tx.moderate(number)

    def reset(self) -> None:
        """The driver is bound anew, and has its defaults."""
        self.coalesce = dict(self.ops.coalesce)
        self.queue_coalesce = {}
        self.tx_ring = self.ops.tx_ring
        self.jumbo_ring = self.ops.jumbo[0]
        self.features = Features(self._nic.options["style"])
        self.pause = Pause(self._nic.options["style"])
        self.__dict__.pop("rss", None)

    def stop(self) -> None:
        """The interface goes down."""
        for moderation in self._moderations.values():
            moderation.stop()

    def _waiting(self, of: Mapping[str, int]) -> tuple[Waiting, Dim | AdaptiveItr | None]:
        us = of.get("rx-usecs", 0)
        frames = of.get("rx-frames", 0 if self.ops.is_gap else 1)
        waiting = Waiting(us, frames, self.ops.is_gap, of.get("rx-usecs-high", 0))
        if of.get("adaptive-rx"):
            dim = Dim(RX_ICE, DEFAULT_LINE) if self.ops.is_gap else Dim(RX_EQE)
            us, frames = dim.profile[DEFAULT_LINE]
            return waiting._replace(us=us, frames=frames), dim
        if self.reads_words and us in (DYNAMIC, CONSERVATIVE):
            itr = AdaptiveItr(conservative=us == CONSERVATIVE)
            return waiting._replace(us=1_000_000 // RATES_HZ["low"]), itr
        return waiting, None

    @cached_property
    def rss(self) -> Rss:
        """The hash of -x. EOPNOTSUPP: the card has one queue."""
        if not self.ops.indirection:
            raise OSError(errno.EOPNOTSUPP, f"{self._nic.name}: no flow hash")
        chance = self._nic.kernel.chance(f"{self._nic.name}/rss")
        rss = Rss(self.ops.indirection, chance, self.ops.key_bytes or KEY_BYTES)
        self._spread(rss)
        return rss

    def _spread(self, rss: Rss) -> None:
        """The table as the driver makes it."""
        queues = self._nic.channels
        if self.ops.in_blocks:
            rss.table = weigh(self.ops.indirection, [1] * queues)
        else:
            rss.table = spread(self.ops.indirection, queues)
        rss.is_default = True

    def flow_hash(self, flow: Flow) -> int:
        """What the card, or else the kernel, makes of a flow."""
        if not self.ops.indirection:
            return toeplitz(bytes(range(1, KEY_BYTES + 1)), flow.hashed)
        return toeplitz(self.rss.key, flow.hashed)

    def set_rxfh(self, words: list[str]) -> None:
        """-X.

        EINVAL      not understood, or a queue that there is not, or a key of another length
        EOPNOTSUPP  no hash, or none whose key or function can be chosen
        """
        rss, queues, ops = self.rss, self._nic.channels, self.ops
        wanted = parse_rxfh(words, ops.indirection, queues)
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
