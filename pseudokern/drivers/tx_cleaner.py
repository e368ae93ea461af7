"""Take what has left out of a transmit ring, in a poll or in a hard handler, and tell the stack.

Follows igb_clean_tx_irq(), mlx5e_poll_tx_cq(), free_old_xmit() of virtio_net, and what e1000e does
in e1000_intr_msix_tx(): it has no NAPI for a ring that has a vector of its own.
"""

from typing import TYPE_CHECKING

from pseudokern.drivers.nic_styles import Style
from pseudokern.drivers.tx_interrupt import TxInterrupt
from pseudokern.drivers.tx_ring import TxRing
from pseudokern.hw.message import Message
from pseudokern.kernel.batches import Batches
from pseudokern.kernel.delay import busy_wait_ns
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.napi import Napi
from pseudokern.kernel.net_tx import TxQueue, net_tx_of

if TYPE_CHECKING:
    from pseudokern.drivers.rx_queue import RxQueue


class Cleaner:
    """Cleans one ring.

    napi    its own, for drivers that have one
    budget  frames that a poll takes at most
    """

    ring: TxRing
    queue: TxQueue

    def __init__(self, kernel: Kernel, style: Style) -> None:
        self.interrupt = TxInterrupt(kernel.timeline)
        self.napi = TxNapi(self)
        self._kernel = kernel
        self.budget = style.tx_budget
        self._wake_room = style.wake_room
        self._has_index = style.tx == "napi"
        self._batches: Batches | None = None  # while the interrupt is served

    def share(self, queue: "RxQueue") -> None:
        """The receive queue's polls and its vector are the ring's, too."""

        def fire(now_ns: int) -> None:
            queue.trigger(now_ns)  # which is another one now and then

        self.interrupt.connect(self.ring, lambda: queue.scheduled, fire)

    def separate(self, message: Message) -> None:
        """The ring has a vector of its own."""
        self.interrupt.connect(self.ring, lambda: self.napi.scheduled, message.trigger_now)

    def stop(self) -> None:
        """The interface goes down."""
        self.interrupt.stop()

    def batch(self, wait_ns: int, frames: int) -> None:
        """Have a poll find what has left so many at a time, or so long after the first of them."""
        now_ns = self._kernel.timeline.now_ns
        self._batches = Batches(wait_ns, frames, now_ns) if frames > 1 else None

    @property
    def has_work(self) -> bool:
        return self.ring.done_ns() <= self._written_ns()

    def _written_ns(self) -> int:
        """Until when what has left is written to memory."""
        now_ns, batches = self._kernel.timeline.now_ns, self._batches
        if batches is not None:
            batches.until_ns = max(batches.until_ns, self.interrupt.last_ns)
            batches.written(self.ring.times_done(now_ns), 0, now_ns)
            return batches.until_ns
        return now_ns

    def clean(self, napi: "RxQueue | TxNapi") -> None:
        """Part of a poll: what it took, and whether there is more, is noted in napi."""
        frames = self._clean(self.budget)
        napi.extra_ns = frames * self._kernel.cost.tx_clean_ns
        napi.is_unfinished = frames == self.budget and self.has_work
        if self._has_index and napi is not self.napi:
            self._set_index()  # virtnet_poll_cleantx()

    def clean_old(self) -> None:
        """What virtio_net does before it sends; then it does not want to hear of it soon."""
        self._clean(self.budget)
        self._set_index()

    def clean_in_handler(self) -> None:
        """In a hard handler, which may not free packets."""
        if frames := self._clean(self.budget):
            busy_wait_ns(self._kernel, frames * self._kernel.cost.tx_clean_ns)
            net_tx_of(self._kernel).kfree_irq(frames)

    def _clean(self, most: int) -> int:
        frames, size = self.ring.clean(self._written_ns(), most)
        net_tx, queue = net_tx_of(self._kernel), self.queue
        net_tx.completed(queue, size)
        if queue.drv_xoff and self.ring.free >= self._wake_room:
            self.ring.wakes += 1
            net_tx.wake(queue)
        self.interrupt.look()
        return frames

    def _set_index(self) -> None:
        """virtqueue_enable_cb_delayed(): after three quarters of what is under way."""
        self.interrupt.delay(self.ring.in_flight * 3 // 4 + 1)


class TxNapi(Napi):
    """The NAPI of a transmit ring alone. What it cleans does not count as work."""

    __slots__ = ("_cleaner", "extra_ns", "is_unfinished")

    def __init__(self, cleaner: Cleaner) -> None:
        super().__init__()
        self.extra_ns = 0
        self.is_unfinished = False
        self._cleaner = cleaner

    def poll(self, weight: int) -> int:
        self._cleaner.clean(self)
        return 0
