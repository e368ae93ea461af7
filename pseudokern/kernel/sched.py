"""Share each CPU between the programs that are runnable on it, one at a time.

Follows kernel/sched/fair.c for tasks of nice 0, with RUN_TO_PARITY: who runs goes on until it has
had a slice, which the tick notices; then whoever has had the least comes next. A task that has
slept gets no credit for it. Where a task wakes follows select_idle_sibling() and wake_affine().

A task gets the time in which its CPU is on and that nobody else is charged with: interrupts,
softirqs and kernel threads take theirs out of it, and it is done so much later.

Machines without applications have no scheduler: see drivers/programs.py for what keeps theirs busy.
Not modelled: other policies, nice, balancing by the tick (a CPU that becomes idle does pull).
"""

from collections.abc import Callable

from pseudokern.kernel.cpumask import CpuId, CpuMask, cpus_of, first_cpu
from pseudokern.kernel.cputime import unclaimed
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.percpu import PerCpu
from pseudokern.sim.alarm import Alarm

BASE_SLICE_NS = 750_000  # sysctl_sched_base_slice, before it is scaled by the CPUs
MOST_SCALING_CPUS = 8


class SchedTask:
    """A task of nice 0; struct task_struct. What it does is in step().

    is_kernel        it is a kernel thread
    state            R: runs or could; S: sleeps; D: sleeps for I/O
    cpu              where it runs, or ran last
    system_left_ns, user_left_ns  CPU time until its next step: in the kernel first
    utime_ns, stime_ns, vruntime_ns  CPU time that it has had
    """

    is_kernel = False

    def __init__(self, pid: int, comm: str, cpus_allowed: CpuMask, start_ns: int) -> None:
        self.pid = pid
        self.comm = comm
        self.cpus_allowed = cpus_allowed
        self.start_ns = start_ns
        self.state = "S"
        self.cpu = first_cpu(cpus_allowed)
        self.system_left_ns = 0
        self.user_left_ns = 0
        self.utime_ns = 0
        self.stime_ns = 0
        self.vruntime_ns = 0
        self.voluntary_switches = 0
        self.involuntary_switches = 0

    @property
    def left_ns(self) -> int:
        return self.system_left_ns + self.user_left_ns

    def compute(self, *, system_ns: int = 0, user_ns: int = 0) -> None:
        """Take so much CPU time, in the kernel and then outside, before the next step."""
        self.system_left_ns += system_ns
        self.user_left_ns += user_ns

    def delay(self, duration_ns: int) -> None:
        self.compute(system_ns=duration_ns)

    def step(self) -> None:
        """It has the CPU and has done what it wanted: compute(), or change state to sleep."""
        raise NotImplementedError


class RunQueue:
    """The tasks of one CPU; struct rq.

    waiting   runnable tasks that do not run
    blocked   tasks that sleep for I/O, and did it here; iowait_ns: idle time while there were any
    """

    def __init__(self, sched: "Scheduler", this: PerCpu) -> None:
        self.this = this
        self.current: SchedTask | None = None
        self.waiting: list[SchedTask] = []
        self.blocked = 0
        self.iowait_ns = 0
        self._sched = sched
        self._kernel = sched.kernel
        self._alarm = Alarm(sched.kernel.timeline, self._ring)
        self._idle_ns, self._free_ns = unclaimed(self._kernel, this)
        self._least_vruntime_ns = 0
        self._picked_vruntime_ns = 0
        self._needs_resched = False

    @property
    def running(self) -> int:
        """nr_running."""
        return len(self.waiting) + (self.current is not None)

    def update(self) -> None:
        """Charge the time since the last update; update_curr()."""
        this = self.this
        if not self._kernel.is_online(this.cpu):
            return
        unclaimed_ns, self._free_ns = unclaimed(self._kernel, this)
        ran_ns = unclaimed_ns - self._idle_ns
        if ran_ns <= 0:
            return  # somebody is charged with more than has passed; that is made up for first
        task = self.current
        if task is None:
            self._idle_ns = unclaimed_ns
            if self.blocked:
                self.iowait_ns += ran_ns
            return
        ran_ns = min(ran_ns, task.left_ns)
        system_ns = min(ran_ns, task.system_left_ns)
        user_ns = ran_ns - system_ns
        task.system_left_ns -= system_ns
        task.user_left_ns -= user_ns
        task.stime_ns += system_ns
        task.utime_ns += user_ns
        task.vruntime_ns += ran_ns
        this.system_ns += system_ns
        this.user_ns += user_ns

    def enqueue(self, task: SchedTask, at_ns: int) -> None:
        """A task is runnable here, from at_ns on if the CPU is idle."""
        self.update()
        known = [other.vruntime_ns for other in (self.current, *self.waiting) if other is not None]
        self._least_vruntime_ns = max(self._least_vruntime_ns, min(known, default=0))
        task.vruntime_ns = max(task.vruntime_ns, self._least_vruntime_ns)
        task.cpu = self.this.cpu
        self.waiting.append(task)
        if self.current is None:
            self._alarm.set(at_ns)
        elif self.running == 2:
            self._sched.keep_ticking(self.this)  # a CPU of nohz_full= stood still until now

    def tick(self) -> None:
        """Whoever has had its slice lets another one run; update_deadline()."""
        self.update()
        task = self.current
        if task is None or not self.waiting:
            return
        if task.vruntime_ns - self._picked_vruntime_ns >= self._sched.slice_ns:
            self._needs_resched = True
            self._alarm.set(self._kernel.timeline.now_ns)

    def take_all(self) -> list[SchedTask]:
        """The CPU goes down: what was runnable here."""
        tasks = [*([] if self.current is None else [self.current]), *self.waiting]
        self.waiting.clear()
        if self.current is not None:
            self._begin(None)
        self._alarm.cancel()
        return tasks

    def _ring(self) -> None:
        kernel = self._kernel
        outer, kernel.this = kernel.this, self.this
        try:
            self._schedule()
        finally:
            kernel.this = outer

    def _schedule(self) -> None:
        """The task that runs is done with a step, or the tick wants another one."""
        self.update()
        while True:
            task = self.current
            if task is None or (self._needs_resched and self.waiting):
                task = self._switch()
                if task is None:
                    self._alarm.cancel()
                    return
            self._needs_resched = False
            while not task.left_ns and task.state == "R":
                task.step()
            if task.state == "R":
                self._alarm.set(self._free_ns + task.left_ns)
                return
            task.voluntary_switches += 1
            if task.state == "D":
                self.blocked += 1
            self._least_vruntime_ns = max(self._least_vruntime_ns, task.vruntime_ns)
            if not self.waiting:
                self._sched.pull(self)
            if not self.waiting:
                self._begin(None)
            else:
                self.current = None

    def _switch(self) -> SchedTask | None:
        """Run whoever has had the least; __schedule()."""
        before = self.current
        if not self.waiting:
            return None
        task = min(self.waiting, key=lambda waiting: waiting.vruntime_ns)
        self.waiting.remove(task)
        cost_ns = self._kernel.cost.thread_ns
        if before is not None:
            before.involuntary_switches += 1
            self.waiting.append(before)
            cost_ns //= 2
        self._begin(task)
        self._picked_vruntime_ns = task.vruntime_ns
        task.compute(system_ns=cost_ns)
        return task

    def _begin(self, task: SchedTask | None) -> None:
        """context_switch(). None: the idle task."""
        this = self.this
        was_idle = this.is_idle
        self.current = this.current = task
        this.context_switches += 1
        this.idle_ns = self._idle_ns
        if task is None:
            this.user_since_ns = -1
        elif was_idle:
            this.user_since_ns = self._kernel.timeline.now_ns
            self._sched.keep_ticking(this)


class Scheduler:
    """The run queues of all CPUs, and where tasks wake.

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
        self.kernel_tasks: dict[int, SchedTask] = {}
        self.queues = [RunQueue(self, this) for this in kernel.cpus]
        self._send_reschedule = send_reschedule
        self._neighbours: dict[CpuId, list[CpuId]] = {}
        kernel.on_cpu_change(self._cpu_changed)

    def start(self, task: SchedTask) -> None:
        """wake_up_new_task(): where the fewest tasks run, the lowest CPU of those."""
        cpu = min(cpus_of(self._allowed(task)), key=lambda cpu: self.queues[cpu].running)
        task.state = "R"
        self.queues[cpu].enqueue(task, self.kernel.timeline.now_ns)

    def wake(self, task: SchedTask) -> None:
        """try_to_wake_up(), by code that runs on kernel.this."""
        if task.state == "R":
            return
        if task.state == "D":
            queue = self.queues[task.cpu]
            queue.update()
            queue.blocked -= 1
        task.state = "R"
        self._enqueue(task, self._select(task))

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
        for cpu in (*self._near(idle.this.cpu), *cpus_of(self.kernel.online)):
            for task in self.queues[cpu].waiting:
                if self._allowed(task) >> idle.this.cpu & 1:
                    self.queues[cpu].waiting.remove(task)
                    task.vruntime_ns = 0
                    idle.enqueue(task, self.kernel.timeline.now_ns)
                    return

    def _enqueue(self, task: SchedTask, cpu: CpuId) -> None:
        queue, now_ns = self.queues[cpu], self.kernel.timeline.now_ns
        if cpu != task.cpu:
            task.vruntime_ns = 0  # how much it has had counts among the tasks of one CPU
        if cpu != self.kernel.this.cpu and queue.current is None:
            self._send_reschedule(cpu)
            now_ns += self.kernel.cost.ipi_ns
        queue.enqueue(task, now_ns)

    def _allowed(self, task: SchedTask) -> CpuMask:
        """Where it may run; isolated CPUs are for those that name them."""
        kernel = self.kernel
        allowed = task.cpus_allowed & kernel.online
        return allowed & ~kernel.isolated or allowed or kernel.online

    def _select(self, task: SchedTask) -> CpuId:
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
        return self.kernel.is_online(cpu) and not self.queues[cpu].running

    def _near(self, cpu: CpuId) -> list[CpuId]:
        """The CPUs that share its last cache, from itself on upwards and around."""
        found = self._neighbours.get(cpu)
        if found is None:
            share_cache, count = self.kernel.share_cache, self.kernel.nr_cpu_ids
            order = (CpuId((cpu + step) % count) for step in range(count))
            found = [other for other in order if other == cpu or share_cache(cpu, other)]
            self._neighbours[cpu] = found
        return found

    def _cpu_changed(self, cpu: CpuId) -> None:
        if self.kernel.is_online(cpu):
            return
        for task in self.queues[cpu].take_all():
            self._enqueue(task, self._select(task))
