"""What the kernel keeps for each CPU: pending softirqs, counts of vectors, time spent.

Follows irq_cpustat_t and kernel_cpustat (include/linux/kernel_stat.h). Counts are the kernel's
32-bit unsigned ones; they are kept unbounded here and wrap when printed.
"""

from types import FrameType
from typing import TYPE_CHECKING, Protocol

from pseudokern.kernel.cpumask import CpuId

if TYPE_CHECKING:
    from pseudokern.kernel.napi import Napi

NR_SOFTIRQS = 10
UINT_RANGE = 1 << 32


class Task(Protocol):
    """What a CPU runs, as reports name it; struct task_struct."""

    pid: int
    comm: str

    def delay(self, duration_ns: int) -> None:
        """Compute for so long, before anything else."""


class SystemCounts:
    """The rows of /proc/interrupts that have a name instead of a number, for one CPU."""

    __slots__ = (
        "apic_timer", "call_function", "deferred_error", "hyperv_stimer0", "hypervisor_callback",
        "icr_retries", "irq_work", "machine_check_polls", "machine_checks", "nmi", "performance",
        "posted", "posted_msi", "posted_nested", "posted_wakeup", "reenlightenment", "reschedule",
        "spurious", "thermal", "threshold", "tlb",
    )  # fmt: skip

    def __init__(self) -> None:
        self.apic_timer = 0
        self.call_function = 0
        self.deferred_error = 0
        self.hyperv_stimer0 = 0
        self.hypervisor_callback = 0
        self.icr_retries = 0
        self.irq_work = 0
        self.machine_check_polls = 0
        self.machine_checks = 0
        self.nmi = 0
        self.performance = 0
        self.posted = 0
        self.posted_msi = 0
        self.posted_nested = 0
        self.posted_wakeup = 0
        self.reenlightenment = 0
        self.reschedule = 0
        self.spurious = 0
        self.thermal = 0
        self.threshold = 0
        self.tlb = 0


class PerCpu:
    """One CPU as the kernel sees it.

    softirq_end_ns   until when the softirqs that run or ran last occupy the CPU
    hardirq_ns, softirq_ns, user_ns, system_ns   time spent so far in each kind of work
    nice_ns          part of user_ns: of programs of a nice value above 0
    current          the task that runs; None is the idle task
    preempt_count    what is counted explicitly; context.preempt_count() adds the contexts
    irqs_disabled    local_irq_disable() was called outside of hard interrupts
    irqs_enabled_in  the frames that called hard handlers which then enabled interrupts
    stack_used       bytes that code has declared to keep on the task's stack and on the IRQ stack
    rx_packets       packets that were polled here
    offline_ns       time that the CPU was switched off; offline_since_ns: if it is, since when
    steal_ns         time that the host of a virtual machine has taken away: drivers/steal.py
    away_until_ns    until when it does so, 0 if it does not; is_stolen: the CPU had something to do
    user_since_ns    when the program that runs now began; -1 if the CPU is idle
    idle_ns          while a program runs, for how long the CPU had been idle when it began
    """

    __slots__ = (
        "away_until_ns",
        "context_switches",
        "counts",
        "cpu",
        "current",
        "hardirq_ns",
        "idle_ns",
        "irqs_disabled",
        "irqs_enabled_in",
        "is_stolen",
        "nice_ns",
        "offline_ns",
        "offline_since_ns",
        "poll_list",
        "preempt_count",
        "rx_packets",
        "softirq_counts",
        "softirq_end_ns",
        "softirq_ns",
        "softirq_pending",
        "stack_used",
        "steal_ns",
        "system_ns",
        "time_squeeze",
        "user_ns",
        "user_since_ns",
    )

    def __init__(self, cpu: CpuId) -> None:
        self.cpu = cpu
        self.current: Task | None = None
        self.preempt_count = 0
        self.irqs_disabled = False
        self.stack_used = [0, 0]
        self.irqs_enabled_in: list[FrameType] = []
        self.counts = SystemCounts()
        self.softirq_pending = 0
        self.softirq_end_ns = 0
        self.softirq_counts = [0] * NR_SOFTIRQS
        self.poll_list: list[Napi] = []
        self.time_squeeze = 0
        self.rx_packets = 0
        self.hardirq_ns = 0
        self.softirq_ns = 0
        self.user_ns = 0
        self.nice_ns = 0
        self.system_ns = 0
        self.offline_ns = 0
        self.offline_since_ns = 0
        self.steal_ns = 0
        self.away_until_ns = 0
        self.is_stolen = False
        self.user_since_ns = -1
        self.idle_ns = 0
        self.context_switches = 0

    @property
    def is_idle(self) -> bool:
        return self.user_since_ns < 0
