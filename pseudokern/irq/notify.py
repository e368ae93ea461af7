"""Tell drivers that an interrupt was sent elsewhere.

Follows irq_set_affinity_notifier() and irq_affinity_notify() of kernel/irq/manage.c.
"""

import errno
from collections.abc import Callable

from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.flags import IrqState
from pseudokern.irq.manage import irq_affinity_shown
from pseudokern.kernel.cpumask import CpuMask


class AffinityNotifier:
    """Somebody who is told, a while after each change, where a line may go.

    notify   called with the mask, from a work item; changes in the meantime are told once
    release  called when another notifier, or none, takes its place
    """

    def __init__(
        self,
        notify: Callable[[CpuMask], None],
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self.release = release
        self._notify = notify
        self._desc: IrqDesc | None = None
        self._queued = False

    def attach(self, desc: IrqDesc) -> None:
        """desc's changes are told from now on."""
        self._desc = desc

    def detach(self) -> None:
        """Nothing more is told, not even what is queued."""
        self._desc = None
        self.release()

    def schedule(self) -> None:
        """The affinity was changed; schedule_work(). From any context."""
        if self._desc is not None and not self._queued:
            self._queued = True
            self._desc.table.schedule_work(self._work)

    def _work(self) -> None:
        self._queued = False
        if self._desc is not None:
            self._notify(irq_affinity_shown(self._desc))


def irq_set_affinity_notifier(desc: IrqDesc, notifier: AffinityNotifier | None) -> None:
    """Have notifier told of changes instead of whoever was until now. From process context.

    EINVAL  the line is an NMI
    """
    if desc.istate & IrqState.NMI:
        raise OSError(errno.EINVAL, f"interrupt {desc.irq} is an NMI")
    old, desc.notifier = desc.notifier, notifier
    if notifier is not None:
        notifier.attach(desc)
    if old is not None:
        old.detach()
