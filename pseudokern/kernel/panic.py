"""End the kernel: say why, and let time stand still.

Follows kernel/panic.c: panic(). What Linux would do next, to reboot or to loop for ever, is no use
to anybody here: the files stay as they are, to be read until the machine is halted.
"""

from typing import TYPE_CHECKING, NoReturn

from pseudokern.kernel.printk import Level
from pseudokern.kernel.warn import dump_stack

if TYPE_CHECKING:
    from pseudokern.kernel.kernel import Kernel


class KernelStopsError(BaseException):
    """The code that runs is not gone on with. No handler is to catch it, so it is no Exception."""


class KernelPanicError(KernelStopsError):
    """The kernel has panicked: whoever runs the timeline finds that time has ended."""


class CpuHangsError(KernelStopsError):
    """What ran on this CPU never ends; the other CPUs go on."""


def panic(kernel: "Kernel", text: str) -> NoReturn:
    """End the kernel, from any context: KernelPanicError."""
    kernel.log.printk(Level.EMERG, f"Kernel panic - not syncing: {text}")
    if "D" not in kernel.taint:  # an oops has shown the way already
        dump_stack(kernel)
    kernel.log.printk(Level.EMERG, "Kernel Offset: disabled")
    if kernel.panic_timeout_s > 0:
        kernel.log.printk(Level.EMERG, f"Rebooting in {kernel.panic_timeout_s} seconds..")
    elif not kernel.panic_timeout_s:
        kernel.log.printk(Level.EMERG, f"---[ end Kernel panic - not syncing: {text} ]---")
    kernel.has_panicked = True
    kernel.on_panic()
    raise KernelPanicError(text)
