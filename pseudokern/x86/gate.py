"""Take the short way for the common case: an edge, by message, to a CPU that is free.

Sending the message, accepting it in the APIC, taking the vector, finding the descriptor, running
handle_edge_irq() and its handler, and leaving the interrupt are one function here, in which
nothing is asked that can be known before: what Linux does with static keys. A gate is built for
(descriptor, CPU, vector) and thrown away whenever anything changes that it was built on: see
is_plain(). What can differ from one interrupt to the next is asked: is the CPU free, what did
the handler say. In every other case the general way is taken, from the APIC on; it is also what
the tests hold this one against.

Hot path: counts are kept here and folded into the descriptor when somebody reads them.
"""

from collections.abc import Callable

from pseudokern.hw.cpu import Cpu
from pseudokern.hw.vector import Vector
from pseudokern.irq.action import IrqAction
from pseudokern.irq.chip import handle_edge_irq
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.flags import IrqData, IrqReturn, IrqSetting
from pseudokern.irq.handle import judge
from pseudokern.kernel.kernel import Kernel
from pseudokern.x86.msi_chip import MsiChip, message_of
from pseudokern.x86.vector import VectorDomain

_UNUSUAL = (
    IrqData.SETAFFINITY_PENDING
    | IrqData.PER_CPU
    | IrqData.IRQ_DISABLED
    | IrqData.IRQ_MASKED
    | IrqData.IRQ_INPROGRESS
    | IrqData.WAKEUP_ARMED
)
_HANDLED = IrqReturn.HANDLED


class EdgeGate:
    """The short way of one interrupt to one CPU; count is what it handled since the last fold."""

    __slots__ = ("_action", "_cost_ns", "_cpu", "_desc", "_handler", "_irq_exit", "_kernel",
                 "_this", "_vector", "count")  # fmt: skip

    def __init__(
        self, kernel: Kernel, desc: IrqDesc, action: IrqAction, cpu: Cpu, vector: Vector
    ) -> None:
        self.count = 0
        self._kernel = kernel
        self._desc = desc
        self._action = action
        self._handler = action.handler
        self._cpu = cpu
        self._this = kernel.cpus[cpu.number]
        self._vector = vector
        self._cost_ns = kernel.cost.overhead_ns + action.cost_ns
        self._irq_exit = kernel.softirqs.irq_exit

    def fire(self, now_ns: int) -> None:
        """One interrupt."""
        cpu = self._cpu
        if now_ns < cpu.ready_ns:
            cpu.apic.accept(self._vector)
            return
        self.count += 1
        cost_ns = self._cost_ns
        # The CPU is busy from here on: what the handler itself brings about waits in IRR.
        cpu.ready_ns = cpu.busy_until_ns = end_ns = now_ns + cost_ns
        kernel, this = self._kernel, self._this
        outer, kernel.this = kernel.this, this
        try:
            if (answer := self._handler()) is not _HANDLED:
                judge(self._desc, self._action, answer)
        finally:
            if this.softirq_pending:
                self._irq_exit(this, end_ns, cost_ns)
            kernel.this = outer

    def fold(self) -> None:
        if count := self.count:
            self.count = 0
            self._desc.count_many(self._this.cpu, count)
            self._this.hardirq_ns += count * self._cost_ns


class Gates:
    """Builds and removes the short ways. `enabled` False: every interrupt goes the general way."""

    def __init__(self, kernel: Kernel, vectors: VectorDomain) -> None:
        self.enabled = True
        self._kernel = kernel
        self._vectors = vectors

    def rebuild(self, desc: IrqDesc) -> None:
        """Fit desc with a gate, or with none, according to its state now."""
        if not isinstance(desc.chip, MsiChip):
            return
        if desc.fast_counts is not None:
            desc.fast_counts.fold()
            desc.fast_counts = None
        trigger: Callable[[int], None] | None = None
        if self.enabled and self._is_plain(desc):
            data = self._vectors.data(desc)
            cpu = self._vectors.cpus[data.cpu]
            gate = EdgeGate(self._kernel, desc, desc.actions[0], cpu, Vector(data.vector))
            desc.fast_counts = gate
            trigger = gate.fire
        message_of(desc).set_gate(trigger)

    def _is_plain(self, desc: IrqDesc) -> bool:
        return (
            desc.handle_irq is handle_edge_irq
            and len(desc.actions) == 1
            and not desc.istate
            and not desc.dstate & _UNUSUAL
            and not desc.settings & IrqSetting.NO_DEBUG
            and not desc.irqs_unhandled
            and bool(self._vectors.data(desc).vector)
            and not self._vectors.data(desc).move_in_progress
        )
