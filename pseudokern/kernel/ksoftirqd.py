"""Run softirqs in a thread when there are too many of them, or when no interrupt will run them.

Follows run_ksoftirqd() and wakeup_softirqd() of kernel/softirq.c: one ksoftirqd/N for each CPU.
What interrupts raise meanwhile runs at their exit all the same, as it does since 6.4.

On Linux the threads are there from boot on; here each is made when it is woken first. As no
program competes for the CPU, what a thread does to the others is to come a wake-up later. Where
programs do, ksoftirqd_task.py has the threads.
"""

from pseudokern.kernel.cpumask import CpuId
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.kthread import KEvent, KThread, KThreads, sleep_ns
from pseudokern.kernel.percpu import PerCpu


class Ksoftirqd:
    """The threads that were needed so far. One that a bug in a softirq has killed is replaced."""

    def __init__(self, kernel: Kernel, threads: KThreads) -> None:
        self._kernel = kernel
        self._threads = threads
        self._events: dict[CpuId, KEvent] = {}
        self._threads_of: dict[CpuId, KThread] = {}

    def wake(self, this: PerCpu) -> None:
        """Have the thread of this CPU run what is pending there. From any context."""
        event = self._events.get(this.cpu)
        if event is None or self._threads_of[this.cpu].state == "X":
            event = self._events[this.cpu] = KEvent()
            name, cpus = f"ksoftirqd/{this.cpu}", 1 << this.cpu
            thread = self._threads.create(name, self._main(this, event), cpus_allowed=cpus)
            thread.is_ksoftirqd = True
            self._threads_of[this.cpu] = thread
        event.set()

    async def _main(self, this: PerCpu, event: KEvent) -> None:
        timeline = self._kernel.timeline
        while True:
            await event
            while this.softirq_pending:
                if (wait_ns := this.softirq_end_ns - timeline.now_ns) > 0:
                    await sleep_ns(wait_ns)
                    continue
                self._kernel.softirqs.run_ksoftirqd(this, timeline.now_ns)
