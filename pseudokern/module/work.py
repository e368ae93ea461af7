"""Bottom halves for modules: tasklets, workqueues, threads, and waiting in them."""

from collections.abc import Awaitable, Callable, Coroutine
from inspect import isawaitable
from typing import Any

from pseudokern.kernel.kthread import KThread, Sleep
from pseudokern.kernel.sleep import msleep
from pseudokern.kernel.tasklet import Tasklet
from pseudokern.kernel.wait import Completion, WaitQueue
from pseudokern.kernel.workqueue import WQ_UNBOUND, Work, WorkFunction, Workqueue
from pseudokern.module.core import Core, Owned, symbol_name
from pseudokern.module.timers import check_is_no_coroutine

NS_PER_US = 1_000


class BottomHalves(Core):
    """What a module puts off, in the machine's own lists and queues."""

    def tasklet_setup(self, callback: Callable[[], None]) -> Tasklet:
        """callback() will run in the TASKLET softirq, or in HI, once each time it is scheduled."""
        check_is_no_coroutine(callback, "the tasklet")
        tasklet = Tasklet(self.guarded(callback, None))
        self.own(
            Owned(
                tasklet,
                f"tasklet {symbol_name(callback)}",
                "tasklet_kill()",
                is_held=lambda: tasklet.is_scheduled,
                take=lambda: self.tasklet_kill(tasklet),
            )
        )
        return tasklet

    def tasklet_schedule(self, tasklet: Tasklet) -> None:
        """Once, on this CPU. From any context."""
        self.pc.tasklets.schedule(tasklet)

    def tasklet_hi_schedule(self, tasklet: Tasklet) -> None:
        """The same before all other softirqs."""
        self.pc.tasklets.schedule(tasklet, high=True)

    def tasklet_disable(self, tasklet: Tasklet) -> None:
        """Keep it from running until it is enabled as often."""
        self.pc.tasklets.disable(tasklet)

    def tasklet_enable(self, tasklet: Tasklet) -> None:
        self.pc.tasklets.enable(tasklet)

    def tasklet_kill(self, tasklet: Tasklet) -> None:
        """It is not scheduled any more."""
        self.pc.tasklets.kill(tasklet)

    @property
    def system_wq(self) -> Workqueue:
        """The queue that everybody may use; its workers are called after "events"."""
        return self.pc.workqueues.system_wq

    def init_work(self, function: WorkFunction) -> Work:
        """INIT_WORK(), and INIT_DELAYED_WORK(): function may be async, and sleep then."""

        async def run() -> None:
            async def call() -> None:
                answer = function()
                if isawaitable(answer):
                    await answer

            await self.guarded_await(call())

        work = Work(run)
        self.own(
            Owned(
                work,
                f"work_struct hint: {symbol_name(function)}",
                "cancel_work_sync()",
                is_held=lambda: work.is_busy,
                take=lambda: self.cancel_work_sync(work),
                is_debug_object=True,
            )
        )
        return work

    def schedule_work(self, work: Work) -> bool:
        """Have a worker of this CPU run it. False: it is waiting already. From any context."""
        return self.queue_work(self.system_wq, work)

    def queue_work(self, queue: Workqueue, work: Work) -> bool:
        return self.pc.workqueues.queue_work(queue, work)

    def schedule_delayed_work(self, work: Work, delay: int) -> bool:
        """The same, `delay` jiffies from now."""
        return self.queue_delayed_work(self.system_wq, work, delay)

    def queue_delayed_work(self, queue: Workqueue, work: Work, delay: int) -> bool:
        return self.pc.workqueues.queue_delayed_work(queue, work, delay)

    def cancel_work_sync(self, work: Work) -> bool:
        """Take it back if it has not begun. If it is running, rmmod waits until it is done."""
        return self.pc.workqueues.cancel_work(work)

    cancel_delayed_work_sync = cancel_work_sync

    def flush_work(self, work: Work) -> Awaitable[None]:
        """Await this to wait until it is neither waiting nor running."""
        return self.pc.workqueues.flush_work(work)

    def alloc_workqueue(self, name: str, flags: int = 0, max_active: int = 0) -> Workqueue:
        """A queue of one's own. WQ_UNBOUND: its workers run on any CPU."""
        most = {"max_active": max_active} if max_active else {}
        queue = self.pc.workqueues.alloc_workqueue(
            name, is_unbound=bool(flags & WQ_UNBOUND), **most
        )
        self.own(
            Owned(
                queue,
                f"workqueue {name}",
                "destroy_workqueue()",
                is_held=lambda: True,
                take=lambda: None,
            )
        )
        return queue

    def alloc_ordered_workqueue(self, name: str) -> Workqueue:
        """One whose items run one after the other."""
        return self.alloc_workqueue(name, WQ_UNBOUND, 1)

    def destroy_workqueue(self, queue: Workqueue) -> None:
        """Its items have to be done or cancelled."""
        self.disown(queue)

    def kthread_run(self, function: Callable[[], Coroutine[Any, Any, None]], name: str) -> KThread:
        """Start a thread that runs function, an `async def`. It shows in /proc/PID."""
        body = self.guarded_await(function())
        # For reports of a lockup. Coroutines have names, which typeshed does not know.
        body.__name__ = f"{function.__name__} [{self.name}]"  # type: ignore[attr-defined]
        thread = self._threads.create(name, body)
        self._stopping.pop(thread, None)
        self.own(
            Owned(
                thread,
                f"thread {name}",
                "kthread_stop()",
                is_held=lambda: thread.pid in self._threads.by_pid and thread not in self._stopping,
                take=thread.stop,
            )
        )
        return thread

    def kthread_should_stop(self) -> bool:
        """In a thread: whether kthread_stop() was called for it."""
        return self.kernel.this.current in self._stopping

    def kthread_stop(self, thread: KThread) -> None:
        """Wake the thread, which sees that it should stop. If it goes on, rmmod waits for it."""
        if thread.pid in self._threads.by_pid:
            self._stopping[thread] = None
            thread.run_now()

    def is_waited_for(self) -> bool:
        """Whether something runs still that was told to end: a thread, a work item."""
        works = (owned.thing for owned in self._owned if isinstance(owned.thing, Work))
        threads = any(thread.pid in self._threads.by_pid for thread in self._stopping)
        return threads or any(work.worker is not None for work in works)

    def init_completion(self) -> Completion:
        """Await its wait(); complete() and complete_all() may come from any context."""
        return Completion()

    def init_waitqueue_head(self) -> WaitQueue:
        """Await its wait_event(condition); wake_up() may come from any context."""
        return WaitQueue()

    def msleep(self, duration_ms: int) -> Sleep:
        """Await this to sleep. In interrupt context it does not, and the log says so."""
        return msleep(self.kernel, duration_ms)

    def ssleep(self, duration_s: int) -> Sleep:
        return self.msleep(1000 * duration_s)

    def usleep_range(self, least_us: int, most_us: int) -> Sleep:
        """Somewhere between the two; here in the middle."""
        return self._sleep((least_us + most_us) * NS_PER_US // 2)

    def schedule_timeout(self, timeout: int) -> Sleep:
        """Await this to sleep for so many jiffies."""
        return self._sleep(timeout * self.kernel.tick_period_ns)

    def _sleep(self, duration_ns: int) -> Sleep:
        """Who may not sleep is told as by msleep()."""
        msleep(self.kernel, 0)
        return Sleep(duration_ns)
