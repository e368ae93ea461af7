"""Call functions at a nanosecond: high-resolution timers.

Follows kernel/time/hrtimer.c and kernel/time/tick-sched.c. A CPU has one clock event device, for
the tick and for these; it is programmed for whatever comes first. A hard timer's callback runs in
that interrupt, a soft one's in the HRTIMER softirq.
"""

from collections.abc import Callable
from heapq import heappop, heappush

from pseudokern.kernel.cpumask import CpuId
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.softirq import Softirq

NEVER_NS = 1 << 62

Program = Callable[[CpuId, int], None]


class HrTimer:
    """A callback and the time at which it is due; NEVER_NS if it is not armed. hrtimer_setup()."""

    __slots__ = ("callback", "cpu", "expires_ns", "is_soft")

    def __init__(self, callback: Callable[[], None], *, is_soft: bool) -> None:
        self.callback = callback
        self.is_soft = is_soft
        self.cpu = CpuId(0)
        self.expires_ns = NEVER_NS

    @property
    def is_armed(self) -> bool:
        return self.expires_ns != NEVER_NS


class HrTimers:
    """The armed timers of every CPU, beside the tick. program(cpu, at_ns) arms its device."""

    def __init__(self, kernel: Kernel, program: Program) -> None:
        self._kernel = kernel
        self._program = program
        self._hard: list[list[tuple[int, int, HrTimer]]] = [[] for _ in kernel.cpus]
        self._soft: list[list[tuple[int, int, HrTimer]]] = [[] for _ in kernel.cpus]
        self._tick_ns = [NEVER_NS] * len(kernel.cpus)
        self._started = 0
        kernel.softirqs.open_softirq(Softirq.HRTIMER, self._run_soft)
        kernel.on_cpu_change(self._cpu_changed)

    def start(self, timer: HrTimer, expires_ns: int) -> None:
        """Arm timer on this CPU, in place of any earlier setting. From any context."""
        self._arm(timer, expires_ns, self._kernel.this.cpu)

    def cancel(self, timer: HrTimer) -> bool:
        """Disarm timer. False: it was not armed."""
        was_armed, timer.expires_ns = timer.is_armed, NEVER_NS
        return was_armed

    def set_tick(self, cpu: CpuId, at_ns: int) -> None:
        """The tick of cpu is due then; what the tick programs its device with."""
        self._tick_ns[cpu] = at_ns
        self._reprogram(cpu)

    def take_tick(self, cpu: CpuId) -> bool:
        """In the device's interrupt: whether the tick was what it came for."""
        if self._tick_ns[cpu] > self._kernel.timeline.now_ns:
            return False
        self._tick_ns[cpu] = NEVER_NS
        return True

    def interrupt(self, this: PerCpu) -> int:
        """In the device's interrupt: call what is due, and return how many that were."""
        called = self._run(self._hard[this.cpu], this.cpu)
        if self._first_ns(self._soft[this.cpu], this.cpu) <= self._kernel.timeline.now_ns:
            this.softirq_pending |= 1 << Softirq.HRTIMER
        self._reprogram(this.cpu)
        return called

    def _arm(self, timer: HrTimer, expires_ns: int, cpu: CpuId) -> None:
        timer.expires_ns, timer.cpu = expires_ns, cpu
        self._started += 1
        heappush(
            (self._soft if timer.is_soft else self._hard)[cpu], (expires_ns, self._started, timer)
        )
        self._reprogram(cpu)

    def _reprogram(self, cpu: CpuId) -> None:
        now_ns = self._kernel.timeline.now_ns
        soft_ns = self._first_ns(self._soft[cpu], cpu)
        if self._kernel.cpus[cpu].softirq_pending >> Softirq.HRTIMER & 1 and soft_ns <= now_ns:
            soft_ns = NEVER_NS  # the softirq will look after it, and program the device again
        next_ns = min(self._tick_ns[cpu], self._first_ns(self._hard[cpu], cpu), soft_ns)
        if next_ns != NEVER_NS:
            self._program(cpu, next_ns)

    def _first_ns(self, heap: list[tuple[int, int, HrTimer]], cpu: CpuId) -> int:
        while heap and (heap[0][2].expires_ns, heap[0][2].cpu) != (heap[0][0], cpu):
            heappop(heap)
        return heap[0][0] if heap else NEVER_NS

    def _run(self, heap: list[tuple[int, int, HrTimer]], cpu: CpuId) -> int:
        called, now_ns = 0, self._kernel.timeline.now_ns
        while self._first_ns(heap, cpu) <= now_ns:
            timer = heappop(heap)[2]
            timer.expires_ns = NEVER_NS
            timer.callback()
            called += 1
        return called

    def _run_soft(self, this: PerCpu, now_ns: int) -> int:
        called = self._run(self._soft[this.cpu], this.cpu)
        self._reprogram(this.cpu)
        return now_ns + called * self._kernel.cost.softirq_item_ns

    def _cpu_changed(self, cpu: CpuId) -> None:
        """hrtimers_cpu_dying(): what a dead CPU had armed goes to another."""
        if self._kernel.is_online(cpu):
            return
        self._tick_ns[cpu] = NEVER_NS
        for heaps in (self._hard, self._soft):
            heap, heaps[cpu] = heaps[cpu], []
            for expires_ns, _, timer in heap:
                if (timer.expires_ns, timer.cpu) == (expires_ns, cpu):
                    self._arm(timer, expires_ns, CpuId(0))
