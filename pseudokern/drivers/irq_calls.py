"""Offer a driver what Linux's interrupt core offers, by the number of the interrupt.

Each is a function of pseudokern/irq with this device as dev_id; what it may be refused with stands
there. What few drivers need is imported when one does.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pseudokern.irq.action import Handler, IrqAction, ThreadFunction
from pseudokern.irq.desc import Irq, IrqDesc
from pseudokern.irq.flags import Irqf
from pseudokern.irq.manage import (
    disable_hardirq,
    disable_irq,
    disable_irq_nosync,
    enable_irq,
    irq_set_affinity,
    irq_set_affinity_and_hint,
    irq_set_irq_type,
    irq_set_irq_wake,
    irq_update_affinity_hint,
    synchronize_irq,
)
from pseudokern.irq.request import IrqContext, free_irq, request_any_context_irq, request_irq
from pseudokern.irq.thread import Quiet
from pseudokern.kernel.cpumask import CpuMask
from pseudokern.x86.pc import Pc

if TYPE_CHECKING:
    from pseudokern.irq.notify import AffinityNotifier


class IrqCalls:
    """The part of a device that talks to the interrupt core."""

    def __init__(self, pc: Pc) -> None:
        self.pc = pc
        self._requested: list[tuple[IrqDesc, object]] = []

    def request_irq(
        self,
        irq: Irq,
        handler: Handler,
        *,
        name: str,
        flags: int = Irqf.NONE,
        cost_ns: int | None = None,
    ) -> IrqAction:
        """request_irq() with this device as dev_id; errno as there."""
        return self._noted(
            irq, request_irq(self.pc.irqs, irq, handler, flags, name, self, cost_ns=cost_ns)
        )

    def request_threaded_irq(
        self,
        irq: Irq,
        handler: Handler | None,
        thread_fn: ThreadFunction,
        *,
        name: str,
        flags: int = Irqf.NONE,
    ) -> IrqAction:
        """The same with a thread, in which thread_fn may sleep: see irq/request.py."""
        return self._noted(
            irq, request_irq(self.pc.irqs, irq, handler, flags, name, self, thread_fn=thread_fn)
        )

    def request_any_context_irq(
        self, irq: Irq, handler: Handler, *, name: str, flags: int = Irqf.NONE
    ) -> IrqContext:
        """The same for a line that may be nested: then handler is called in a thread."""
        context = request_any_context_irq(self.pc.irqs, irq, handler, flags, name, self)
        self._requested.append((self.pc.irqs[irq], self))
        return context

    def request_percpu_irq(
        self, irq: Irq, handler: Callable[[Any], Any], dev_id: Sequence[Any], *, name: str
    ) -> IrqAction:
        """A line that every CPU has for itself; handler gets dev_id of its CPU. irq/percpu.py
        has enable_percpu_irq() and free_percpu_irq()."""
        from pseudokern.irq.percpu import request_percpu_irq

        return request_percpu_irq(self.pc.irqs, irq, handler, name, dev_id)

    def request_nmi(
        self, irq: Irq, handler: Handler, *, name: str, flags: int = Irqf.PERCPU | Irqf.NO_AUTOEN
    ) -> IrqAction:
        """A line that comes as an NMI, if its controller can do that; free_nmi() is its end."""
        from pseudokern.irq.nmi import request_nmi

        return request_nmi(self.pc.irqs, irq, handler, flags, name, self)

    def free_irq(self, irq: Irq) -> None:
        """Take this device's handler off a line. Not from an interrupt."""
        desc = self.pc.irqs.find(irq)
        self._requested = [(d, dev_id) for d, dev_id in self._requested if d is not desc]
        free_irq(desc, self)

    def free_irqs(self) -> None:
        """Free every interrupt that this device has requested, the last one first, and take back
        its affinity hint."""
        while self._requested:
            desc, dev_id = self._requested.pop()
            if any(action.dev_id is dev_id for action in desc.actions):
                irq_update_affinity_hint(desc, 0)
                free_irq(desc, dev_id)

    def enable_irq(self, irq: Irq) -> None:
        """Undo one disable_irq(). An interrupt that came meanwhile is replayed, once."""
        enable_irq(self.pc.irqs.find(irq))

    def disable_irq(self, irq: Irq) -> Quiet:
        """Disable a line; a thread that awaits the result waits until no handler runs."""
        return disable_irq(self.pc.irqs.find(irq))

    def disable_irq_nosync(self, irq: Irq) -> None:
        """Disable a line, in a handler, too."""
        disable_irq_nosync(self.pc.irqs.find(irq))

    def disable_hardirq(self, irq: Irq) -> bool:
        """Disable a line; whether no thread of it runs now."""
        return disable_hardirq(self.pc.irqs.find(irq))

    def synchronize_irq(self, irq: Irq) -> Quiet:
        """Await this in a thread to wait until no handler of the line runs."""
        return synchronize_irq(self.pc.irqs.find(irq))

    def irq_set_affinity(self, irq: Irq, mask: CpuMask) -> None:
        """Have the line go to the CPUs of mask only."""
        irq_set_affinity(self.pc.irqs.find(irq), mask)

    def irq_set_affinity_and_hint(self, irq: Irq, mask: CpuMask) -> None:
        """The same, and have it stand in affinity_hint; 0 clears that, before free_irq()."""
        irq_set_affinity_and_hint(self.pc.irqs.find(irq), mask)

    def irq_update_affinity_hint(self, irq: Irq, mask: CpuMask) -> None:
        """Change affinity_hint only."""
        irq_update_affinity_hint(self.pc.irqs.find(irq), mask)

    def irq_set_affinity_notifier(self, irq: Irq, notifier: "AffinityNotifier | None") -> None:
        """Have notifier told when the affinity changes, instead of whoever was until now."""
        from pseudokern.irq.notify import irq_set_affinity_notifier

        irq_set_affinity_notifier(self.pc.irqs.find(irq), notifier)

    def irq_set_irq_type(self, irq: Irq, trigger: int) -> None:
        """Have the line listen for another trigger, one of Trigger."""
        irq_set_irq_type(self.pc.irqs.find(irq), trigger)

    def irq_set_irq_wake(self, irq: Irq, on: bool) -> None:
        """Let the line wake the machine, or no longer."""
        irq_set_irq_wake(self.pc.irqs.find(irq), on)

    def _noted(self, irq: Irq, action: IrqAction) -> IrqAction:
        self._requested.append((self.pc.irqs[irq], action.dev_id))
        return action
