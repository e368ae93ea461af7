"""Send packets: from the stack through a qdisc to a driver, and on again when a queue wakes.

Follows dev_queue_xmit() and net_tx_action() of net/core/dev.c, and __qdisc_run() of
net/sched/sch_generic.c. A packet for a queue that is not stopped goes to the driver at once, in the
context of its sender. A driver stops a queue whose ring is full, and byte queue limits one that has
enough; what comes then waits in the qdisc until completions wake the queue, which raises NET_TX.

Everything here gets the time at which the CPU is there, and says when it is done. Whoever calls in
process context has raise_from_process() look at what was raised.
"""

from typing import Protocol

from pseudokern.kernel.cpumask import CpuId
from pseudokern.kernel.dql import Dql
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.qdisc import Packet, PfifoFast
from pseudokern.kernel.softirq import Softirq

TX_WEIGHT = 64  # dev_tx_weight: packets of one run of a qdisc
NET_TX_BIT = 1 << Softirq.NET_TX


class Driver(Protocol):
    """Who has the ring of a queue."""

    def start_xmit(self, queue: "TxQueue", packet: Packet, now_ns: int) -> None:
        """ndo_start_xmit(): there is room for the packet, or the queue would be stopped."""


class TxQueue:
    """One transmit queue of a device, with its qdisc; struct netdev_queue.

    is_active   the interface is up
    drv_xoff    the driver has stopped it; stack_xoff: byte queue limits have
    dql         those limits; has_bql: the driver tells what it completes
    trans_start jiffy of the last packet that the driver got
    timeouts    how often the watchdog found it stuck
    offered     packets that were to be sent; dropped_down: those for an interface that is down
    """

    __slots__ = ("dql", "driver", "dropped_down", "drv_xoff", "has_bql", "is_active",
                 "is_scheduled", "number", "offered", "qdisc", "stack_xoff", "timeouts",
                 "trans_start")  # fmt: skip

    def __init__(self, driver: Driver, number: int, dql: Dql, *, has_bql: bool = True) -> None:
        self.driver = driver
        self.number = number
        self.dql = dql
        self.has_bql = has_bql
        self.qdisc = PfifoFast()
        self.is_active = False
        self.is_scheduled = False  # __QDISC_STATE_SCHED
        self.drv_xoff = False
        self.stack_xoff = False
        self.trans_start = 0
        self.timeouts = 0
        self.offered = 0
        self.dropped_down = 0

    @property
    def is_stopped(self) -> bool:
        return self.drv_xoff or self.stack_xoff

    def sent(self, size: int) -> None:
        """netdev_tx_sent_queue(): the driver has put so many bytes into its ring."""
        if self.has_bql:
            dql = self.dql
            dql.enqueue(size)
            if dql.avail < 0:
                self.stack_xoff = True

    def activate(self, jiffies: int) -> None:
        """dev_activate(): the interface is up."""
        self.is_active = True
        self.trans_start = jiffies
        self.drv_xoff = self.stack_xoff = False
        self.dql.reset(jiffies)

    def deactivate(self) -> None:
        """dev_deactivate(): what waits is gone."""
        self.is_active = False
        self.qdisc.purge()


class NetTx:
    """The NET_TX action, and the way of a packet down to a driver.

    weight  the sysctl dev_weight_tx_bias makes of dev_weight
    """

    def __init__(self, kernel: Kernel) -> None:
        self.weight = TX_WEIGHT
        self._kernel = kernel
        self._xmit_ns = kernel.cost.xmit_ns
        self._free_ns = kernel.cost.tx_clean_ns
        self._output: dict[CpuId, list[TxQueue]] = {}
        self._to_free: dict[CpuId, int] = {}
        kernel.softirqs.open_softirq(Softirq.NET_TX, self.action)
        kernel.on_cpu_change(self._cpu_changed)

    def dev_queue_xmit(self, queue: TxQueue, packet: Packet, now_ns: int) -> int:
        """Send a packet, or have the qdisc keep or drop it. From any context."""
        queue.offered += 1
        if not queue.is_active:
            queue.dropped_down += 1
            packet.free()
            return now_ns
        qdisc = queue.qdisc
        if not qdisc.length and not queue.is_stopped:
            return self._xmit(queue, [packet], now_ns)
        if qdisc.enqueue(packet) and not queue.is_stopped:
            return self._qdisc_run(queue, now_ns)
        return now_ns

    def completed(self, queue: TxQueue, size: int) -> None:
        """netdev_tx_completed_queue(): the driver has taken so many bytes out of its ring again."""
        if size and queue.has_bql:
            queue.dql.complete(size, self._kernel.jiffies)
            if queue.stack_xoff and queue.dql.avail >= 0:
                queue.stack_xoff = False
                if not queue.drv_xoff:
                    self._schedule(queue)

    def wake(self, queue: TxQueue) -> None:
        """netif_tx_wake_queue(): there is room in the ring again."""
        if queue.drv_xoff:
            queue.drv_xoff = False
            self._schedule(queue)

    def kfree_irq(self, packets: int) -> None:
        """dev_kfree_skb_irq(): a hard handler may not free them, so NET_TX does."""
        this = self._kernel.this
        self._to_free[this.cpu] = self._to_free.get(this.cpu, 0) + packets
        this.softirq_pending |= NET_TX_BIT

    def action(self, this: PerCpu, now_ns: int) -> int:
        now_ns += self._to_free.pop(this.cpu, 0) * self._free_ns
        for queue in self._output.pop(this.cpu, ()):
            queue.is_scheduled = False
            if queue.is_active and not queue.is_stopped:
                now_ns = self._qdisc_run(queue, now_ns)
        return now_ns

    def _schedule(self, queue: TxQueue) -> None:
        """__netif_schedule(): this CPU goes on with the qdisc, in NET_TX."""
        if not queue.is_scheduled:
            queue.is_scheduled = True
            this = self._kernel.this
            self._output.setdefault(this.cpu, []).append(queue)
            this.softirq_pending |= NET_TX_BIT

    def _qdisc_run(self, queue: TxQueue, now_ns: int) -> int:
        quota = self.weight
        while not queue.is_stopped:
            packets = queue.qdisc.dequeue(queue.dql.avail)
            if not packets:
                break
            now_ns = self._xmit(queue, packets, now_ns)
            quota -= len(packets)
            if quota <= 0:
                self._schedule(queue)
                break
        return now_ns

    def _xmit(self, queue: TxQueue, packets: list[Packet], now_ns: int) -> int:
        """sch_direct_xmit()."""
        driver, qdisc, queue.trans_start = queue.driver, queue.qdisc, self._kernel.jiffies
        for number, packet in enumerate(packets, 1):
            now_ns += self._xmit_ns
            qdisc.sent += 1
            qdisc.sent_bytes += packet.size
            driver.start_xmit(queue, packet, now_ns)
            if queue.drv_xoff and number < len(packets):
                qdisc.requeue(packets[number:])
                break
        return now_ns

    def _cpu_changed(self, cpu: CpuId) -> None:
        """dev_cpu_dead(): another CPU goes on with what a dead one had."""
        if self._kernel.is_online(cpu):
            return
        queues, packets = self._output.pop(cpu, []), self._to_free.pop(cpu, 0)
        if queues or packets:
            this = self._kernel.cpus[0]
            self._output.setdefault(this.cpu, []).extend(queues)
            self._to_free[this.cpu] = self._to_free.get(this.cpu, 0) + packets
            self._kernel.softirqs.raise_from_process(this, NET_TX_BIT)


def net_tx_of(kernel: Kernel) -> NetTx:
    """The NET_TX of a kernel; one on which nobody has sent anything has none."""
    if kernel.net_tx is None:
        kernel.net_tx = NetTx(kernel)
    return kernel.net_tx
