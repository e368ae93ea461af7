"""Write kernel modules: one file with one class that is a Module.

from pseudokern.module import Module

class Hello(Module):
    times: int = 1

    def init(self) -> None:
        for _ in range(self.times):
            self.pr_info("hello, world")

    def exit(self) -> None:
        self.pr_info("goodbye")

pseudokern insmod hello.py times=2
"""

from pseudokern.irq.flags import Irqf, IrqReturn
from pseudokern.kernel.slab import GFP_ATOMIC, GFP_KERNEL
from pseudokern.kernel.workqueue import WQ_UNBOUND
from pseudokern.module.module import Module
from pseudokern.module.parameters import parameter

__all__ = ["GFP_ATOMIC", "GFP_KERNEL", "WQ_UNBOUND", "IrqReturn", "Irqf", "Module", "parameter"]
