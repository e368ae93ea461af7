"""Share the CPUs between the programs: where a task wakes, and who pulls it away from there.

Follows select_idle_sibling(), wake_affine() and newidle_balance() of kernel/sched/fair.c. What one
CPU does with its tasks is in runqueue.py.

Machines without applications have no scheduler: see drivers/programs.py for what keeps theirs busy.
Not modelled: other policies, nice, balancing by the tick (a CPU that becomes idle does pull).
"""

from collections.abc import Callable

from pseudokern.kernel.cpumask import CpuId, CpuMask, cpus_of, first_cpu
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.runqueue import RunQueue
from pseudokern.kernel.sched_task import SchedTask

BASE_SLICE_NS = 750_000  # sysctl_sched_base_slice, before it is scaled by the CPUs
MOST_SCALING_CPUS = 8


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

    def cut_short(self, task: SchedTask) -> None:
        """Have a task make its next step as soon as it has the CPU. From any context."""
        self.queues[task.cpu].cut_short(task)

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
