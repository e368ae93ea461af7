"""Tune the NAPI of one card: interrupts that stay off, and polls in threads.

Follows net/core/dev.c: dev_set_threaded(), napi_threaded_poll(), and net-sysfs.c for what may be
written. Threads are made when they are first asked for, and wait when they are not any more.
"""

from typing import TYPE_CHECKING

from pseudokern.drivers.nic_traffic import flow_hashes
from pseudokern.irq.flags import IrqReturn
from pseudokern.irq.napi_handler import NapiHandler
from pseudokern.kernel.cpumask import CpuMask
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.kthread import Compute, KEvent, KThreads, sleep_ns
from pseudokern.kernel.napi import NAPI_WEIGHT
from pseudokern.kernel.napi_tuned import Receive, TunedNetRx, tuned_net_rx
from pseudokern.x86.pc import Pc

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic
    from pseudokern.drivers.rx_queue import RxQueue
    from pseudokern.drivers.server import Server

MIN_NAPI_ID = 8193  # NR_CPUS of the usual configuration, and one


class ThreadedHandler:
    """The handler of a queue that a thread polls. napi_id: as in the name of the thread."""

    def __init__(self, threads: KThreads, name: str, napi_id: int, queue: "RxQueue") -> None:
        self.queue = queue
        self._kernel: Kernel = threads.kernel
        self._event = KEvent()
        self.thread = threads.create(f"napi/{name}-{napi_id}", self._main())

    def __call__(self) -> IrqReturn:
        if not self.queue.scheduled:
            self.queue.scheduled = True
            self._event.set()
        return IrqReturn.HANDLED

    async def _main(self) -> None:
        while True:
            await self._event
            await self._poll()

    async def _poll(self) -> None:
        """napi_threaded_poll_loop(): until the ring is empty, and let others run now and then."""
        kernel, queue, cost = self._kernel, self.queue, self._kernel.cost
        since = kernel.jiffies
        while queue.scheduled:
            work = queue.poll(NAPI_WEIGHT)
            now_ns = kernel.timeline.now_ns
            if work and isinstance(kernel.net_rx, TunedNetRx):
                end_ns = kernel.net_rx.take(kernel.this, queue, work, now_ns + cost.softirq_ns)
            else:
                queue.packets += work
                kernel.this.rx_packets += work
                end_ns = now_ns + cost.softirq_ns + work * cost.softirq_item_ns
            if kernel.this.softirq_pending:
                kernel.softirqs.raise_from_process(kernel.this, 0)  # local_bh_enable()
            await Compute(end_ns - now_ns + queue.extra_ns)
            if work < NAPI_WEIGHT and not queue.has_work:
                queue.scheduled = False
                if isinstance(kernel.net_rx, TunedNetRx):
                    kernel.net_rx.let_in(queue)
                if (cleaner := queue.whole_ring.cleaner) is not None:
                    cleaner.interrupt.look()  # what has left meanwhile interrupts
            elif kernel.jiffies != since:
                await sleep_ns(0)
                since = kernel.jiffies


def tuned(pc: Pc) -> TunedNetRx:
    """The NET_RX of a PC, which can be tuned from now on. It has to be asked after each poll of a
    queue that is: who tunes one has its descriptor changed."""
    return tuned_net_rx(pc.kernel, pc.apic_timers.hrtimers, pc.smp.call_function)


class NicNapi:
    """What is set for one card, in the directory of its interface."""

    def __init__(self, nic: "Nic") -> None:
        self.gro_flush_timeout_ns = 0
        self.defer_hard_irqs = 0
        self.threaded = False
        self.rps_cpus: dict[int, CpuMask] = {}
        self.receiver: Server | None = None  # whose packets all these are
        self._nic = nic
        self._handlers: dict[int, ThreadedHandler] = {}

    def apply(self) -> None:
        """Have every queue treated so: after a setting changed, or the interface came up."""
        nic = self._nic
        is_tuned = isinstance(nic.kernel.net_rx, TunedNetRx)
        is_read = self.receiver is not None
        has_deferral = self.gro_flush_timeout_ns or self.defer_hard_irqs
        if is_tuned or is_read or has_deferral or self.rps_cpus:
            net_rx = tuned(nic.pc)
            hashes = flow_hashes(nic) if self.rps_cpus or is_read else {}
            for number, queue in enumerate(nic.rings):
                net_rx.defer(queue, self.gro_flush_timeout_ns, self.defer_hard_irqs)
                mask = self.rps_cpus.get(number, 0)
                net_rx.steering.set(queue, mask, hashes.get(queue, ()))
                if self.receiver is not None:
                    self.receiver.set_hashes(queue, number, hashes.get(queue, ()))
                    net_rx.receivers[queue] = self._receive(self.receiver, queue)
                else:
                    net_rx.receivers.pop(queue, None)
        for number, (_, desc) in enumerate(nic.sources):
            if desc is not None and desc.actions:
                desc.actions[0].handler = self._handler(number)
        for desc in nic.pc.irqs:
            desc.changed()

    def end(self) -> None:
        """The driver lets go of the card: its threads end."""
        for handler in self._handlers.values():
            handler.thread.stop()

    @staticmethod
    def _receive(server: "Server", queue: "RxQueue") -> Receive:
        return lambda this, packets, end_ns, passed: server.receive(
            this, queue, packets, end_ns, passed
        )

    def _handler(self, number: int) -> ThreadedHandler | NapiHandler:
        queue = self._nic.queues[number]
        if not self.threaded:
            return NapiHandler(self._nic.kernel, queue)
        handler = self._handlers.get(number)
        if handler is None or handler.queue is not queue:
            threads, kernel = self._nic.pc.irqs.kthreads, self._nic.kernel
            napi_id, kernel.napi_ids = kernel.napi_ids, kernel.napi_ids + 1
            handler = ThreadedHandler(threads, self._nic.name, MIN_NAPI_ID + napi_id, queue)
            self._handlers[number] = handler
        return handler
