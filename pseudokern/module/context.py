"""Locks, memory, delays and the context that code runs in, for modules: see docs/context.md."""

from pseudokern.kernel import context, delay, slab
from pseudokern.kernel.mutex import Mutex
from pseudokern.kernel.slab import GFP_KERNEL, Gfp
from pseudokern.kernel.sleep import might_sleep
from pseudokern.kernel.spinlock import SpinLock
from pseudokern.module.core import Core


class Contexts(Core):
    """What depends on the context, and what is told of when it is the wrong one."""

    def in_interrupt(self) -> bool:
        """In a handler, a softirq or an NMI, or with bottom halves disabled."""
        return context.in_interrupt(self.kernel)

    def might_sleep(self) -> None:
        """Say that the caller may sleep. In atomic context the log has a report."""
        might_sleep(self.kernel)

    def spin_lock_init(self, name: str) -> SpinLock:
        """lock(), unlock(), lock_irqsave(); name is what reports call it."""
        return SpinLock(self.kernel, name)

    def mutex_init(self) -> Mutex:
        """`await mutex.lock()`, in process context only."""
        return Mutex(self.kernel)

    def kmalloc(self, size: int, gfp: Gfp = GFP_KERNEL) -> bytearray | None:
        """Memory. GFP_KERNEL may sleep; GFP_ATOMIC may fail: None."""
        return slab.kmalloc(self.kernel, size, gfp)

    def udelay(self, duration_us: int) -> None:
        """Keep the CPU busy for so long. From any context."""
        delay.udelay(self.kernel, duration_us)

    def mdelay(self, duration_ms: int) -> None:
        delay.mdelay(self.kernel, duration_ms)
