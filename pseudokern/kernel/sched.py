"""Share the CPUs between the programs: where a task wakes, and who pulls it away from there.

Follows select_idle_sibling(), wake_affine() and newidle_balance() of kernel/sched/fair.c, and
select_task_rq_rt(), push_rt_task() and pull_rt_task() of kernel/sched/rt.c. What one CPU does with
its tasks is in runqueue.py.

Machines without applications have no scheduler: see drivers/programs.py for what keeps theirs busy.
Not modelled: SCHED_DEADLINE, balancing by the tick (a CPU that becomes idle does pull).
"""

from collections.abc import Callable

from pseudokern.kernel.cpumask import CpuId, CpuMask, cpus_of, first_cpu
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.kthread import Policy
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.printk import Level
from pseudokern.kernel.runqueue import RunQueue
from pseudokern.kernel.sched_task import REAL_TIME, SchedTask

BASE_SLICE_NS = 750_000  # sysctl_sched_base_slice, before it is scaled by the CPUs
MOST_SCALING_CPUS = 8


class Scheduler:
    """The run queues of all CPUs, and where tasks wake.

    started          how many tasks have been
    kernel_tasks     the kernel threads that compete with programs, by PID
    send_reschedule  interrupts a CPU that shall look at its queue (RES)
    keep_ticking     a CPU has begun to be busy, or has more than one task now
    """

    def __init__(
        self,
        kernel: Kernel,
        send_reschedule: Callable[[CpuId], None],
        keep_ticking: Callable[[PerCpu], None],
    ) -> None:
        self.kernel = kernel
        self.keep_ticking = keep_ticking
        cpus = min(kernel.online.bit_count(), MOST_SCALING_CPUS)
        self.slice_ns = BASE_SLICE_NS * cpus.bit_length()
        self.started = 0
        self.kernel_tasks: dict[int, SchedTask] = {}
        self.queues = [RunQueue(self, this) for this in kernel.cpus]
        self._waiting = [queue.fair.waiting for queue in self.queues]
        self._send_reschedule = send_reschedule
        self._neighbours: dict[CpuId, list[CpuId]] = {}
        self._limits_rt = False
        kernel.on_cpu_change(self._cpu_changed)

    def start(self, task: SchedTask) -> None:
        """wake_up_new_task(): where the fewest tasks run, the lowest CPU of those."""
        cpu = min(cpus_of(self._allowed(task)), key=lambda cpu: self.queues[cpu].running)
        task.state = "R"
        self.started += 1
        self.queues[cpu].enqueue(task, self.kernel.timeline.now_ns)

    def wake(self, task: SchedTask) -> None:
        """try_to_wake_up(), by code that runs on kernel.this."""
        if task.state in ("R", "X"):
            return
        if task.state == "D":
            queue = self.queues[task.cpu]
            queue.update()
            queue.blocked -= 1
        task.state = "R"
        self._enqueue(task, self._select(task))

    def cut_short(self, task: SchedTask, system_ns: int) -> None:
        """Have a task make its next step after so much CPU time. From any context."""
        self.queues[task.cpu].cut_short(task, system_ns)

    def set_scheduler(
        self, task: SchedTask, policy: Policy, nice: int = 0, rt_priority: int = 0
    ) -> None:
        """Schedule a task in another way from now on: chrt, nice. rt_priority: 1 to 99, or 0."""
        if policy in REAL_TIME:
            self._limit_rt()
        if task.state == "R":
            self.queues[task.cpu].change(task, policy, nice, rt_priority)
        else:
            task.take_policy(policy, nice, rt_priority)

    def set_cpus_allowed(self, task: SchedTask, mask: CpuMask) -> None:
        """Let a task run on these CPUs only from now on: taskset."""
        task.cpus_allowed = mask
        if self._allowed(task) >> task.cpu & 1:
            return
        if task.state == "R":
            self.queues[task.cpu].dequeue(task)
            self._enqueue(task, self._select(task))

    def stop(self, task: SchedTask) -> None:
        """A task ends where it is; do_exit()."""
        queue = self.queues[task.cpu]
        if task.state == "R":
            queue.dequeue(task)
        elif task.state == "D":
            queue.update()
            queue.blocked -= 1
        task.state = "X"

    def times_ns(self, task: SchedTask) -> tuple[int, int]:
        """utime and stime of a task until now; changes nothing."""
        queue = self.queues[task.cpu]
        if queue.current is not task:
            return task.utime_ns, task.stime_ns
        pending = queue.pending()
        return task.utime_ns + pending.user_ns, task.stime_ns + pending.system_ns

    def update(self) -> None:
        """Bring what everybody has used up to date."""
        for queue in self.queues:
            queue.update()

    def tick(self, this: PerCpu) -> None:
        self.queues[this.cpu].tick()

    @property
    def running(self) -> int:
        return sum(queue.running for queue in self.queues)

    @property
    def blocked(self) -> int:
        return sum(queue.blocked for queue in self.queues)

    def pull(self, idle: RunQueue) -> None:
        """newidle_balance(): a CPU with nothing to do takes a task that waits elsewhere."""
        crowded = [CpuId(cpu) for cpu, waiting in enumerate(self._waiting) if waiting]
        here, count, share_cache = idle.this.cpu, len(self.queues), self.kernel.share_cache

        def distance(cpu: CpuId) -> tuple[bool, int]:
            is_far = cpu != here and not share_cache(here, cpu)
            return is_far, cpu if is_far else (cpu - here) % count

        for cpu in sorted(crowded, key=distance):
            for task in self._waiting[cpu]:
                if self._allowed(task) >> here & 1:
                    self.queues[cpu].fair.take(task)
                    task.vruntime = 0
                    idle.enqueue(task, self.kernel.timeline.now_ns)
                    return

    def pull_rt(self, queue: RunQueue, priority: int) -> None:
        """A real-time task of this priority sleeps now: its CPU takes one that waits elsewhere."""
        here = queue.rt_priority
        for other in self.queues:
            if other is queue or not other.rt.count:
                continue
            for task in other.rt.waiting:
                if task.rt_priority > here and self._allowed(task) >> queue.this.cpu & 1:
                    other.rt.take(task)
                    queue.enqueue(task, self.kernel.timeline.now_ns)
                    here = task.rt_priority
                    break
            if here >= priority:
                return

    def push_rt(self, queue: RunQueue) -> None:
        """The real-time tasks that wait here go where they can run."""
        for task in queue.rt.waiting:
            if task.cpus_allowed.bit_count() < 2:
                continue
            cpu = self._lowest(task)
            if self.queues[cpu] is queue or self.queues[cpu].rt_priority >= task.rt_priority:
                return
            queue.rt.take(task)
            self._enqueue(task, cpu)

    def restart_limit(self, cpu: CpuId) -> None:
        """The fair server of a CPU has other parameters."""
        if (limit := self.queues[cpu].limit) is not None:
            limit.restart()

    def _limit_rt(self) -> None:
        """There are real-time tasks from now on."""
        if self._limits_rt:
            return
        self._limits_rt = True
        from pseudokern.kernel.rt_limit import FairServer, RtPeriod, RtThrottle  # few have any

        if not self.kernel.behaviour.throttles_rt:
            for queue in self.queues:
                queue.limit = FairServer(queue, self.kernel)
            return
        period = RtPeriod(self.kernel)
        period.throttles = [RtThrottle(queue, period) for queue in self.queues]
        for throttle in period.throttles:
            throttle.queue.limit = throttle

    def _enqueue(self, task: SchedTask, cpu: CpuId) -> None:
        queue, now_ns = self.queues[cpu], self.kernel.timeline.now_ns
        if cpu != task.cpu:
            task.vruntime = 0  # how much it has had counts among the tasks of one CPU
        if cpu != self.kernel.this.cpu and queue.would_preempt(task):
            self._send_reschedule(cpu)
            now_ns += self.kernel.cost.ipi_ns
        queue.enqueue(task, now_ns)

    def _allowed(self, task: SchedTask) -> CpuMask:
        """Where it may run; isolated CPUs are for those that name them."""
        kernel = self.kernel
        allowed = task.cpus_allowed & kernel.online
        return allowed & ~kernel.isolated or allowed or self._fall_back(task)

    def _fall_back(self, task: SchedTask) -> CpuMask:
        """None of its CPUs is there any more; select_fallback_rq(). A program may run anywhere
        from now on, and stays so when they are back."""
        kernel = self.kernel
        if not task.pid or task.pid in self.kernel_tasks:  # the background load of a CPU has none
            return kernel.online
        task.cpus_allowed = kernel.possible
        text = f"process {task.pid} ({task.comm}) no longer affine to cpu{task.cpu}"
        kernel.printk_ratelimit.printk(Level.WARNING, text)
        return self._allowed(task)

    def _select_rt(self, task: SchedTask, before: CpuId) -> CpuId:
        """Its last CPU, unless a real-time task runs there that it cannot preempt."""
        allowed, current = self._allowed(task), self.queues[before].current
        if not allowed >> before & 1:
            return self._lowest(task)
        if current is None or not current.is_rt:
            return before
        pinned = current.cpus_allowed.bit_count() < 2
        if not pinned and current.rt_priority < task.rt_priority:
            return before
        cpu = self._lowest(task)
        return cpu if self.queues[cpu].rt_priority < task.rt_priority else before

    def _lowest(self, task: SchedTask) -> CpuId:
        """Where a real-time task would do best: find_lowest_rq()."""
        allowed, before = self._allowed(task), CpuId(task.cpu)
        level = min(self.queues[cpu].rt_priority for cpu in cpus_of(allowed))
        near = (before, self.kernel.this.cpu, *self._near(before), *cpus_of(allowed))
        return next(
            cpu for cpu in near if allowed >> cpu & 1 and self.queues[cpu].rt_priority == level
        )

    def _select(self, task: SchedTask) -> CpuId:
        if task.is_rt:
            return self._select_rt(task, CpuId(task.cpu))
        allowed, here, before = self._allowed(task), self.kernel.this.cpu, CpuId(task.cpu)
        if not allowed >> here & 1:
            here = before if allowed >> before & 1 else first_cpu(allowed)
        if not allowed >> before & 1:
            before = here
        if self._is_idle(here):  # but for the interrupt that wakes
            stays = self._is_idle(before) and before in self._near(here)
        else:
            stays = self.queues[before].running <= self.queues[here].running
        target = before if stays else here
        if self._is_idle(target):
            return target
        near = self._near(target)
        return next((cpu for cpu in near if allowed >> cpu & 1 and self._is_idle(cpu)), target)

    def _is_idle(self, cpu: CpuId) -> bool:
        return self.kernel.is_online(cpu) and self.queues[cpu].is_idle

    def _near(self, cpu: CpuId) -> list[CpuId]:
        """The CPUs that share its last cache, from itself on upwards and around."""
        if cpu not in self._neighbours:
            share_cache, count = self.kernel.share_cache, self.kernel.nr_cpu_ids
            group = [
                CpuId(other)
                for other in range(count)
                if other == cpu or share_cache(cpu, CpuId(other))
            ]
            for place, member in enumerate(group):
                self._neighbours[member] = group[place:] + group[:place]
        return self._neighbours[cpu]

    def _cpu_changed(self, cpu: CpuId) -> None:
        if self.kernel.is_online(cpu):
            return
        for task in self.queues[cpu].take_all():
            self._enqueue(task, self._select(task))
