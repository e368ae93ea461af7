"""Call functions at a jiffy, in the TIMER softirq of a CPU.

Follows kernel/time/timer.c: timer_setup(), mod_timer(), del_timer(). A timer expires at the
first tick of its CPU at or after its jiffy.
"""

from collections.abc import Callable
from heapq import heappop, heappush

from pseudokern.kernel.cpumask import CpuId
from pseudokern.kernel.percpu import PerCpu

NEVER = 1 << 62


class Timer:
    """A callback and the jiffy at which it is due; NEVER if it is not armed."""

    __slots__ = ("callback", "cpu", "expires")

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.cpu = CpuId(0)
        self.expires = NEVER


class TimerWheel:
    """The armed timers of every CPU."""

    def __init__(self, nr_cpu_ids: int) -> None:
        self._heaps: list[list[tuple[int, int, Timer]]] = [[] for _ in range(nr_cpu_ids)]
        self._armed = 0
        self.on_earlier: Callable[[CpuId], None] = lambda _cpu: None

    def mod_timer(self, timer: Timer, expires: int, cpu: CpuId) -> None:
        """Arm timer for the jiffy `expires` on cpu, in place of any earlier setting."""
        timer.expires, timer.cpu = expires, cpu
        self._armed += 1
        heappush(self._heaps[cpu], (expires, self._armed, timer))
        if self._heaps[cpu][0][2] is timer:
            self.on_earlier(cpu)

    def del_timer(self, timer: Timer) -> None:
        timer.expires = NEVER

    def migrate(self, cpu: CpuId, target: CpuId) -> None:
        """cpu is down: target calls what was armed there."""
        heap, self._heaps[cpu] = self._heaps[cpu], []
        for expires, _, timer in heap:
            if timer.expires == expires:
                self.mod_timer(timer, expires, target)

    def next_expiry(self, cpu: CpuId) -> int:
        """The jiffy at which cpu has something to do; NEVER if nothing is armed."""
        heap = self._heaps[cpu]
        while heap and (heap[0][2].expires, heap[0][2].cpu) != (heap[0][0], cpu):
            heappop(heap)
        return heap[0][0] if heap else NEVER

    def run(self, this: PerCpu, jiffies: int) -> int:
        """Call everything on this CPU that is due by jiffies; return how many."""
        called = 0
        while self.next_expiry(this.cpu) <= jiffies:
            timer = heappop(self._heaps[this.cpu])[2]
            timer.expires = NEVER
            timer.callback()
            called += 1
        return called
