"""Describe one handler on a line."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from pseudokern.irq.flags import IrqReturn
from pseudokern.kernel.cpumask import CpuMask
from pseudokern.kernel.warn import warn

if TYPE_CHECKING:
    from pseudokern.irq.desc import IrqDesc
    from pseudokern.irq.thread import IrqThread

Handler: TypeAlias = Callable[[], IrqReturn]
NESTED_PLACE = "kernel/irq/manage.c:1052"
ThreadFunction: TypeAlias = Callable[[], IrqReturn | Awaitable[IrqReturn]]


class IrqAction:
    """A handler that a driver requested; struct irqaction.

    handler      called in interrupt context
    thread_fn    called in its thread, when the handler says WAKE_THREAD; may be async
    thread_mask  the action's bit among those that keep a ONESHOT line masked
    secondary    with forced threading: the thread of the driver's own thread_fn
    cost_ns      CPU time of one call of handler
    dev_id       tells the handlers on a shared line apart
    name         None is a request without a name; proc_name is its directory in /proc/irq/N
    cpus         of a per-CPU line: where it is called
    """

    __slots__ = (
        "cost_ns",
        "cpus",
        "dev_id",
        "flags",
        "handler",
        "name",
        "proc_name",
        "secondary",
        "thread",
        "thread_fn",
        "thread_mask",
        "warned_no_thread",
    )

    def __init__(
        self,
        handler: Handler,
        flags: int,
        name: str | None,
        dev_id: object,
        cost_ns: int,
        thread_fn: ThreadFunction | None = None,
    ) -> None:
        self.handler = handler
        self.thread_fn = thread_fn
        self.flags = flags
        self.name = name
        self.dev_id = dev_id
        self.cost_ns = cost_ns
        self.thread: IrqThread | None = None
        self.secondary: IrqThread | None = None
        self.thread_mask = 0
        self.proc_name: str | None = None
        self.cpus: CpuMask = 0
        self.warned_no_thread = False

    @property
    def shown_name(self) -> str:
        """What the log calls it."""
        return self.name or "(null)"


def irq_default_primary_handler() -> IrqReturn:
    """The handler of a request that has only a thread."""
    return IrqReturn.WAKE_THREAD


def irq_nested_primary_handler(desc: "IrqDesc") -> Handler:
    """The handler of a nested line, which is never called: its parent's thread calls thread_fn."""

    def irq_nested_primary_handler() -> IrqReturn:
        text = f"Primary handler called for nested irq {desc.irq}"
        warn(desc.table.kernel, NESTED_PLACE, text)
        return IrqReturn.NONE

    return irq_nested_primary_handler
