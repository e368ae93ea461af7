"""Keep one place in the code from flooding the kernel log.

Follows lib/ratelimit.c: ___ratelimit(), and printk_ratelimited() of include/linux/printk.h.

A burst of lines goes through, the rest of the interval is only counted. The first line after the
interval says how many were left out, which may be hours later.
"""

from pseudokern.kernel.printk import KernelLog, Level

INTERVAL_NS = 5_000_000_000  # DEFAULT_RATELIMIT_INTERVAL
BURST = 10  # DEFAULT_RATELIMIT_BURST


class RateLimit:
    """The state of one place; function is the kernel's name of the function that it is in.

    interval_ns, burst  so many lines go through in that time; 0 ns: all
    missed  lines left out since the log last said how many
    """

    def __init__(
        self, log: KernelLog, function: str, *, interval_ns: int = INTERVAL_NS, burst: int = BURST
    ) -> None:
        self.missed = 0
        self._log = log
        self._function = function
        self.interval_ns = interval_ns
        self.burst = burst
        self._printed = 0
        self._began_ns: int | None = None

    def printk(self, level: Level, text: str) -> None:
        """printk_ratelimited(): log text, or count it."""
        if self.allows():
            self._log.printk(level, text)

    def allows(self) -> bool:
        """__ratelimit(): whether something may go through now; if not, it is counted."""
        if not self.interval_ns:
            return True
        now_ns = self._log.now_ns()
        if self._began_ns is None:
            self._began_ns = now_ns
        if now_ns > self._began_ns + self.interval_ns:
            if self.missed:
                text = f"{self._function}: {self.missed} callbacks suppressed"
                self._log.printk(Level.WARNING, text)
            self._began_ns, self._printed, self.missed = now_ns, 0, 0
        if self._printed < self.burst:
            self._printed += 1
            return True
        self.missed += 1
        return False
