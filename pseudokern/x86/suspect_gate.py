"""Take the short way for a line that is under suspicion, so that a storm does not take for ever.

As long as somebody counts what nobody handles, every interrupt has to be judged. A storm needs
100,000 of them before Linux disables the line: 5000 -> 1000 ns each.
"""

from pseudokern.irq.flags import IrqReturn
from pseudokern.irq.handle import judge
from pseudokern.irq.spurious import note_unhandled
from pseudokern.x86.gate import EdgeGate


class SuspectGate(EdgeGate):
    """The short way of a line whose interrupts are judged one by one."""

    __slots__ = ()

    def fire(self, now_ns: int) -> None:
        """One interrupt."""
        cpu = self._cpu
        if now_ns < cpu.ready_ns:
            cpu.put_off(self._vector)
            return
        self.count += 1
        cpu.ready_ns = cpu.busy_until_ns = now_ns + self._cost_ns
        kernel, this = self._kernel, self._this
        outer, kernel.this = kernel.this, this
        try:
            answer = self._action.handler()
            if answer is IrqReturn.NONE:
                note_unhandled(self._desc, now_ns)
            else:
                judge(self._desc, self._action, answer)
        finally:
            if this.softirq_pending or now_ns < this.softirq_end_ns:
                end_ns = cpu.busy_until_ns
                kernel.softirqs.irq_exit(this, end_ns, end_ns - now_ns)
            kernel.this = outer
