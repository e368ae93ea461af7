"""Average over minutes how many CPUs are busy.

Follows kernel/sched/loadavg.c: every five seconds and a tick the runnable tasks are counted. The
averages are fixed-point numbers with 11 bits behind the point. On a machine without applications a
CPU has at most one program.
"""

from pseudokern.kernel.kernel import Kernel
from pseudokern.sim.alarm import Alarm

FSHIFT = 11
FIXED_1 = 1 << FSHIFT
DECAYS = (1884, 2014, 2037)  # 1/exp(5 s / 1 min), 5 min, 15 min
PERIOD_S = 5


class LoadAverage:
    """avenrun: the averages over 1, 5 and 15 minutes, times FIXED_1."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.averages = [0, 0, 0]
        self._alarm = Alarm(kernel.timeline, self._sample)
        self._schedule()

    @property
    def running(self) -> int:
        """nr_running()."""
        sched = self._kernel.sched
        if sched is not None:
            return sched.running
        return sum(not this.is_idle for this in self._kernel.cpus)

    def _schedule(self) -> None:
        kernel = self._kernel
        self._alarm.set(kernel.timeline.now_ns + (PERIOD_S * kernel.hz + 1) * kernel.tick_period_ns)

    def _sample(self) -> None:
        sched = self._kernel.sched
        # Those that wait for I/O count, too.
        active = (self.running + (sched.blocked if sched is not None else 0)) * FIXED_1
        self.averages = [
            _calc_load(load, decay, active)
            for load, decay in zip(self.averages, DECAYS, strict=True)
        ]
        self._schedule()


def _calc_load(load: int, decay: int, active: int) -> int:
    new = load * decay + active * (FIXED_1 - decay)
    if active >= load:
        new += FIXED_1 - 1  # else it would never get there
    return new // FIXED_1
