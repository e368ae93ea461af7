"""Describe one handler on a line."""

from collections.abc import Callable

from pseudokern.irq.flags import IrqReturn

Handler = Callable[[], IrqReturn]


class IrqAction:
    """A handler that a driver requested; struct irqaction.

    dev_id tells the handlers on a shared line apart. name None is a request without a name.
    proc_name is its directory in /proc/irq/N, if it has one.
    """

    __slots__ = ("cost_ns", "dev_id", "flags", "handler", "name", "proc_name", "warned_no_thread")

    def __init__(
        self, handler: Handler, flags: int, name: str | None, dev_id: object, cost_ns: int
    ) -> None:
        self.cost_ns = cost_ns
        self.proc_name: str | None = None
        self.handler = handler
        self.flags = flags
        self.name = name
        self.dev_id = dev_id
        self.warned_no_thread = False
