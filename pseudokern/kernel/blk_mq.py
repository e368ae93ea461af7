"""Hand requests to hardware queues, and end them where Linux does.

Follows block/blk-mq.c: blk_mq_complete_request_remote(), blk_done_softirq(),
blk_softirq_cpu_dead(), blk_mq_hctx_notify_offline(); block/blk-core.c for update_io_ticks().

A request ends in the interrupt that found it, unless rq_affinity wants it on the CPU that sent it,
or a CPU that shares its last cache: then it goes there by a function call (CAL) and ends in BLOCK.
A drive with one queue ends all its requests in BLOCK.

Not modelled: I/O schedulers, merges, splits, flushes.
"""

import errno
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from pseudokern.kernel.cpumask import CpuId, CpuMask, cpus_of, first_cpu
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.softirq import Softirq

READ, WRITE = 0, 1
SECTOR_BYTES = 512
SECTORS_PER_KB = 1024 // SECTOR_BYTES
BLOCK_BIT = 1 << Softirq.BLOCK

CallFunction = Callable[[CpuMask, Callable[[PerCpu], None]], None]


def ends_in_block(queues: int, possible: CpuMask) -> bool:
    """Whether a request that ends on its own CPU does so in BLOCK, and not in the interrupt."""
    return queues == 1 and possible.bit_count() > 1


class Request:
    """One I/O; struct request.

    cpu         where it was submitted, which is where it should end
    asked_ns    when the program wanted it; started_ns: when it got a tag
    on_end      called with the request and the time at which it ended
    on_posted   called when a program that polls can find it; without, it is found at once
    """

    __slots__ = ("asked_ns", "cpu", "disk", "is_polled", "is_write", "on_end", "on_posted",
                 "queue", "size_kb", "started_ns")  # fmt: skip

    def __init__(
        self,
        cpu: CpuId,
        size_kb: int,
        *,
        is_write: bool,
        asked_ns: int,
        on_end: Callable[["Request", int], None],
        is_polled: bool = False,
    ) -> None:
        self.cpu = cpu
        self.size_kb = size_kb
        self.is_write = is_write
        self.is_polled = is_polled
        self.asked_ns = asked_ns
        self.started_ns = asked_ns
        self.on_end = on_end
        self.on_posted: Callable[[], None] | None = None
        self.disk: Disk
        self.queue: HardwareQueue


class HardwareQueue:
    """A queue of the drive, and the CPUs whose requests go there; struct blk_mq_hw_ctx.

    busy     requests that have a tag
    waiting  requests for which there is none
    """

    def __init__(self, number: int, cpus: CpuMask, *, is_polled: bool) -> None:
        self.number = number
        self.cpus = cpus
        self.is_polled = is_polled
        self.busy = 0
        self.waiting: deque[Request] = deque()


class Drive(Protocol):
    """What takes requests; struct blk_mq_ops."""

    def queue_rq(self, request: Request) -> None:
        """Begin a request."""
        ...

    def poll(self, queue: HardwareQueue) -> int:
        """End what can be found in a queue; how many there were."""
        ...

    def drain(self, queue: HardwareQueue) -> None:
        """End at once what is under way in a queue whose last CPU goes down."""
        ...


class DiskStatistics:
    """What /sys/block/*/stat counts: struct disk_stats. Two numbers each: reads, writes."""

    def __init__(self, tick_ns: int) -> None:
        self._tick_ns = tick_ns
        self.ios = [0, 0]
        self.sectors = [0, 0]
        self.time_ns = [0, 0]
        self.inflight = [0, 0]
        self.io_ticks = 0
        self._stamp = 0

    def start(self, request: Request, now_ns: int) -> None:
        self.update_io_ticks(now_ns, is_end=False)
        self.inflight[request.is_write] += 1

    def end(self, request: Request, now_ns: int) -> None:
        self.update_io_ticks(now_ns, is_end=True)
        side = request.is_write
        self.inflight[side] -= 1
        self.ios[side] += 1
        self.sectors[side] += request.size_kb * SECTORS_PER_KB
        self.time_ns[side] += now_ns - request.started_ns

    def update_io_ticks(self, now_ns: int, *, is_end: bool) -> None:
        """Count the ticks since the last call, if the drive had something to do in them."""
        now = now_ns // self._tick_ns
        if now > self._stamp:
            if is_end or any(self.inflight):
                self.io_ticks += now - self._stamp
            self._stamp = now

    @property
    def io_ticks_ms(self) -> int:
        return self.io_ticks * self._tick_ns // 1_000_000


class Disk:
    """A disk with its queues; struct request_queue and struct gendisk.

    queues        those with an interrupt first, then those that are polled
    nr_requests   tags of each queue that may be used; most_requests: that there are
    rq_affinity   0: end where the interrupt is; 1: on the sender's group; 2: on the sender itself
    is_gone       its driver has let go of it
    """

    def __init__(
        self,
        block: "BlockLayer",
        drive: Drive,
        queues: Sequence[HardwareQueue],
        nr_requests: int,
    ) -> None:
        self.queues = list(queues)
        self.nr_requests = self.most_requests = nr_requests
        self.rq_affinity = 1
        self.is_gone = False
        self.statistics = DiskStatistics(block.kernel.tick_period_ns)
        self._block = block
        self._drive = drive
        self._kernel = block.kernel
        self._maps = tuple(
            self._map([queue for queue in queues if queue.is_polled == is_polled])
            for is_polled in (False, True)
        )
        block.disks.append(self)

    @property
    def can_poll(self) -> bool:
        """QUEUE_FLAG_POLL: some of its queues have no interrupt."""
        return any(queue.is_polled for queue in self.queues)

    def check_can_poll(self, name: str) -> None:
        """What submit_bio() says to REQ_POLLED. EOPNOTSUPP: every queue has an interrupt."""
        if not self.can_poll:
            why = "has no poll queues; boot with nvme.poll_queues=N"
            raise OSError(errno.EOPNOTSUPP, f"{name} {why}")

    @property
    def waiting(self) -> int:
        """Requests that have no tag yet."""
        return sum(len(queue.waiting) for queue in self.queues)

    @property
    def busy(self) -> int:
        """Requests that have one."""
        return sum(queue.busy for queue in self.queues)

    def submit(self, request: Request) -> None:
        """Begin a request, or have it wait for a tag; blk_mq_submit_bio()."""
        request.disk = self
        queues = self._maps[request.is_polled] or self._maps[False]
        request.queue = queue = queues[request.cpu]
        request.is_polled = queue.is_polled
        if queue.busy < self.nr_requests:
            self._start(request)
        else:
            queue.waiting.append(request)

    def complete(self, request: Request, at_ns: int) -> bool:
        """Whether the caller, an interrupt of the drive, may end() the request itself at at_ns.

        If not, it ends elsewhere or later; blk_mq_complete_request_remote().
        """
        if self._needs_ipi(request):
            self._block.send(request)
            return False
        if len(self.queues) == 1 and not self._is_at_home(request):
            self._block.raise_softirq(request)
            return False
        self.end(request, at_ns)
        return True

    def end(self, request: Request, at_ns: int) -> None:
        """The request is over: count it, give its tag to another, and tell who wanted it."""
        self.statistics.end(request, at_ns)
        self._release(request.queue)
        request.on_end(request, at_ns)

    def poll(self, queue: HardwareQueue) -> int:
        """Look once for what has ended in a queue without interrupt; blk_mq_poll()."""
        return self._drive.poll(queue)

    def set_nr_requests(self, number: int) -> None:
        """Let each queue have so many tags; blk_mq_update_nr_requests()."""
        self.nr_requests = number
        for queue in self.queues:
            while queue.waiting and queue.busy < number:
                self._start(queue.waiting.popleft())

    def abandon(self) -> list[Request]:
        """The drive is gone; what was asked of it and is not over, which never will be."""
        left = [request for queue in self.queues for request in queue.waiting]
        for queue in self.queues:
            queue.waiting.clear()
        self.is_gone = True
        self._block.forget(self)
        return left

    def cpu_gone(self, cpu: CpuId) -> None:
        """Linux lets a CPU that is the last of a queue go when that is empty: it is, then.

        What waits there for a tag is sent by another CPU.
        """
        kernel = self._kernel
        for queue in self.queues:
            if not queue.cpus >> cpu & 1 or queue.cpus & kernel.online:
                continue
            waiting, queue.waiting = queue.waiting, deque()
            self._drive.drain(queue)
            for request in waiting:
                request.cpu = first_cpu(kernel.online)
                self.submit(request)

    def _start(self, request: Request) -> None:
        request.queue.busy += 1
        request.started_ns = now_ns = self._kernel.timeline.now_ns
        self.statistics.start(request, now_ns)
        self._drive.queue_rq(request)

    def _release(self, queue: HardwareQueue) -> None:
        queue.busy -= 1
        while queue.waiting and queue.busy < self.nr_requests:
            self._start(queue.waiting.popleft())

    def _is_at_home(self, request: Request) -> bool:
        """The only CPU of its queue is the one that runs, or looks for it: nobody redirects it."""
        is_own = request.queue.cpus == 1 << self._kernel.this.cpu == 1 << request.cpu
        return is_own or request.is_polled

    def _needs_ipi(self, request: Request) -> bool:
        """blk_mq_complete_need_ipi()."""
        kernel, wanted = self._kernel, request.cpu
        this = kernel.this.cpu
        if request.is_polled or not self.rq_affinity or this == wanted:
            return False
        if self._block.force_irqthreads() or not kernel.is_online(wanted):
            return False
        return self.rq_affinity == 2 or not kernel.share_cache(this, wanted)

    def _map(self, queues: list[HardwareQueue]) -> list[HardwareQueue]:
        """The queue of each CPU; a CPU that none has takes the first."""
        if not queues:
            return []
        table = [queues[0]] * self._kernel.nr_cpu_ids
        for queue in queues:
            for cpu in cpus_of(queue.cpus):
                table[cpu] = queue
        return table


class BlockLayer:
    """What all disks of a machine share: on each CPU, the requests that BLOCK has to end.

    force_irqthreads  whether threadirqs is on
    """

    def __init__(
        self, kernel: Kernel, call_function: CallFunction, force_irqthreads: Callable[[], bool]
    ) -> None:
        self.kernel = kernel
        self.disks: list[Disk] = []
        self.force_irqthreads = force_irqthreads
        self._call_function = call_function
        self._done: list[list[Request]] = [[] for _ in kernel.cpus]
        kernel.softirqs.open_softirq(Softirq.BLOCK, self._done_softirq)
        kernel.on_cpu_change(self._cpu_changed)

    def send(self, request: Request) -> None:
        """End a request on the CPU that sent it; blk_mq_complete_send_ipi()."""
        done = self._done[request.cpu]
        done.append(request)
        if len(done) == 1:
            self._call_function(1 << request.cpu, _raise_block)

    def raise_softirq(self, request: Request) -> None:
        """End a request in BLOCK on this CPU; blk_mq_raise_softirq()."""
        this = self.kernel.this
        self._done[this.cpu].append(request)
        if self.force_irqthreads():
            self.kernel.softirqs.raise_from_process(this, BLOCK_BIT)
        else:
            this.softirq_pending |= BLOCK_BIT

    def forget(self, disk: Disk) -> None:
        """A disk is gone, and so are its requests."""
        self.disks.remove(disk)
        for done in self._done:
            done[:] = [request for request in done if request.disk is not disk]

    def _done_softirq(self, this: PerCpu, now_ns: int) -> int:
        done, self._done[this.cpu] = self._done[this.cpu], []
        for request in done:
            now_ns += self.kernel.cost.softirq_item_ns
            request.disk.end(request, now_ns)
        return now_ns

    def _cpu_changed(self, cpu: CpuId) -> None:
        kernel = self.kernel
        if kernel.is_online(cpu):
            return
        done, self._done[cpu] = self._done[cpu], []
        if done:
            here = first_cpu(kernel.online)
            self._done[here] += done
            kernel.softirqs.raise_from_process(kernel.cpus[here], BLOCK_BIT)
        for disk in self.disks:
            disk.cpu_gone(cpu)


def _raise_block(this: PerCpu) -> None:
    this.softirq_pending |= BLOCK_BIT
