"""Run kernel threads: coroutines that sleep and wait in simulated time.

Follows kernel/kthread.c as far as users see it, and the real-time class of kernel/sched: a thread
that is woken runs WAKEUP_NS later on the lowest CPU that it may use; each run takes CPU time there.

Where programs share CPUs, threads do as well: kthread_task.py.

A thread is an ordinary coroutine, stepped by the timeline: it may await sleep_ns(), a KEvent, and
other coroutines that do so, and nothing else. The order of runs is the timeline's, so it is the
same every time.
"""

from collections import deque
from collections.abc import Callable, Coroutine, Generator
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from pseudokern.kernel.context import SOFTIRQ_MASK, local_irq_enable
from pseudokern.kernel.cpumask import CpuId, CpuMask, first_cpu
from pseudokern.kernel.kernel import Hog, Kernel
from pseudokern.kernel.panic import CpuHangsError, KernelPanicError, KernelStopsError
from pseudokern.kernel.percpu import PerCpu
from pseudokern.sim.alarm import Alarm
from pseudokern.sim.timeline import FOREVER_NS

if TYPE_CHECKING:
    from pseudokern.kernel.kthread_task import KThreadTask

WAKEUP_NS = 1_500  # from the wake-up to the first instruction, on a CPU that has nothing better
FIRST_PID = 16
_FINISHED = object()  # what a thread waits for that has returned, but still computes


class Policy(IntEnum):
    """Scheduling policies; the numbers are those of sched_setscheduler(2)."""

    OTHER = 0
    FIFO = 1
    RR = 2
    BATCH = 3
    IDLE = 5


class Sleep:
    """Await this to sleep for duration_ns of simulated time."""

    __slots__ = ("duration_ns",)

    def __init__(self, duration_ns: int) -> None:
        self.duration_ns = duration_ns

    def __await__(self) -> Generator["Sleep", None, None]:
        yield self


sleep_ns = Sleep


class Compute:
    """Await this to use the CPU for duration_ns: the thread does not sleep meanwhile."""

    __slots__ = ("duration_ns",)

    def __init__(self, duration_ns: int) -> None:
        self.duration_ns = duration_ns

    def __await__(self) -> Generator["Compute", None, None]:
        yield self


class KEvent:
    """Await this to wait until somebody sets it; waiting clears it."""

    __slots__ = ("_thread", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self._thread: KThread | None = None

    def __await__(self) -> Generator["KEvent", None, None]:
        if not self.is_set:
            yield self
        self.is_set = False

    def attach(self, thread: "KThread") -> None:
        """thread waits from now on."""
        self._thread = thread

    def set(self) -> None:
        """Wake who waits. From either context."""
        self.is_set = True
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.wake()


class KThread:
    """A kernel thread.

    comm  its whole name
    task  what the scheduler knows of it; None on machines without one
    """

    def __init__(
        self,
        threads: "KThreads",
        pid: int,
        comm: str,
        body: Coroutine[Any, None, None],
        policy: Policy,
        rt_priority: int,
        cpus_allowed: CpuMask,
    ) -> None:
        self.pid = pid
        self.comm = comm
        self.policy = policy
        self.rt_priority = rt_priority
        self.nice = 0
        self.task: KThreadTask | None = None
        self._cpus_allowed = cpus_allowed
        self.state = "S"
        self.runs = 0
        self.run_ns = 0
        self.start_ns = threads.kernel.timeline.now_ns
        self.is_ksoftirqd = False
        self.on_exit: Callable[[], None] = lambda: None
        self._threads = threads
        self._owed_ns = 0  # what it has computed, and time has not gone by for
        self._deferred: object = None  # what it waits for once that is over
        self._body = body
        self._alarm = threads.take_alarm(self._ring)

    @property
    def cpus_allowed(self) -> CpuMask:
        """Where it may run; what it has begun goes on where it is."""
        return self._cpus_allowed

    @cpus_allowed.setter
    def cpus_allowed(self, mask: CpuMask) -> None:
        self._cpus_allowed = mask
        if self.task is not None:
            self.task.allow(mask)

    @property
    def cpu(self) -> int:
        """Where it runs, or ran last."""
        if self.task is not None:
            return self.task.cpu
        online = self.cpus_allowed & self._threads.kernel.online
        return first_cpu(online or self._threads.kernel.online)

    def wake(self) -> None:
        if self.state == "X":
            return
        self.state = "R"
        if self.task is not None:
            self.task.wake()
        else:
            self._alarm.set(self._threads.kernel.timeline.now_ns + WAKEUP_NS)

    def compete(self) -> None:
        """Be a task from now on, if the machine has a scheduler."""
        as_task = self._threads.as_task
        if as_task is None or self.task is not None:
            return
        self.task = as_task(self)
        if self.state == "R":  # what it has begun to compute is charged already
            self._alarm.cancel()
            self.task.wake()

    def run_now(self) -> None:
        """Let it run to its next wait, while its waker waits for that: kthread_stop()."""
        self._alarm.cancel()
        if self.task is None:
            self._run()
        else:
            self.go_on()
            self.task.follow()

    def stop(self) -> None:
        """End the thread where it waits."""
        if self.state == "X":
            return
        self._alarm.cancel()
        self._body.close()
        self._exit()
        if self.task is not None:
            self.task.follow()

    def _ring(self) -> None:
        """It has slept long enough, or its run is due."""
        if self.task is None:
            self._run()
        elif self.state != "X":
            self.state = "R"
            self.task.wake_where_it_slept()

    def _run(self) -> None:
        kernel = self._threads.kernel
        this = kernel.cpus[self.cpu]
        if this.away_until_ns > kernel.timeline.now_ns:
            kernel.want(this)
            self._alarm.set(this.away_until_ns)
            return
        if kernel.hogs and self._is_kept_waiting(this):
            return
        this.context_switches += 2
        this.system_ns += kernel.cost.thread_ns
        self.run_ns += kernel.cost.thread_ns
        self.go_on()

    def go_on(self) -> None:
        """Run on its CPU to its next wait, or until it has computed what it has to."""
        kernel = self._threads.kernel
        this = kernel.cpus[self.cpu]
        outer, kernel.this = kernel.this, this
        outer_task = None if this.current is self else this.current
        this.current = self
        self.runs += 1
        try:
            request, self._deferred = self._deferred, None
            if request is _FINISHED:
                raise StopIteration
            if request is None or isinstance(request, Compute):
                request = self._body.send(None)
            self._wait_for(request)
        except StopIteration:
            if self._owed_ns:
                self._deferred = _FINISHED
                owed_ns, self._owed_ns = self._owed_ns, 0
                self._compute(this, owed_ns)
            else:
                self._leave_cpu(this)
                self._exit()
        except Exception as error:
            from pseudokern.kernel.oops import oops  # only what fails needs it

            oops(kernel, error)
            self._die(this)
            raise
        except CpuHangsError:
            self._compute(this, FOREVER_NS)
        except KernelStopsError as stop:
            self._die(this)
            if isinstance(stop, KernelPanicError):
                raise
        finally:
            kernel.this = outer
            hog = kernel.hogs.get(this.cpu) if kernel.hogs else None
            this.current = outer_task if hog is None else hog.task
            # What it raised runs as soon as bottom halves are enabled again.
            if this.softirq_pending and not self.is_ksoftirqd:
                kernel.softirqs.raise_from_process(this, 0)

    def _die(self, this: PerCpu) -> None:
        """What a thread that was killed held back is let go of; make_task_dead()."""
        _forget_count(self._threads.kernel, this)
        local_irq_enable(self._threads.kernel)
        self._exit()

    def delay(self, duration_ns: int) -> None:
        """Compute for so long before the next wait; udelay() in a thread."""
        self._owed_ns += duration_ns

    def put_off(self, duration_ns: int) -> None:
        """Its CPU does nothing for so long: what it computes ends later."""
        if self._alarm.is_set:
            self._alarm.set(self._alarm.due_ns + duration_ns)

    def _is_kept_waiting(self, this: PerCpu) -> bool:
        """Whether another thread computes on this CPU, which the kernel does not take it from.

        So it is with CONFIG_PREEMPT_VOLUNTARY, which distributions have.
        """
        hog = self._threads.kernel.hogs.get(this.cpu)
        if hog is None or hog.task is self or not isinstance(hog.task, KThread):
            return False
        self._alarm.set(hog.task._alarm.due_ns + 1)
        return True

    def _compute(self, this: PerCpu, duration_ns: int) -> None:
        """Go on so much later, without having slept."""
        kernel = self._threads.kernel
        now_ns = kernel.timeline.now_ns
        self.state = "R"
        if this.cpu not in kernel.hogs:
            name = getattr(self._body, "__name__", self.comm)
            kernel.hogs[CpuId(this.cpu)] = Hog(self, now_ns, name)
        if self.task is not None:
            self.task.compute(system_ns=duration_ns)
        elif duration_ns < FOREVER_NS:
            self.run_ns += duration_ns
            this.system_ns += duration_ns
            self._alarm.set(now_ns + duration_ns)

    def _let_cpu_go(self) -> None:
        """It computes no more; the CPU may have changed meanwhile."""
        kernel = self._threads.kernel
        for cpu in [cpu for cpu, hog in kernel.hogs.items() if hog.task is self]:
            del kernel.hogs[cpu]
            if kernel.cpus[cpu].current is self:
                kernel.cpus[cpu].current = None

    def _leave_cpu(self, this: PerCpu) -> None:
        """Let the scheduler look at what the thread left behind; schedule_debug()."""
        kernel = self._threads.kernel
        self._let_cpu_go()
        if this.preempt_count or this.irqs_disabled:
            from pseudokern.kernel.sleep import schedule_bug  # few threads ever get here

            if this.preempt_count:
                schedule_bug(kernel, this.preempt_count)
                _forget_count(kernel, this)
            local_irq_enable(kernel)

    def _wait_for(self, request: object) -> None:
        kernel = self._threads.kernel
        if isinstance(request, Compute):
            self._owed_ns += request.duration_ns
        if self._owed_ns:
            owed_ns, self._owed_ns = self._owed_ns, 0
            self._deferred = request
            self._compute(kernel.this, owed_ns)
            return
        self._leave_cpu(kernel.this)
        if self.task is not None and isinstance(request, Sleep) and not request.duration_ns:
            return  # cond_resched(): the scheduler looks after each piece anyway
        self.state = "S"
        if isinstance(request, Sleep):
            self._alarm.set(kernel.timeline.now_ns + request.duration_ns)
        elif isinstance(request, KEvent):
            # It may have been set while the thread computed.
            if request.is_set:
                self.wake()
            else:
                request.attach(self)
        else:
            what = "something other than simulated time; use sleep_ns() or a KEvent"
            raise TypeError(f"thread {self.comm!r} waits for {what}")

    def _exit(self) -> None:
        self._let_cpu_go()
        self.state = "X"
        self._threads.remove(self, self._alarm)
        self.on_exit()


def _forget_count(kernel: Kernel, this: PerCpu) -> None:
    """The thread that has disabled preemption or bottom halves on this CPU is gone from it."""
    if this.preempt_count & SOFTIRQ_MASK:
        kernel.softirqs.let_go(this)
    this.preempt_count = 0


class KThreads:
    """Every kernel thread, by its PID."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.by_pid: dict[int, KThread] = {}
        self.created = 0
        self.as_task: Callable[[KThread], KThreadTask] | None = None
        self._alarms: deque[Alarm] = deque()
        self._next_pid = FIRST_PID

    def create(
        self,
        comm: str,
        body: Coroutine[Any, None, None],
        *,
        policy: Policy = Policy.OTHER,
        rt_priority: int = 0,
        cpus_allowed: CpuMask | None = None,
    ) -> KThread:
        """Make a thread, and let it run to its first wait."""
        mask = self.kernel.possible if cpus_allowed is None else cpus_allowed
        thread = KThread(self, self.take_pid(), comm, body, policy, rt_priority, mask)
        self.created += 1
        self.by_pid[thread.pid] = thread
        thread.compete()
        thread.wake()
        return thread

    @property
    def last_pid(self) -> int:
        return self._next_pid - 1

    def take_pid(self) -> int:
        """The next PID, for a thread or a program."""
        pid, self._next_pid = self._next_pid, self._next_pid + 1
        return pid

    def take_alarm(self, callback: Callable[[], None]) -> Alarm:
        """An alarm for a new thread: one that a thread has left, if there is one."""
        if not self._alarms:
            return Alarm(self.kernel.timeline, callback)
        alarm = self._alarms.popleft()
        alarm.hand_over(callback)
        return alarm

    def remove(self, thread: KThread, alarm: Alarm) -> None:
        """A thread has ended, and leaves its alarm."""
        self.by_pid.pop(thread.pid, None)
        alarm.cancel()
        self._alarms.append(alarm)
