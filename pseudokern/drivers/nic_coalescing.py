"""Keep how long the queues of a card wait with their interrupts, and have them wait.

What a driver takes, and what it makes of it, is in coalescing_rules.py. A queue that waits for
nothing has nothing between itself and its message.
"""

import errno
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pseudokern.drivers import coalescing_rules as rules
from pseudokern.drivers.dim import Dim
from pseudokern.drivers.itr import RATES_HZ, AdaptiveItr
from pseudokern.drivers.moderation import Moderation, Waiting
from pseudokern.drivers.nic_ops import OPS
from pseudokern.kernel.printk import Level

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic
    from pseudokern.drivers.rate_moderation import RateModeration, Sample

Settings = Mapping[str, int]


class NicCoalescing:
    """One card's settings of -C.

    coalesce        of all queues
    queue_coalesce  of those that have their own
    """

    def __init__(self, nic: "Nic") -> None:
        self.ops = OPS[nic.options["style"]]
        self.coalesce = dict(self.ops.coalesce)
        self.queue_coalesce: dict[int, dict[str, int]] = {}
        self._nic = nic
        self._style: str = nic.options["style"]
        self._moderations: dict[tuple[int, bool], Moderation] = {}
        self._in_use: dict[int, Moderation] = {}
        self._rates = self._new_rates()

    def coalescing(self) -> dict[str, int]:
        """-c, of what the driver has. EOPNOTSUPP: that is nothing."""
        if not self.coalesce:
            raise OSError(errno.EOPNOTSUPP, f"{self._nic.name}: no coalescing to set")
        return dict(self.coalesce)

    def set_coalescing(self, wanted: Settings) -> None:
        """-C.

        EOPNOTSUPP      the driver has no coalescing
        EINVAL, ERANGE  it does not have that, or not with such a value
        """
        nic, had = self._nic, self.coalescing()
        for name in wanted:
            if name not in had:
                raise OSError(errno.EINVAL, f"cannot modify an unsupported parameter: {name}")
        self.coalesce = self._accepted(had, wanted)
        for of_queue in self.queue_coalesce.values():
            of_queue.update(wanted)
        if nic.is_up and self.coalesce.get("stats-block-usecs") != had.get("stats-block-usecs"):
            nic.close()  # as bnxt_set_coalesce() does, which no other driver has
            nic.open()
        if self._rates is not None:
            self._rates.apply()
        self.moderate()

    def coalescing_of(self, queue: int) -> dict[str, int]:
        """-Q: that of one queue. EOPNOTSUPP: the driver has one for all only."""
        if not self.ops.per_queue:
            raise OSError(errno.EOPNOTSUPP, f"{self._nic.name}: coalescing is one for all queues")
        return dict(self.queue_coalesce.get(queue, self.coalesce))

    def set_coalescing_of(self, queue: int, wanted: Settings) -> None:
        """-Q with --coalesce.

        EOPNOTSUPP      the driver has one coalescing for all queues, or does not have that
        EINVAL, ERANGE  it cannot have such a value, or such a queue
        """
        had = self.coalescing_of(queue)
        if queue >= self._nic.channels:
            raise OSError(errno.EINVAL, f"{self._nic.name}: there is no queue {queue}")
        if unknown := [name for name in wanted if name not in had]:
            raise OSError(errno.EOPNOTSUPP, f"{self._nic.name}: no {unknown[0]} to set")
        self.queue_coalesce[queue] = self._accepted(had, wanted)
        if queue < len(self._nic.queues):
            self.moderate_queue(queue)

    def _accepted(self, had: Settings, wanted: Settings) -> dict[str, int]:
        """What the driver makes of it, and says about it in the log."""
        try:
            settings = rules.accepted(self._style, self.ops, had, wanted)
        except rules.DriverSaid as error:
            self._say(str(error.strerror))
            raise
        for said in rules.remarks(self._style, had, settings):
            self._say(said)
        return settings

    def _say(self, text: str) -> None:
        self._nic.kernel.log.printk(Level.INFO, f"{self._nic.netdev_name}: {text}")

    @property
    def reads_words(self) -> bool:
        """Whether rx-usecs is for both directions, and 1 and 3 in it mean: adaptive."""
        return self._style in ("igb", "e1000e")

    def moderate(self) -> None:
        """Have the queues wait as is set now, each one by itself."""
        for number in range(len(self._nic.queues)):
            self.moderate_queue(number)

    def moderate_queue(self, number: int) -> None:
        """Put what waits between a queue and its message, or take it away."""
        queue, (source, desc) = self._nic.queues[number], self._nic.sources[number]
        if self._batch(number):
            return  # the queue is another one now, and has been here
        wait, adaptive = self._waiting(number)
        is_fed = queue.feed is not None
        moderation = self._moderations.get((number, is_fed))
        if (former := self._moderations.get((number, not is_fed))) is not None:
            former.stop()
        if wait.is_none and adaptive is None and not is_fed:
            if moderation is not None:
                moderation.stop()
                moderation.wait(wait)
            self._in_use.pop(number, None)
            source.connect(queue)
            self._moderate_tx(number)
            if queue.unpolled and not queue.scheduled:
                queue.trigger(self._nic.kernel.timeline.now_ns)  # it has waited for long enough
            return
        if moderation is None:
            kind: type[Moderation] = Moderation
            if is_fed:
                from pseudokern.drivers.fed_moderation import FedModeration as kind
            moderation = self._moderations[number, is_fed] = kind(self._nic.kernel.timeline, queue)
        moderation.stop()
        moderation.queue = queue
        moderation.wait(wait)
        moderation.adaptive, moderation.desc = adaptive, desc
        moderation.connect(source)
        self._in_use[number] = moderation
        self._moderate_tx(number)
        if queue.unpolled and not queue.scheduled:
            moderation.interrupt(self._nic.kernel.timeline.now_ns)

    def moderation_of(self, number: int) -> Moderation | None:
        """What stands between a receive queue and its message now."""
        return self._in_use.get(number)

    def _moderate_tx(self, number: int) -> None:
        if "tx" in self._nic.__dict__:
            self._nic.tx.moderate(number)

    def reset(self) -> None:
        """The driver is bound anew, and has its defaults."""
        self.end()
        self.coalesce = dict(self.ops.coalesce)
        self.queue_coalesce = {}
        self._rates = self._new_rates()

    def stop(self) -> None:
        """The interface goes down."""
        for moderation in self._moderations.values():
            moderation.stop()

    def end(self) -> None:
        """The driver lets go of the card."""
        self.stop()
        if self._rates is not None:
            self._rates.stop()

    def _waiting(self, number: int) -> tuple[Waiting, Dim | AdaptiveItr | None]:
        if self._rates is not None:
            self._rates.begin()
            us, frames = self._rates.wait_of(number)
            return Waiting(us, frames), None
        settings = self.queue_coalesce.get(number, self.coalesce)
        wait = rules.waiting(self._style, self.ops, settings)
        if settings.get("adaptive-rx"):
            return rules.adaptive(self._style, self.ops, wait)
        if self.reads_words and wait.us in (rules.DYNAMIC, rules.CONSERVATIVE):
            itr = AdaptiveItr(conservative=wait.us == rules.CONSERVATIVE)
            return wait._replace(us=1_000_000 // RATES_HZ["low"]), itr
        return wait, None

    def _batch(self, number: int) -> bool:
        """Have frames reach memory in batches while the queue is polled, if that is set. True: the
        times of its frames were not known before."""
        feed = self._nic.queues[number].feed
        wait_ns, frames = rules.batch(self._style, self.coalesce, "rx")
        if frames == 1:
            if feed is not None:
                feed.batches = None
            return False
        if feed is None:
            self._nic.feed(number)
            return True
        from pseudokern.kernel.batches import Batches  # few cards are told to

        feed.batches = Batches(wait_ns, frames, self._nic.kernel.timeline.now_ns)
        return False

    def _new_rates(self) -> "RateModeration | None":
        """For the driver that is adaptive by rates."""
        if "pkt-rate-low" not in self.coalesce:
            return None
        from pseudokern.drivers.rate_moderation import RateModeration  # of one driver

        timeline = self._nic.kernel.timeline
        return RateModeration(timeline, lambda: self.coalesce, self._samples, self.moderate_queue)

    def _samples(self) -> "list[Sample] | None":
        """What each queue has received, as the driver counts; None while it is down."""
        from pseudokern.drivers.rate_moderation import Sample

        nic = self._nic
        if not nic.is_up:
            return None
        nic.pc.fold_counts()
        found = []
        for queue in nic.queues:
            kept, kept_bytes = nic.xdp.not_received([queue]) if "xdp" in nic.__dict__ else (0, 0)
            found.append(Sample(queue.packets - kept, queue.bytes - kept_bytes))
        return found
