"""Put work off to threads, where it may sleep: workqueues.

Follows kernel/workqueue.c. Every CPU has a pool of workers, kworker/CPU:ID, and all unbound queues
share one, kworker/u0:ID. A pool lets one worker run at a time; when that one sleeps in the middle
of a work item and more is queued, another one goes on. An item never runs twice at a time.

Not modelled: high-priority pools, freezing, rescuers, workers that are retired when they idle.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeAlias

from pseudokern.kernel.cpumask import CpuId, CpuMask
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.kthread import KEvent, KThread, KThreads
from pseudokern.kernel.timer import Timer, TimerWheel
from pseudokern.kernel.wait import WaitQueue

WQ_UNBOUND = 1 << 1
WQ_DFL_ACTIVE = 1024  # 512 before 6.16: so many items of a queue run at a time, on each CPU

WorkFunction: TypeAlias = Callable[[], Awaitable[None] | None]


class Work:
    """A function to be called by a worker; may be async. struct work_struct, INIT_WORK().

    queue       where it waits, or was last
    is_pending  it was queued, and no worker has begun with it yet
    worker      who runs it now
    """

    __slots__ = ("done", "function", "is_pending", "queue", "timer", "worker")

    def __init__(self, function: WorkFunction) -> None:
        self.function = function
        self.queue: Workqueue | None = None
        self.is_pending = False
        self.worker: Worker | None = None
        self.done = WaitQueue()
        self.timer: Timer | None = None  # of delayed work

    @property
    def is_busy(self) -> bool:
        """work_busy(): it waits for its time or for a worker, or it runs."""
        return self.is_pending or self.worker is not None


class Workqueue:
    """A queue with a name. max_active 1 with WQ_UNBOUND runs its items one after the other."""

    def __init__(self, name: str, *, is_unbound: bool, max_active: int) -> None:
        self.name = name
        self.is_unbound = is_unbound
        self.max_active = max_active
        self.active: dict[Pool, int] = {}
        self.inactive: dict[Pool, deque[Work]] = {}

    @property
    def is_empty(self) -> bool:
        return not any(self.active.values()) and not any(self.inactive.values())


class Worker:
    """One thread of a pool."""

    def __init__(self, pool: "Pool", threads: KThreads, name: str, cpus: CpuMask) -> None:
        self.name = name
        self.more = KEvent()
        self.is_idle = False
        self._pool = pool
        self.thread: KThread = threads.create(name, self._main(), cpus_allowed=cpus)

    async def _main(self) -> None:
        while True:
            while (work := self._pool.take()) is not None:
                await self._process(work)
            self.is_idle = True
            await self.more
            self.is_idle = False

    async def _process(self, work: Work) -> None:
        queue, work.worker, work.is_pending = work.queue, self, False
        assert queue is not None
        self.thread.comm = f"{self.name}+{queue.name}"
        try:
            answer = work.function()
            if isawaitable(answer):
                await answer
        finally:
            work.worker = None
            self.thread.comm = f"{self.name}-{queue.name}"
            self._pool.finished(queue)
            work.done.wake_up()


class Pool:
    """The workers of a CPU, or of all unbound queues; struct worker_pool."""

    def __init__(self, threads: KThreads, label: str, cpus: CpuMask) -> None:
        self._threads = threads
        self._label = label
        self._cpus = cpus
        self._waiting: deque[Work] = deque()
        self._workers: list[Worker] = []

    def queue(self, work: Work, queue: Workqueue) -> None:
        work.queue, work.is_pending = queue, True
        if queue.active.get(self, 0) >= queue.max_active:
            queue.inactive.setdefault(self, deque()).append(work)
        else:
            self._activate(work, queue)

    def cancel(self, work: Work) -> None:
        queue = work.queue
        if queue is None or not work.is_pending:
            return
        if work in self._waiting:
            self._waiting.remove(work)
            work.is_pending = False
            self.finished(queue)
        elif work in queue.inactive.get(self, ()):
            queue.inactive[self].remove(work)
            work.is_pending = False

    def take(self) -> Work | None:
        """The next item that no worker is running already."""
        for work in self._waiting:
            if work.worker is None:
                self._waiting.remove(work)
                return work
        return None

    def finished(self, queue: Workqueue) -> None:
        """An item is done, or will not be: one of its queue that had to wait may run."""
        queue.active[self] -= 1
        if queue.inactive.get(self):
            self._activate(queue.inactive[self].popleft(), queue)

    def _activate(self, work: Work, queue: Workqueue) -> None:
        queue.active[self] = queue.active.get(self, 0) + 1
        self._waiting.append(work)
        if work.worker is not None:
            return  # who runs it finds it when he is done
        idle = next((worker for worker in self._workers if worker.is_idle), None)
        if idle is not None:
            idle.more.set()
        else:
            name = f"kworker/{self._label}:{len(self._workers)}"
            self._workers.append(Worker(self, self._threads, name, self._cpus))


class Workqueues:
    """The pools of every CPU, and the queues that everybody may use."""

    def __init__(self, kernel: Kernel, threads: KThreads, timers: TimerWheel) -> None:
        self._kernel = kernel
        self._threads = threads
        self._timers = timers
        self._pools: dict[CpuId | None, Pool] = {}
        self.system_wq = self.alloc_workqueue("events")

    def alloc_workqueue(
        self, name: str, *, is_unbound: bool = False, max_active: int = WQ_DFL_ACTIVE
    ) -> Workqueue:
        return Workqueue(name, is_unbound=is_unbound, max_active=max_active)

    def queue_work(self, queue: Workqueue, work: Work, cpu: CpuId | None = None) -> bool:
        """Have work run by a worker of this CPU, or of cpu. False: it is waiting already.

        From any context.
        """
        if work.is_pending:
            return False
        self._pool(queue, self._kernel.this.cpu if cpu is None else cpu).queue(work, queue)
        return True

    def queue_delayed_work(self, queue: Workqueue, work: Work, delay: int) -> bool:
        """The same, `delay` jiffies from now. False: it is waiting already."""
        if work.is_pending:
            return False
        if delay <= 0:
            return self.queue_work(queue, work)
        this = self._kernel.this
        work.queue, work.is_pending = queue, True

        def expired() -> None:
            work.is_pending, work.timer = False, None
            self.queue_work(queue, work)

        work.timer = Timer(expired)
        self._timers.mod_timer(work.timer, self._kernel.jiffies + delay, this.cpu)
        return True

    def cancel_work(self, work: Work) -> bool:
        """Take work back that has not begun. False: it was not waiting."""
        was_pending = work.is_pending
        if work.timer is not None:
            self._timers.del_timer(work.timer)
            work.timer, work.is_pending = None, False
        else:
            for pool in self._pools.values():
                pool.cancel(work)
        return was_pending

    async def flush_work(self, work: Work) -> None:
        """Until work is neither waiting nor running."""
        while work.is_busy:
            await work.done.wait()

    def _pool(self, queue: Workqueue, cpu: CpuId) -> Pool:
        key = None if queue.is_unbound else cpu
        pool = self._pools.get(key)
        if pool is None:
            label = "u0" if key is None else str(cpu)
            cpus = self._kernel.possible if key is None else 1 << cpu
            pool = self._pools[key] = Pool(self._threads, label, cpus)
        return pool
