"""Be an NVMe drive: an admin queue, and I/O queues whose interrupts the kernel spreads and keeps.

Follows drivers/nvme/host/pci.c: one vector for the admin queue, then managed ones, one for each
queue. Of its I/O queues the last nvme.poll_queues=N have none: programs look there themselves.

A completion of the key `rate` has no request, and ends in the interrupt; with one queue for several
CPUs it raises BLOCK. What a load makes it do is in block_drive.py.

Without messages there is one I/O queue, and both share the INTx line.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from pseudokern.drivers.device import IrqReturn
from pseudokern.drivers.intx import IntxSource
from pseudokern.drivers.keys import Duration, Integer, Key, OneOrEach, Rate
from pseudokern.drivers.loaded_drive import LoadedDrive
from pseudokern.drivers.pci_keys import PCI_KEYS
from pseudokern.drivers.traffic import Target
from pseudokern.irq.action import Handler
from pseudokern.irq.desc import IrqDesc
from pseudokern.kernel.blk_mq import BLOCK_BIT, ends_in_block
from pseudokern.kernel.cpumask import CpuMask
from pseudokern.x86.msi_chip import message_of
from pseudokern.x86.pci import Spread

if TYPE_CHECKING:
    from pseudokern.drivers.block_drive import QueuePlan
    from pseudokern.hw.nvme_features import Features

MAX_QUEUES = 1024
QUEUE_DEPTH = 1024  # io_queue_depth, one of which stays free: blk-mq sees 1023 tags


class Nvme(LoadedDrive):
    """A drive. rate: completions a second on each I/O queue that has its CPU."""

    KEYS: ClassVar = {
        **PCI_KEYS,
        "queues": Key(
            Integer(1, MAX_QUEUES), derive=lambda limits, _: min(limits.cpus, MAX_QUEUES),
            doc="I/O queues; one for each CPU if left out",
        ),
        "rate": Key(OneOrEach(Rate()), per="queues", default=0, doc="completions per queue"),
        "read_time": Key(Duration(), default="80 us", doc="mean time of a read, under [[load]]"),
        "write_time": Key(Duration(), default="20 us", doc="of a write, which goes to a cache"),
        "channels": Key(Integer(1, 4096), default=128, doc="commands that it serves at a time"),
        "poll_queues": Key(
            Integer(0, MAX_QUEUES), default=0,
            doc="the last so many queues have no interrupt; nvme.poll_queues=N says so for all",
        ),
    }  # fmt: skip
    IDENTITY: ClassVar = (0x144D, 0xA808, 0x010802)
    DRIVER: ClassVar = "nvme"
    NR_REQUESTS: ClassVar = QUEUE_DEPTH - 1

    _interrupting: list[IrqDesc] | IntxSource | None = None  # of the I/O queues
    _handlers: Sequence[Handler] = ()

    def probe(self) -> None:
        line = self.enable()
        queues = self._request_messages() if self.pc.pci.has_messages else self._share(line)
        by_rate: dict[float, list[Target]] = {}
        for number, rate_hz in enumerate(self.options["rate"]):
            by_rate.setdefault(rate_hz, []).append(queues[number % len(queues)])
        for rate_hz, targets in by_rate.items():
            self.traffic(rate_hz, targets)

    @property
    def poll_queues(self) -> int:
        """How many of the I/O queues have no interrupt: all but one at most."""
        queues: int = self.options["queues"]
        return min(self.options["poll_queues"] or self.pc.nvme_poll_queues, queues - 1)

    @property
    def coalescing(self) -> "Features":
        return self.features

    @cached_property
    def features(self) -> "Features":
        """What the host has set in the controller since the driver came."""
        from pseudokern.hw.nvme_features import Features  # few machines ask for it

        queues = self.options["queues"] if self.pc.pci.has_messages else 1
        features = Features(queues, 1 + queues - self.poll_queues)
        features.changed = self._features_changed
        return features

    def release(self) -> None:
        super().release()
        if "features" in vars(self):
            self.features.reset()
        self._interrupting = None

    def _request_messages(self) -> list[Target]:
        """What a completion does, for each I/O queue that has an interrupt."""
        count = 1 + self.options["queues"] - self.poll_queues
        descs = self.pc.pci.alloc_msix(self.function, count, Spread(pre=1))
        complete = self._handler_of(self.options["queues"])
        handlers = [self.exchangeable(complete) for _ in descs]
        for number, (desc, handler) in enumerate(zip(descs, handlers, strict=True)):
            self.request_irq(desc.irq, handler, name=f"{self.name}q{number}")
        self._interrupting, self._handlers = descs[1:], handlers[1:]
        return [message_of(desc).trigger_now for desc in descs[1:]]

    def _share(self, line: IrqDesc | None) -> list[Target]:
        """The same on the INTx line."""
        complete = self._handler_of(1)
        self.fall_back_to_intx(line, f"{self.name}q0", complete)
        self._interrupting = self.fall_back_to_intx(line, f"{self.name}q1", complete)
        return [self._interrupting.trigger]

    def _features_changed(self) -> None:
        if "io" in vars(self):
            self.io.coalescing_changed()

    def queue_cpus(self) -> list[CpuMask]:
        """The CPUs of each I/O queue: those of its interrupt; poll queues are spread alike."""
        match self._interrupting:
            case None:
                return []
            case IntxSource():
                return [self.kernel.possible]
            case descs:
                polled = self.pc.pci.spread(self.poll_queues) if self.has_poll_queues else []
                return [desc.affinity for desc in descs] + polled

    @property
    def has_poll_queues(self) -> bool:
        """Without messages there is no room for them."""
        return isinstance(self._interrupting, list) and self.poll_queues > 0

    def plan_queues(self) -> "Sequence[QueuePlan]":
        from pseudokern.drivers.block_drive import QueuePlan, intx_plan, message_plan

        masks = self.queue_cpus()
        if isinstance(self._interrupting, IntxSource):
            return [intx_plan(masks[0], self._interrupting)]
        descs = self._interrupting or []
        plans = [
            message_plan(cpus, desc, handler)
            for cpus, desc, handler in zip(masks, descs, self._handlers, strict=False)
        ]
        return plans + [QueuePlan(cpus) for cpus in masks[len(descs) :]]

    def _handler_of(self, queues: int) -> Callable[[], IrqReturn]:
        """What ends a completion that has no request."""
        is_late = ends_in_block(queues, self.kernel.possible)
        return self._end_in_block if is_late else _end_here

    def _end_in_block(self) -> IrqReturn:
        self.kernel.this.softirq_pending |= BLOCK_BIT
        return IrqReturn.HANDLED


def _end_here() -> IrqReturn:
    return IrqReturn.HANDLED
