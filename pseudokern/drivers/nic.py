"""Be a network card with many queues, each with an MSI-X interrupt of its own.

Frames arrive at random times, a rate for every queue. A frame interrupts unless the queue is
being polled already; the handler schedules NAPI, which polls in the NET_RX softirq.

Without MSI-X one handler on the INTx line serves the queues. Most drivers have only one then,
to which all frames go.

Not modelled yet: flows, RSS, coalescing, rings that overflow, transmission.
"""

import errno
from collections.abc import Callable
from typing import ClassVar

from pseudokern.drivers.device import IrqReturn
from pseudokern.drivers.intx import IntxSource
from pseudokern.drivers.keys import (
    PCI_KEYS,
    Choice,
    CpuList,
    Duration,
    Integer,
    Key,
    ListOf,
    OneOrEach,
    Rate,
)
from pseudokern.drivers.net_device import NetDevice
from pseudokern.drivers.nic_styles import STYLES, Style, Vector
from pseudokern.drivers.traffic import Target
from pseudokern.hw.message import Message
from pseudokern.hw.trigger import Trigger
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.manage import irq_set_affinity_and_hint
from pseudokern.irq.napi_handler import NapiHandler
from pseudokern.kernel.napi import Napi
from pseudokern.x86.msi_chip import message_of

MAX_QUEUES = 256


class RxQueue(Napi):
    """One receive queue: the frames that wait, and the trigger of the message that says so."""

    __slots__ = ("trigger", "waiting")

    def __init__(self, message: Message | IntxSource) -> None:
        super().__init__()
        self.waiting = 0
        self.trigger: Trigger
        message.connect(self)

    @property
    def frames(self) -> int:
        """Frames polled so far."""
        return self.packets

    @property
    def arrived(self) -> int:
        return self.packets + self.waiting

    def receive(self, now_ns: int) -> None:
        """A frame arrives. While NAPI polls, the card's interrupt for this queue is off."""
        self.waiting += 1
        if not self.scheduled:
            self.trigger(now_ns)

    def poll(self, weight: int) -> int:
        taken = self.waiting
        if taken > weight:
            self.waiting = taken - weight
            return weight
        self.waiting = 0
        return taken


class Nic(NetDevice):
    """A multi-queue network card."""

    KEYS: ClassVar = {
        **PCI_KEYS,
        "style": Key(Choice(*STYLES), default="igb", doc="whose driver names the vectors"),
        "queues": Key(Integer(1, MAX_QUEUES), default=1, doc="receive queues, one vector each"),
        "rate": Key(OneOrEach(Rate()), per="queues", default=0, doc="frames a second per queue"),
        "affinity": Key(ListOf(CpuList()), per="queues", default=(), doc="CPUs of each queue"),
        "handler": Key(Duration(), doc="CPU time of the interrupt handler"),
    }

    queues: list[RxQueue]

    @property
    def style(self) -> Style:
        return STYLES[self.options["style"]]

    @property
    def driver_name(self) -> str:
        return self.style.driver

    @property
    def identity(self) -> tuple[int, int, int]:
        return self.style.identity

    def probe(self) -> None:
        """Allocate the vectors; with messages the interface is up from here on.

        EINVAL  the driver needs messages, and there are none
        """
        self.queues = []
        self._vectors: list[tuple[Vector, IrqDesc]] = []
        self._line = self.enable()
        if self.pc.pci.has_messages:
            wanted = self.style.vectors(self.name, self.function.bdf, self.options["queues"])
            count = max(len(wanted), self.style.least_vectors)
            descs = self.pc.pci.alloc_msix(self.function, count)
            self._vectors = list(zip(wanted, descs, strict=False))
        elif self.style.intx == "never":
            raise OSError(errno.EINVAL, f"{self.name} needs MSI-X")
        if self.style.keeps_irqs:
            self._request_irqs()
        if self._vectors or self.style.intx == "probed":
            self.open()

    def start(self) -> None:
        if not self.style.keeps_irqs:
            self._request_irqs()
        self._start_traffic()

    def stop(self) -> None:
        self.stop_traffic()
        if not self.style.keeps_irqs:
            self.free_irqs()

    def _request_irqs(self) -> None:
        """The rings are new, and so are their handlers."""
        self.queues = []
        for vector, desc in self._vectors:
            self._request(vector, desc)
            self._hint(vector, desc)
        if not self._vectors:
            self._request_line()

    def _request_line(self) -> None:
        cost_ns = self.options["handler"]
        source = self.fall_back_to_intx(self._line, self.name, self._poll_queues, cost_ns=cost_ns)
        count = self.options["queues"] if self.style.keeps_queues else 1
        self.queues = [RxQueue(source) for _ in range(count)]

    def _poll_queues(self) -> IrqReturn:
        """The handler on the line: it has to look which queues have frames."""
        for queue in self.queues:
            if queue.waiting:
                queue.schedule(self.kernel.this)
        return IrqReturn.HANDLED

    def _request(self, vector: Vector, desc: IrqDesc) -> None:
        handler: Callable[[], IrqReturn] = _nothing_to_do
        if vector.receives:
            queue = RxQueue(message_of(desc))
            self.queues.append(queue)
            handler = NapiHandler(self.kernel, queue)
        self.request_irq(desc.irq, handler, name=vector.name, cost_ns=self.options["handler"])

    def _hint(self, vector: Vector, desc: IrqDesc) -> None:
        """Say where the vector should go: as the file says, else as the driver would."""
        if not vector.belongs_to_queue:
            return
        wanted = self.options["affinity"]
        if wanted:
            irq_set_affinity_and_hint(desc, wanted[vector.queue])
        elif self.style.hints:
            irq_set_affinity_and_hint(desc, 1 << vector.queue % self.kernel.online.bit_count())

    def _start_traffic(self) -> None:
        """One stream for all queues that have the same rate."""
        by_rate: dict[float, list[Target]] = {}
        for number, rate_hz in enumerate(self.options["rate"]):
            queue = self.queues[number % len(self.queues)]
            by_rate.setdefault(rate_hz, []).append(queue.receive)
        for rate_hz, targets in by_rate.items():
            self.traffic(rate_hz, targets)


def _nothing_to_do() -> IrqReturn:
    return IrqReturn.HANDLED
