"""Take CPUs away for a while, as the host of a virtual machine does when it runs another one.

A CPU that is away does not run: what it was at goes on later, and interrupts wait in its IRR. The
time is stolen from the first moment on at which there was something to do, and counts for nobody:
the column steal of /proc/stat, as from a paravirtual clock (arch/x86/kernel/kvm.c). A CPU that is
idle all the time while it is away has lost nothing.

The CPU itself cannot tell: it is busy for longer. An idle one has its APIC tell of the first
interrupt. Not modelled: an NMI comes through, and a program may get what was polled before.
"""

from collections.abc import Mapping
from typing import Any

from pseudokern.drivers.keys import CpuList, Duration, Key, Share
from pseudokern.hw.cpu import Cpu
from pseudokern.kernel.cpumask import CpuId, CpuMask, cpulist_format, cpus_of
from pseudokern.kernel.kthread import KThread
from pseudokern.kernel.percpu import PerCpu
from pseudokern.sim.alarm import Alarm
from pseudokern.sim.timeline import FOREVER_NS
from pseudokern.x86.pc import Pc

NS_PER_MS = 1_000_000
MOST_SHARE = 0.95  # a CPU that never comes back would be dead
LEAST_BURST_US = 10  # no scheduler switches more often

STEAL_KEYS: Mapping[str, Key] = {
    "cpus": Key(CpuList(), doc="all if left out"),
    "share": Key(
        Share(MOST_SHARE), default="10%", doc="part of the time that the host runs others"
    ),
    "burst": Key(
        Duration(least_us=LEAST_BURST_US), default="5 ms", doc="for how long each time, on average"
    ),
}


class _StolenCpu:
    """One CPU, and what the host does with it."""

    def __init__(self, pc: Pc, cpu: CpuId) -> None:
        self.this: PerCpu = pc.kernel.cpus[cpu]
        self._kernel = pc.kernel
        self._cpu: Cpu = pc.cpus[cpu]
        self._timeline = pc.kernel.timeline
        self._chance = pc.kernel.chance(f"steal/{cpu}")
        self._alarm = Alarm(pc.kernel.timeline, self._switch)
        self._share = 0.0
        self._burst_ns = 0
        self._watches = False

    def set(self, share: float, burst_ns: int) -> None:
        """Begin anew. A share of 0: the CPU stays."""
        self.come_back()
        self._share, self._burst_ns = share, burst_ns
        if share > 0:
            self._alarm.set(self._next_leave_ns())

    def come_back(self) -> None:
        """The host gives the CPU back now, before its time, and takes it no more."""
        this = self.this
        left_ns = this.away_until_ns - self._timeline.now_ns
        if this.is_stolen and left_ns > 0:
            this.steal_ns -= left_ns
            self._cpu.busy_until_ns -= left_ns
            if this.softirq_end_ns > self._timeline.now_ns:
                this.softirq_end_ns -= left_ns
        self._end()
        self._alarm.cancel()

    def _switch(self) -> None:
        if self.this.away_until_ns > 0:
            self._end()
            self._alarm.set(self._next_leave_ns())
            return
        now_ns = self._timeline.now_ns
        self.this.away_until_ns = now_ns + self._chance.exponential_ns(self._burst_ns)
        self._alarm.set(self.this.away_until_ns)
        busy_until_ns = max(self._cpu.busy_until_ns, self.this.softirq_end_ns)
        if not self.this.is_idle or busy_until_ns > now_ns or self._kernel.hogs.get(self.this.cpu):
            self.want()
        else:
            self._watches = True
            self._cpu.ready_ns = FOREVER_NS
            self._cpu.apic.connect(self.want)

    def want(self) -> None:
        """The CPU has something to do and is away: the time until it is back is stolen."""
        this, kernel = self.this, self._kernel
        if this.is_stolen:
            return
        now_ns = self._timeline.now_ns
        left_ns = this.away_until_ns - now_ns
        this.is_stolen = True
        this.steal_ns += left_ns
        kernel.occupy(this, left_ns)
        if this.softirq_end_ns > now_ns:
            kernel.softirqs.put_off(this, left_ns)
        hog = kernel.hogs.get(this.cpu)
        if hog is not None and isinstance(hog.task, KThread):
            hog.task.put_off(left_ns)
        self._stop_watching()

    def _end(self) -> None:
        self._stop_watching()
        self.this.is_stolen = False
        self.this.away_until_ns = 0

    def _stop_watching(self) -> None:
        if self._watches:
            self._watches = False
            self._cpu.apic.connect(self._cpu.interrupt_pending)
            self._cpu.interrupt_pending()

    def _next_leave_ns(self) -> int:
        stays_ns = int(self._burst_ns * (1 - self._share) / self._share)
        return self._timeline.now_ns + self._chance.exponential_ns(max(stays_ns, 1))


class Steal:
    """What the host does with the CPUs of a machine."""

    def __init__(self, pc: Pc) -> None:
        self._kernel = pc.kernel
        self._cpus = [_StolenCpu(pc, this.cpu) for this in pc.kernel.cpus]
        self._groups: dict[CpuId, Mapping[str, Any]] = {}
        pc.kernel.want = lambda this: self._cpus[this.cpu].want()
        pc.kernel.on_cpu_change(self._cpu_changed)

    def set(self, options: Mapping[str, Any]) -> None:
        """By STEAL_KEYS."""
        for cpu in cpus_of(options["cpus"] or self._kernel.possible):
            self._groups[cpu] = options
            if self._kernel.is_online(cpu):
                self._cpus[cpu].set(options["share"], options["burst"])

    def off(self) -> None:
        for cpu in self._groups:
            self._cpus[cpu].come_back()
        self._groups.clear()

    def __str__(self) -> str:
        """A line for the CPUs of each setting."""
        masks: dict[tuple[float, int], CpuMask] = {}
        for cpu, options in sorted(self._groups.items()):
            setting = (options["share"], options["burst"])
            masks[setting] = masks.get(setting, 0) | 1 << cpu
        lines = [
            f"cpus={cpulist_format(mask)} share={share:.3g} burst={_duration(burst_ns)}\n"
            for (share, burst_ns), mask in masks.items()
        ]
        return "".join(lines) or "off\n"

    def _cpu_changed(self, cpu: CpuId) -> None:
        options = self._groups.get(cpu)
        if options is None:
            return
        if self._kernel.is_online(cpu):
            self._cpus[cpu].set(options["share"], options["burst"])
        else:
            self._cpus[cpu].come_back()


def _duration(duration_ns: int) -> str:
    """In whole units, as it can be written."""
    if duration_ns % NS_PER_MS == 0:
        return f"{duration_ns // NS_PER_MS}ms"
    return f"{duration_ns}ns"
