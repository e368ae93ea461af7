"""Timers for modules: timer_setup(), mod_timer(), hrtimers. Callbacks are in interrupt context."""

from collections.abc import Callable
from inspect import iscoroutinefunction

from pseudokern.kernel.hrtimer import HrTimer
from pseudokern.kernel.timer import NEVER, Timer
from pseudokern.module.core import Core, Owned, symbol_name


def check_is_no_coroutine(function: Callable[..., object], what: str) -> None:
    """TypeError: an `async def` was given where nobody may sleep."""
    if iscoroutinefunction(function):
        raise TypeError(
            f"{what} {function.__name__}() runs in interrupt context: def, not async def"
        )


class Timers(Core):
    """The timers of a module."""

    def timer_setup(self, callback: Callable[[], None]) -> Timer:
        """A timer that is not armed yet. callback() runs in the TIMER softirq of the arming CPU."""
        check_is_no_coroutine(callback, "the timer callback")
        timer = Timer(self.guarded(callback, None))
        what = f"timer_list hint: {symbol_name(callback)}"
        self.own(
            Owned(
                timer,
                what,
                "timer_delete_sync()",
                is_held=lambda: self.timer_pending(timer),
                take=lambda: self.timer_delete(timer),
                is_debug_object=True,
            )
        )
        return timer

    def mod_timer(self, timer: Timer, expires: int) -> bool:
        """Have it call at the jiffy `expires`, not when it was to before. True: it was armed."""
        was_pending = self.timer_pending(timer)
        self.pc.timers.mod_timer(timer, expires, self.kernel.this.cpu)
        return was_pending

    def timer_pending(self, timer: Timer) -> bool:
        return timer.expires != NEVER

    def timer_delete(self, timer: Timer) -> bool:
        """Disarm it. False: it was not armed. From any context."""
        was_pending = self.timer_pending(timer)
        self.pc.timers.del_timer(timer)
        return was_pending

    def timer_delete_sync(self, timer: Timer) -> bool:
        """The same, and wait until the callback is over; here no callback is ever halfway."""
        return self.timer_delete(timer)

    del_timer = timer_delete  # as they were called until 6.15
    del_timer_sync = timer_delete_sync

    def hrtimer_setup(self, callback: Callable[[], None], *, soft: bool = False) -> HrTimer:
        """A timer with nanoseconds; callback() runs in the hard interrupt, or in HRTIMER if soft.

        To go on, the callback starts the timer again.
        """
        check_is_no_coroutine(callback, "the hrtimer callback")
        timer = HrTimer(self.guarded(callback, None), is_soft=soft)
        self.own(
            Owned(
                timer,
                f"hrtimer hint: {symbol_name(callback)}",
                "hrtimer_cancel()",
                is_held=lambda: timer.is_armed,
                take=lambda: self.hrtimer_cancel(timer),
                is_debug_object=True,
            )
        )
        return timer

    def hrtimer_start(self, timer: HrTimer, delay_ns: int) -> None:
        """Have it call delay_ns from now, on this CPU; HRTIMER_MODE_REL_PINNED."""
        expires_ns = self.ktime_get_ns() + max(delay_ns, 0)
        self.pc.apic_timers.hrtimers.start(timer, expires_ns)

    def hrtimer_cancel(self, timer: HrTimer) -> bool:
        """Disarm it. False: it was not armed."""
        return self.pc.apic_timers.hrtimers.cancel(timer)
