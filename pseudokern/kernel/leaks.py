"""Find softirqs, timers and handlers that leave their context otherwise than they found it.

Follows handle_softirqs() of kernel/softirq.c, call_timer_fn() of kernel/time/timer.c and
__handle_irq_event_percpu() of kernel/irq/handle.c, which compare after every call.

Here nobody compares: whoever changes the context has it looked at a nanosecond later, when the
function that was called has returned.
"""

import sys
from types import FrameType
from typing import TYPE_CHECKING, Any
from zlib import crc32

from pseudokern.kernel.context import SOFTIRQ_OFFSET, Kind, levels
from pseudokern.kernel.printk import Level
from pseudokern.kernel.softirq import Softirq
from pseudokern.kernel.stack import call_trace, symbol
from pseudokern.kernel.warn import warn

if TYPE_CHECKING:
    from pseudokern.kernel.kernel import Kernel

TIMER_PLACE = "kernel/time/timer.c:1799"
HANDLER_PLACE = "kernel/irq/handle.c:161"


def watch_softirq(kernel: "Kernel", frame: FrameType, before: int) -> None:
    """The softirq that frame runs changes preempt_count, which was `before`: look when it is over.

    A count that was left is put right, as Linux does.
    """
    if frame in kernel.watched_frames:
        return
    kernel.watched_frames.add(frame)
    this, inner = levels(kernel)
    outer = sum(SOFTIRQ_OFFSET for level in inner if level.kind == Kind.SOFTIRQ)
    number = frame.f_locals.get("number", Softirq.NET_RX)
    timer = _timer_below(frame)
    callers = _from(call_trace(), "__run_timers")

    def look() -> None:
        kernel.watched_frames.discard(frame)
        after = this.preempt_count
        if after == before:
            return
        this.preempt_count = before
        counts = (outer + before, outer + after)
        if timer is not None:
            text = f"timer: {timer} preempt leak: {counts[0]:08x} -> {counts[1]:08x}"
            trace = [symbol("call_timer_fn", timer), *callers]
            warn_once(kernel, TIMER_PLACE, text, trace)
            return
        name = Softirq(number).name
        address = f"{crc32(name.encode()):016x}"
        text = f"huh, entered softirq {int(number)} {name} {address} with preempt_count"
        kernel.log.printk(Level.ERR, f"{text} {counts[0]:08x}, exited with {counts[1]:08x}?")

    kernel.soon(look)


def warn_enabled_interrupts(kernel: "Kernel", irq: int, handler: str, trace: list[str]) -> None:
    """WARN_ONCE: a handler came back with interrupts enabled."""
    text = f"irq {irq} handler {handler} enabled interrupts"
    callers = _from(trace, "handle_irq_event")
    where = symbol("__handle_irq_event_percpu", handler)
    warn_once(kernel, HANDLER_PLACE, text, [where, *callers])


def warn_once(kernel: "Kernel", place: str, text: str, trace: list[str]) -> None:
    """WARN_ONCE() of a place."""
    if place not in kernel.warned:
        kernel.warned.add(place)
        warn(kernel, place, text, trace)


def function_name(function: Any) -> str:
    """A Python function as %pS prints one: its name, at its beginning."""
    name = getattr(function, "__name__", type(function).__name__)
    return f"{name}+0x0/{symbol(name, '').partition('/')[2]}"


def _timer_below(frame: FrameType) -> str | None:
    """The callback of the timer that frame, a run of the TIMER softirq, calls now."""
    inner: FrameType | None = sys._getframe(1)
    while inner is not None and inner is not frame:
        if inner.f_code.co_qualname == "TimerWheel.run":
            return function_name(inner.f_locals["timer"].callback)
        inner = inner.f_back
    return None


def _from(trace: list[str], name: str) -> list[str]:
    """The end of a trace, from the function of that name on."""
    starts = [n for n, line in enumerate(trace) if line.startswith(f"{name}+")]
    return trace[starts[0] :] if starts else []
