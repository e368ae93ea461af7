"""Notice transmit queues that stay stopped, and have the driver do something about it.

Follows dev_watchdog() of net/sched/sch_generic.c. A queue hangs if it is stopped and nothing was
sent by it for a while; one is reported at a time.

On Linux the timer runs as long as there is a carrier. Here it begins with the first packet, as a
card that sends nothing has nothing to watch.
"""

from collections.abc import Sequence
from typing import Protocol

from pseudokern.kernel.context import this_cpu
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.net_tx import TxQueue
from pseudokern.kernel.printk import Level
from pseudokern.kernel.timer import NEVER, Timer, TimerWheel
from pseudokern.kernel.warn import warn

MS_PER_S = 1000
CPU_SKEW = 3  # jiffies, so that not all CPUs do it at once


class Watched(Protocol):
    """A network device."""

    name: str

    @property
    def netdev_name(self) -> str:
        """What netdev_printk() calls it: driver, address, interface."""

    @property
    def tx_queues(self) -> Sequence[TxQueue]:
        """Those in use; none while the interface is down."""

    def tx_timeout(self, queue: TxQueue, stuck_ms: int) -> None:
        """ndo_tx_timeout()."""


class NetdevWatchdog:
    """The timer of one device; timeout_s is watchdog_timeo."""

    def __init__(self, kernel: Kernel, timers: TimerWheel, device: Watched, timeout_s: int) -> None:
        self._kernel = kernel
        self._timers = timers
        self._device = device
        self._timeout = timeout_s * kernel.hz
        self._timer = Timer(self.dev_watchdog)

    def up(self) -> None:
        """netdev_watchdog_up(), unless it runs already."""
        if self._timer.expires == NEVER:
            self._arm(self._kernel.jiffies)

    def down(self) -> None:
        self._timers.del_timer(self._timer)

    def dev_watchdog(self) -> None:
        """Look at every queue, and again when the one that was stopped first would be stuck."""
        kernel, jiffies = self._kernel, self._kernel.jiffies
        oldest = jiffies
        for queue in self._device.tx_queues:
            if not queue.is_stopped:
                continue
            if jiffies > queue.trans_start + self._timeout:
                queue.timeouts += 1
                stuck_ms = (jiffies - queue.trans_start) * MS_PER_S // kernel.hz
                self._report(queue, stuck_ms)
                self._device.tx_timeout(queue, stuck_ms)
                break
            oldest = min(oldest, queue.trans_start)
        if self._device.tx_queues:
            self._arm(oldest if kernel.behaviour.looks_when_stuck else jiffies)

    def _report(self, queue: TxQueue, stuck_ms: int) -> None:
        kernel, device = self._kernel, self._device
        stuck = f"transmit queue {queue.number} timed out"
        if kernel.behaviour.looks_when_stuck:
            text = f"NETDEV WATCHDOG: CPU: {this_cpu(kernel).cpu}: {stuck} {stuck_ms} ms"
            kernel.log.printk(Level.CRIT, f"{device.netdev_name}: {text}")
        elif "dev_watchdog" not in kernel.warned:
            kernel.warned.add("dev_watchdog")
            driver = device.netdev_name.split()[0]
            text = f"NETDEV WATCHDOG: {device.name} ({driver}): {stuck}"
            warn(kernel, "net/sched/sch_generic.c:525", text)

    def _arm(self, since: int) -> None:
        cpu = this_cpu(self._kernel).cpu
        self._timers.mod_timer(self._timer, self._round_jiffies(since + self._timeout), cpu)

    def _round_jiffies(self, jiffies: int) -> int:
        """round_jiffies(): to a whole second, up unless it has just begun."""
        hz, skew = self._kernel.hz, CPU_SKEW * this_cpu(self._kernel).cpu
        rest = (jiffies + skew) % hz
        rounded = jiffies - rest + (0 if rest < hz // 4 else hz)
        now = self._kernel.jiffies
        return rounded if rounded > now else max(jiffies, now + 1)
