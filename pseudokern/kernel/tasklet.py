"""Put work off to a softirq, one piece at a time: tasklets.

Follows tasklet_action_common() and its neighbours in kernel/softirq.c. A tasklet is scheduled at
most once, runs on the CPU that scheduled it, and never twice at a time.

Linux raises the softirq of a disabled tasklet again and again, until it is enabled; here it waits.
"""

import itertools
from collections.abc import Callable

from pseudokern.kernel.context import in_interrupt
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.softirq import Softirq


class Tasklet:
    """A callback; disabled counts, and while it is not 0 the callback waits. tasklet_setup()."""

    __slots__ = ("callback", "disabled", "is_high", "is_scheduled")

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.disabled = 0
        self.is_high = False
        self.is_scheduled = False


class Tasklets:
    """The lists of every CPU: HI runs before all softirqs, TASKLET after the devices'."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._lists: dict[Softirq, list[list[Tasklet]]] = {}
        self._held_back: list[Tasklet] = []
        for number in (Softirq.HI, Softirq.TASKLET):
            self._lists[number] = [[] for _ in kernel.cpus]
            kernel.softirqs.open_softirq(number, self._action(number))
        kernel.on_cpu_change(self._cpu_changed)

    def schedule(self, tasklet: Tasklet, *, high: bool = False) -> None:
        """Call it on this CPU, once, when bottom halves run. From any context."""
        if not tasklet.is_scheduled:
            tasklet.is_scheduled, tasklet.is_high = True, high
            self._add(tasklet, self._kernel.this)

    def disable(self, tasklet: Tasklet) -> None:
        """Keep it from running until it is enabled as often. From any context."""
        tasklet.disabled += 1

    def enable(self, tasklet: Tasklet) -> None:
        """Undo one disable(). If it was scheduled meanwhile, it runs on this CPU."""
        tasklet.disabled -= 1
        if not tasklet.disabled and tasklet in self._held_back:
            self._held_back.remove(tasklet)
            self._add(tasklet, self._kernel.this)

    def kill(self, tasklet: Tasklet) -> None:
        """Take it off its list; as nothing runs halfway, it does not run now either."""
        if tasklet.is_scheduled:
            tasklet.is_scheduled = False
            for waiting in (self._held_back, *itertools.chain(*self._lists.values())):
                if tasklet in waiting:
                    waiting.remove(tasklet)

    def _add(self, tasklet: Tasklet, this: PerCpu) -> None:
        number = Softirq.HI if tasklet.is_high else Softirq.TASKLET
        self._lists[number][this.cpu].append(tasklet)
        inside = in_interrupt(self._kernel) and this is self._kernel.this
        self._kernel.softirqs.raise_softirq(this, 1 << number, in_interrupt=inside)

    def _action(self, number: Softirq) -> Callable[[PerCpu, int], int]:
        def run(this: PerCpu, now_ns: int) -> int:
            waiting, self._lists[number][this.cpu] = self._lists[number][this.cpu], []
            for position, tasklet in enumerate(waiting):
                if tasklet.disabled:
                    self._held_back.append(tasklet)
                    continue
                tasklet.is_scheduled = False
                try:
                    tasklet.callback()
                except BaseException:
                    self._lists[number][this.cpu][:0] = waiting[position + 1 :]
                    raise
                now_ns += self._kernel.cost.softirq_item_ns
            return now_ns

        return run

    def _cpu_changed(self, cpu: int) -> None:
        """takeover_tasklets(): another CPU does what a dead one had to do."""
        if self._kernel.online >> cpu & 1:
            return
        heir = self._kernel.cpus[0]
        for number, lists in self._lists.items():
            waiting, lists[cpu] = lists[cpu], []
            lists[heir.cpu] += waiting
            if waiting:
                self._kernel.softirqs.raise_softirq(heir, 1 << number, in_interrupt=False)
