"""Handle interrupts of a queue that is a count, when nothing else goes on on their CPU.

A poll of one packet only takes it away, so nobody has to be called: see CountedGate.
"""

from collections.abc import Callable
from typing import Final

from pseudokern.hw.cpu import Cpu
from pseudokern.irq.desc import IrqDesc
from pseudokern.kernel.napi import CountedNapi
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.softirq import Softirq

# Python has ints up to 256 ready. With larger counts, each of them made anew and kept somewhere
# else, one interrupt on 256 CPUs takes 4 % longer.
MOST_POLLS: Final = 256


class CountedPolls:
    """The interrupts of one queue on one CPU; polls is since the last fold.

    cost_ns, work_ns  of the interrupt, and of interrupt and poll together
    otherwise         handles an interrupt in all other cases
    """

    __slots__ = ("_cost_ns", "_cpu", "_desc", "_napi", "_otherwise", "_this", "_work_ns", "polls")

    def __init__(
        self,
        desc: IrqDesc,
        napi: CountedNapi,
        cost_ns: int,
        work_ns: int,
        otherwise: Callable[[int], None],
    ) -> None:
        self.polls = 0
        self._desc = desc
        self._napi = napi
        self._cost_ns = cost_ns
        self._work_ns = work_ns
        self._otherwise = otherwise
        self._cpu: Cpu
        self._this: PerCpu

    def install(self, cpu: Cpu, this: PerCpu) -> None:
        """Come to this CPU from now on."""
        self._cpu, self._this = cpu, this

    def arrive(self, now_ns: int) -> None:
        """A packet comes to the queue, interrupts and is polled. Hot path."""
        cpu, this, napi = self._cpu, self._this, self._napi
        if (
            now_ns < cpu.ready_ns
            or now_ns < this.softirq_end_ns
            or this.softirq_pending
            or napi.unpolled
            or napi.scheduled
        ):
            napi.unpolled += 1
            if not napi.scheduled:
                self._otherwise(now_ns)
            return
        self.polls = polls = self.polls + 1
        cpu.ready_ns = cpu.busy_until_ns = now_ns + self._cost_ns
        this.softirq_end_ns = now_ns + self._work_ns
        if polls == MOST_POLLS:
            self.fold()

    def fold(self) -> None:
        """Add what was counted to where others look."""
        if polls := self.polls:
            this, self.polls = self._this, 0
            self._desc.count_many(this.cpu, polls)
            this.hardirq_ns += polls * self._cost_ns
            this.softirq_ns += polls * (self._work_ns - self._cost_ns)
            this.softirq_counts[Softirq.NET_RX] += polls
            self._napi.packets += polls
            this.rx_packets += polls
