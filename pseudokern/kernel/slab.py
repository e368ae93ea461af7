"""Give out memory, and refuse it where that is allowed.

Follows mm/slub.c and warn_alloc() of mm/page_alloc.c. There is as much memory as anybody wants.
An allocation that may not sleep fails when a fault says so: Linux cannot free any for it.

Left out: Mem-Info, the state of the zones. There are none.
"""

from enum import IntFlag
from typing import TYPE_CHECKING

from pseudokern.kernel.printk import Level
from pseudokern.kernel.sleep import might_sleep
from pseudokern.kernel.warn import dump_stack, release_at_least, task_of

if TYPE_CHECKING:
    from pseudokern.kernel.kernel import Kernel

MIGHT_ALLOC = "include/linux/sched/mm.h:337"
PAGE_SIZE = 4096
NOPAGE_INTERVAL_NS = 10_000_000_000  # of two reports


class Gfp(IntFlag):
    """How memory may be got; include/linux/gfp_types.h of 6.12."""

    HIGH = 0x20
    IO = 0x40
    FS = 0x80
    DIRECT_RECLAIM = 0x400
    KSWAPD_RECLAIM = 0x800
    NOWARN = 0x2000
    KERNEL = IO | FS | DIRECT_RECLAIM | KSWAPD_RECLAIM
    ATOMIC = HIGH | KSWAPD_RECLAIM


GFP_KERNEL = Gfp.KERNEL
GFP_ATOMIC = Gfp.ATOMIC


def kmalloc(kernel: "Kernel", size: int, gfp: Gfp) -> bytearray | None:
    """Memory for size bytes, or None. With GFP_KERNEL it may sleep, and never fails here."""
    if gfp & Gfp.DIRECT_RECLAIM:
        might_sleep(kernel, MIGHT_ALLOC)
    elif kernel.atomic_failures:
        kernel.atomic_failures -= 1
        _warn_alloc(kernel, size, gfp)
        return None
    return bytearray(size)


def _warn_alloc(kernel: "Kernel", size: int, gfp: Gfp) -> None:
    """Say that there were no pages; NOWARN keeps it quiet."""
    now_ns, told_ns = kernel.timeline.now_ns, kernel.page_failure_told_ns
    if gfp & Gfp.NOWARN or (told_ns is not None and now_ns <= told_ns + NOPAGE_INTERVAL_NS):
        return
    kernel.page_failure_told_ns = now_ns
    order = (max(size - 1, 0) // PAGE_SIZE).bit_length()
    # Until 6.3 GFP_ATOMIC had a bit of its own.
    bits = int(gfp) | (0 if release_at_least(kernel, 6, 3) else 0x200)
    _, comm = task_of(kernel)
    text = (
        f"{comm}: page allocation failure: order:{order}, mode:{bits:#x}({_names(gfp)}),"
        " nodemask=(null),cpuset=/,mems_allowed=0"
    )
    kernel.log.printk(Level.WARNING, text)
    dump_stack(kernel)


def _names(gfp: Gfp) -> str:
    """As %pGg prints them: what is known by one name, then the other bits."""
    names = ["GFP_ATOMIC"] if gfp & Gfp.ATOMIC == Gfp.ATOMIC else []
    rest = gfp & ~Gfp.ATOMIC if names else gfp
    names += [f"__GFP_{flag.name}" for flag in Gfp if flag & rest and flag.name]
    return "|".join(names)
