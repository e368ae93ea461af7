"""Hold what every part of the kernel shares: the CPUs, the time, the log, the softirqs.

smp_processor_id() is `this`: the entry code sets it before any handler runs. Outside of
interrupts it is the CPU on which the last one ran, as for any preemptible Linux code.
"""

from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, TypeAlias

from pseudokern.kernel.behaviour import BEHAVIOURS, Behaviour
from pseudokern.kernel.context import this_cpu
from pseudokern.kernel.cost import CostModel
from pseudokern.kernel.cpumask import CpuId, CpuMask
from pseudokern.kernel.napi import NetRx
from pseudokern.kernel.percpu import PerCpu, Task
from pseudokern.kernel.printk import KernelLog, log_buf_len
from pseudokern.kernel.ratelimit import RateLimit
from pseudokern.kernel.softirq import Softirq, Softirqs
from pseudokern.sim.agenda import Agenda
from pseudokern.sim.chance import Chance
from pseudokern.sim.timeline import Timeline

if TYPE_CHECKING:
    from pseudokern.kernel.net_tx import NetTx
    from pseudokern.kernel.sched import Scheduler

NS_PER_S = 1_000_000_000
RR_TIMESLICE_MS = 100
FAIR_SERVER_NS = (50_000_000, 1_000_000_000)


class Hog:
    """A task that has not slept since since_ns; function is what it does."""

    __slots__ = ("function", "since_ns", "task")

    def __init__(self, task: Task, since_ns: int, function: str) -> None:
        self.task = task
        self.since_ns = since_ns
        self.function = function


HandlerWindow: TypeAlias = Callable[[PerCpu, FrameType, bool], None]

# A name below /proc, its mode, what it shows, what takes a write.
ProcCreate: TypeAlias = Callable[
    [str, int, Callable[[], bytes] | None, Callable[[bytes], None] | None], None
]


class Kernel:
    """The kernel of one machine.

    nr_cpu_ids  CPU numbers are 0 to nr_cpu_ids - 1, all of them possible
    hz          ticks a second
    isolated    isolcpus=: no program runs there unless it is told to, and no house is kept
    isolated_managed_irq  isolcpus=managed_irq: managed interrupts go elsewhere if they can
    nohz_full   nohz_full=: these CPUs do not tick while one program runs
    node_of     NUMA node of a CPU
    share_cache  whether two CPUs are of one speed and have one last cache: cpus_share_cache()
    behaviour   in what this kernel differs from others
    release, hardware_name  what reports in the log call the kernel and the machine
    modules     names of the modules that are loaded
    proc_create, proc_remove  make a file in /proc, and take it away; whoever has the files says how
    taint       letters for what makes reports doubtful: W after a warning; see warn.py
    warned      places whose WARN_ONCE() was seen
    watched_frames  the softirqs whose change of preempt_count leaks.py will look at
    might_sleep_told  jiffies of the last report of might_sleep(); None before the first
    panic_on_oops, panic_on_warn, panic_timeout_s  sysctls of their names
    has_panicked  the kernel has ended; on_panic was called then
    oopses, last_oops  how many there were, and the exception of the last
    atomic_failures  so many allocations that may not sleep will fail
    page_failure_told_ns  when the last of those was reported
    printk_ratelimit  the limit that all places with printk_ratelimit() share
    lockdep     no lock has been used against the rules yet; afterwards nobody looks
    stuck_at    where handlers are that keep a CPU for long: a call trace, by CPU
    sched       shares CPUs between programs; None if there are no applications
    rt_period_us, rt_runtime_us, rr_timeslice_ms  sysctls: rt_limit.py; the turn of a SCHED_RR task
    fair_servers  runtime and period of the fair server of each CPU that has others than usual
    hogs        the threads that compute without sleeping, by CPU
    napi_ids    how many queues have got a number
    net_tx      sends packets; None if nobody has sent any (net_tx.py)
    fold_irq_time  brings what interrupts took of a CPU up to date; when its last handler ends
    occupy      keeps a CPU busy, for ns more, with interrupts off
    want        says that a CPU which is away (away_until_ns) has something to do
    set_interrupt_flag  sets or clears IF of a CPU, outside of hard interrupts
    set_handler_window  lets interrupts into a hard handler, which a frame called, or out again
    """

    def __init__(
        self,
        *,
        timeline: Timeline,
        seed: int,
        nr_cpu_ids: int,
        online: CpuMask,
        hz: int,
        cost: CostModel,
        node_of: Callable[[CpuId], int],
        behaviour: Behaviour = BEHAVIOURS["6.12"],
        present: CpuMask | None = None,
    ) -> None:
        self.behaviour = behaviour
        self.timeline = timeline
        self.seed = seed
        self.nr_cpu_ids = nr_cpu_ids
        self.possible: CpuMask = (1 << nr_cpu_ids) - 1
        self.present: CpuMask = self.possible if present is None else present
        self.online = online
        self.isolated: CpuMask = 0
        self.isolated_managed_irq: CpuMask = 0
        self.nohz_full: CpuMask = 0
        self.hz = hz
        self.tick_period_ns = NS_PER_S // hz
        self.cost = cost
        self.log = KernelLog(lambda: timeline.now_ns, log_buf_len(nr_cpu_ids))
        self.release = "6.12.0"
        self.hardware_name = ""
        self.modules: list[str] = []
        self.taint: set[str] = set()
        self.proc_create: ProcCreate = lambda _name, _mode, _show, _store: None
        self.proc_remove: Callable[[str], None] = lambda _name: None
        self.warned: set[str] = set()
        self.watched_frames: set[FrameType] = set()
        self.might_sleep_told: int | None = None
        self.panic_on_oops = 0
        self.panic_on_warn = 0
        self.panic_timeout_s = 0
        self.has_panicked = False
        self.on_panic: Callable[[], None] = timeline.stop
        self.oopses = 0
        self.last_oops: BaseException | None = None
        self.atomic_failures = 0
        self.page_failure_told_ns: int | None = None
        self.printk_ratelimit = RateLimit(self.log, "show_signal")
        self.lockdep = True
        self.stuck_at: dict[CpuId, list[str]] = {}
        self.hogs: dict[CpuId, Hog] = {}
        self.sched: Scheduler | None = None
        self.rt_period_us = 1_000_000
        self.rt_runtime_us = 950_000
        self.rr_timeslice_ms = RR_TIMESLICE_MS
        self.fair_servers: dict[CpuId, tuple[int, int]] = {}
        self.fold_irq_time: Callable[[PerCpu], int] = lambda _this: 0
        self.occupy: Callable[[PerCpu, int], object] = lambda _this, _duration_ns: None
        self.want: Callable[[PerCpu], None] = lambda _this: None
        self.set_interrupt_flag: Callable[[PerCpu, bool], None] = lambda _this, _enabled: None
        self.set_handler_window: HandlerWindow = lambda _this, _frame, _is_open: None
        self.share_cache: Callable[[CpuId, CpuId], bool] = lambda _one, _other: True
        self.cpus = [PerCpu(CpuId(n)) for n in range(nr_cpu_ids)]
        self.this = self.cpus[0]
        self.napi_ids = 0
        self.net_tx: NetTx | None = None
        self.softirqs = Softirqs(self, timeline, self.cpus, cost.softirq_ns)
        self.net_rx = NetRx(cost.softirq_item_ns, self.tick_period_ns)
        self.softirqs.open_softirq(Softirq.NET_RX, self.net_rx.action)
        self._agenda: Agenda | None = None
        self._on_cpu_change: list[Callable[[CpuId], None]] = [self._move_polls]
        self._on_cpu_settled: list[Callable[[], None]] = []
        self._nodes = [node_of(this.cpu) for this in self.cpus]
        self._node_masks: dict[int, CpuMask] = {}
        for cpu, node in enumerate(self._nodes):
            self._node_masks[node] = self._node_masks.get(node, 0) | 1 << cpu

    def on_cpu_change(self, callback: Callable[[CpuId], None]) -> None:
        """Call callback after a CPU went down or came up; the online mask says which."""
        self._on_cpu_change.append(callback)

    def cpu_changed(self, cpu: CpuId) -> None:
        for callback in self._on_cpu_change:
            callback(cpu)

    def _move_polls(self, cpu: CpuId) -> None:
        """dev_cpu_dead(): what a dead CPU had to poll is polled by another one."""
        dead, this = self.cpus[cpu], self.cpus[0]
        if not self.is_online(cpu) and dead.poll_list:
            this.poll_list += dead.poll_list
            dead.poll_list.clear()
            self.softirqs.raise_from_process(this, 1 << Softirq.NET_RX)

    def on_cpu_settled(self, callback: Callable[[], None]) -> None:
        """Call callback when all that follows from a CPU that went or came is done.

        For drivers: CPUHP_VIRT_NET_DEAD and CPUHP_AP_ONLINE_DYN. Interrupts have moved by then.
        """
        self._on_cpu_settled.append(callback)

    def cpu_settled(self) -> None:
        for callback in self._on_cpu_settled:
            callback()

    def soon(self, callback: Callable[[], None]) -> None:
        """Call callback on this CPU, a nanosecond from now: all that is called now has returned."""
        if self._agenda is None:
            self._agenda = Agenda(self.timeline)
        this = this_cpu(self)

        def call() -> None:
            outer, self.this = self.this, this
            callback()
            self.this = outer

        self._agenda.at(self.timeline.now_ns + 1, call)

    def is_online(self, cpu: CpuId) -> bool:
        return bool(self.online >> cpu & 1)

    def node_of(self, cpu: CpuId) -> int:
        return self._nodes[cpu]

    def cpumask_of_node(self, node: int) -> CpuMask:
        """The CPUs of a node; none for node -1 and for a node without CPUs."""
        return self._node_masks.get(node, 0)

    def chance(self, name: str) -> Chance:
        """The stream of random numbers that belongs to name."""
        return Chance(self.seed, name)

    @property
    def jiffies(self) -> int:
        """Ticks since boot."""
        return self.timeline.now_ns // self.tick_period_ns
