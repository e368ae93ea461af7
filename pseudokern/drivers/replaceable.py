"""Let a handler be exchanged for another while a thread has it: with threadirqs."""

from collections.abc import Callable

from pseudokern.irq.action import Handler
from pseudokern.irq.flags import IrqReturn
from pseudokern.irq.spurious import symbol_of


class ReplaceableHandler:
    """Calls what is its handler now."""

    __slots__ = ("_handler",)

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    @property
    def symbol(self) -> str:
        """What the kernel log calls the handler."""
        return symbol_of(self._handler)

    def replace_handler(self, wrap: Callable[[Handler], Handler]) -> None:
        """Have what wrap makes of the handler called from now on."""
        self._handler = wrap(self._handler)

    def __call__(self) -> IrqReturn:
        return self._handler()
