"""Handle the interrupt of a queue that has a vector of its own: schedule NAPI, and nothing else.

What igb_msix_ring(), ice_msix_clean_rings() and most of their kind do. It has a class of its own
so that x86/gate.py knows without a call what such a handler does.
"""

from pseudokern.irq.flags import IrqReturn
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.napi import Napi


class NapiHandler:
    """The handler; it is called like any other."""

    __slots__ = ("_kernel", "napi")

    def __init__(self, kernel: Kernel, napi: Napi) -> None:
        self._kernel = kernel
        self.napi = napi

    def __call__(self) -> IrqReturn:
        self.napi.schedule(self._kernel.this)
        return IrqReturn.HANDLED
