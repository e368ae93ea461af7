"""Wait by doing nothing else: the CPU is busy as long.

Follows ndelay(), udelay() and mdelay() of include/linux/delay.h. Time does not pass within a
function here, so what is waited for comes on top of what the context takes anyway: a handler is
longer, a softirq is longer, a thread goes on later.
"""

import sys
from typing import TYPE_CHECKING

from pseudokern.kernel.context import Kind, levels
from pseudokern.kernel.stack import call_trace, symbol

if TYPE_CHECKING:
    from pseudokern.kernel.kernel import Kernel

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
LONG_NS = 1_000_000_000  # from here on somebody may want to know where the CPU is


def mdelay(kernel: "Kernel", duration_ms: int) -> None:
    busy_wait_ns(kernel, duration_ms * NS_PER_MS)


def udelay(kernel: "Kernel", duration_us: int) -> None:
    busy_wait_ns(kernel, duration_us * NS_PER_US)


def busy_wait_ns(kernel: "Kernel", duration_ns: int) -> None:
    """Keep this CPU busy. From any context; where nothing runs that takes time, it takes none."""
    this, inner = levels(kernel, sys._getframe(1))
    kind = inner[0].kind if inner else None
    if duration_ns >= LONG_NS:
        trace = call_trace(sys._getframe(1), with_callee=True)
        kernel.stuck_at[this.cpu] = [symbol("delay_tsc", "busy_wait_ns"), *trace]
    if kind in (Kind.HARDIRQ, Kind.NMI):
        kernel.occupy(this, duration_ns)
        if kind == Kind.HARDIRQ:
            this.hardirq_ns += duration_ns
    elif kind == Kind.SOFTIRQ:
        # The end of the softirq is only known when it has returned.
        kernel.soon(lambda: kernel.softirqs.lengthen(this, duration_ns))
    elif kind == Kind.TASK and this.current is not None:
        this.current.delay(duration_ns)
