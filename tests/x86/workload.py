"""A random life for a small PC: what its devices, drivers and users do, step by step."""

from hypothesis import strategies as st

from pseudokern.drivers.rx_queue import RxQueue
from pseudokern.irq.flags import Irqf, IrqReturn
from pseudokern.irq.manage import disable_irq, enable_irq, irq_set_affinity
from pseudokern.irq.napi_handler import NapiHandler
from pseudokern.irq.request import request_irq
from pseudokern.kernel.delay import busy_wait_ns
from pseudokern.kernel.softirq import Softirq
from pseudokern.x86.dmar import Iommu
from pseudokern.x86.msi_chip import message_of
from tests.machine_parts import (
    MS,
    MessageLine,
    intx_lines,
    isa_line,
    msi_line,
    msix_lines,
    new_pc,
    run_for,
)

CPUS = 3
MESSAGES = 4  # three MSI-X lines and one MSI
QUEUES = 2  # a fourth and a fifth MSI-X line
EDGES = 1
LEVELS = 2  # two devices on one wire
LINES = MESSAGES + QUEUES + EDGES + LEVELS

lines = st.integers(0, LINES - 1)
messages = st.integers(0, MESSAGES - 1)
not_levels = st.integers(0, MESSAGES + QUEUES + EDGES - 1)
cpus = st.integers(0, CPUS - 1)
durations_ns = st.sampled_from([0, 1, 400, 1_599, 1_600, 1_601, 5_000, 100_000, 4 * MS])
answers = st.sampled_from([IrqReturn.HANDLED, IrqReturn.NONE, IrqReturn.WAKE_THREAD])
softirqs = st.sampled_from([Softirq.TASKLET, Softirq.BLOCK, Softirq.RCU])

steps = st.one_of(
    st.tuples(st.just("signal"), lines),
    st.tuples(st.just("signal"), lines),
    st.tuples(st.just("burst"), lines, st.sampled_from([2, 3, 5, 70])),
    st.tuples(st.just("run"), durations_ns),
    st.tuples(st.just("run"), durations_ns),
    st.tuples(st.just("move"), lines, st.integers(1, (1 << CPUS) - 1)),
    st.tuples(st.just("disable"), lines),
    st.tuples(st.just("enable"), lines),
    st.tuples(st.just("free"), not_levels),
    st.tuples(st.just("request"), not_levels),
    st.tuples(st.just("answer"), messages, answers),
    st.tuples(st.just("raise_softirq"), messages, softirqs),
    st.tuples(st.just("wait"), messages, st.sampled_from([1, 700, 5_000])),
    st.tuples(st.just("chain"), messages, lines),
    st.tuples(st.just("occupy"), cpus, durations_ns),
    st.tuples(st.just("switch"), st.integers(1, CPUS - 1)),
    st.tuples(st.just("function_mask"), st.booleans()),
    st.tuples(st.just("set_tpr"), cpus, st.sampled_from([0, 0x20, 0xE0])),
)
# Short ones, which are easy to read when they fail, and long ones, which are likelier to.
scripts = st.lists(steps, max_size=12) | st.lists(steps, min_size=30, max_size=80)


class Queue(RxQueue):
    """A card's queue that tells of its polls."""

    __slots__ = ("on_poll",)

    def poll(self, weight):
        self.on_poll()
        return super().poll(weight)


class QueueLine(MessageLine):
    """The line of a queue: a frame interrupts only while nobody polls."""

    def __init__(self, pc, desc, kind=RxQueue):
        super().__init__(pc, desc)
        self.queue = kind(message_of(desc))

    @property
    def handled(self):
        return self.desc.total

    def request(self, flags=0, name="queue"):
        handler = NapiHandler(self.pc.kernel, self.queue)
        request_irq(self.pc.irqs, self.irq, handler, flags, name, self)
        return self

    def signal(self):
        self.raised += not self.queue.scheduled
        self.queue.arrive(self.pc.kernel.timeline.now_ns)


class Workload:
    """A PC that lives through a script."""

    def __init__(self, *, gates: bool, noapic: bool = False, iommu: Iommu | None = None) -> None:
        self.pc = new_pc(CPUS, gates=gates, noapic=noapic, iommu=iommu)
        *messages, plain, noted = msix_lines(self.pc, MESSAGES - 1 + QUEUES)
        messages.append(msi_line(self.pc))
        plain_line = QueueLine(self.pc, plain.desc)
        noted_line = QueueLine(self.pc, noted.desc, Queue)
        noted_line.queue.on_poll = lambda: self._note(noted_line)
        self.queue_lines = [plain_line, noted_line]
        self.lines = [*messages, *self.queue_lines, isa_line(self.pc)]
        self.levels = intx_lines(self.pc, LEVELS)
        self.calls = []
        for line in self.lines:
            line.request()
            self._do_answer(line, IrqReturn.HANDLED)
        for level in self.levels:
            level.request(Irqf.SHARED)
        self.everybody = [*self.lines, *self.levels]
        self.depth = dict.fromkeys((line.irq for line in self.everybody), 0)
        self.requested = set(self.lines)
        self.left_by_the_wire = 0  # vectors that may be another's when a CPU takes them

    def live(self, script):
        for name, *arguments in script:
            if name in ("run", "occupy", "switch", "function_mask", "set_tpr"):
                getattr(self, f"_do_{name}")(*arguments)
            else:
                line, *rest = arguments
                getattr(self, f"_do_{name}")(self.everybody[line], *rest)
        return self

    def come_to_rest(self):
        """Allow everything, and let happen what still can."""
        self._do_function_mask(False)
        for cpu in self.pc.cpus:
            if not self.pc.kernel.is_online(cpu.number):
                self.pc.hotplug.up(cpu.number)
            cpu.apic.set_priority(0)
        for line in self.lines:
            self._do_request(line)
            line.on_interrupt = lambda: IrqReturn.HANDLED
        for line in self.everybody:
            while self.depth[line.irq]:
                self._do_enable(line)
        run_for(self.pc, 50 * MS)
        for line in self.queue_lines:
            line.signal()  # frames that came while the line was free wait for the next one
        run_for(self.pc, MS)
        return self

    def state(self):
        """Everything that could differ."""
        pc = self.pc
        pc.fold_counts()
        return {
            "now": pc.kernel.timeline.now_ns,
            "calls": self.calls,
            "counts": [list(desc.kstat_irqs) for desc in pc.irqs],
            "queues": [
                (line.queue.arrived, line.queue.frames, line.queue.unpolled, line.queue.scheduled)
                for line in self.queue_lines
            ],
            "lines": [
                (desc.istate, desc.dstate, desc.depth, desc.effective_affinity, desc.affinity,
                 desc.pending_mask, desc.irq_count, desc.irqs_unhandled, desc.last_unhandled)
                for desc in pc.irqs
            ],
            "cpus": [
                (cpu.busy_until_ns, cpu.ready_ns, cpu.apic.irr, cpu.apic.isr,
                 cpu.apic.tmr & (cpu.apic.irr | cpu.apic.isr))
                for cpu in pc.cpus
            ],
            "kernel": [
                (this.hardirq_ns, this.softirq_ns, this.softirq_end_ns, this.softirq_pending,
                 this.softirq_counts, this.time_squeeze, len(this.poll_list),
                 this.counts.spurious)
                for this in pc.kernel.cpus
            ],
            "vectors": [
                (cpu_map.alloc_map, cpu_map.available, cpu_map.allocated)
                for cpu_map in pc.vectors.matrix.maps
            ],
            "reserved": pc.vectors.matrix.global_reserved,
            "losses": pc.losses(),
            "log": [(record.time_ns, record.level, record.text) for record in pc.kernel.log],
        }  # fmt: skip

    def _note(self, line):
        self.calls.append((self.pc.kernel.timeline.now_ns, line.irq, self.pc.kernel.this.cpu))

    def _do_switch(self, cpu):
        """Off with a CPU that is on, on with one that is off."""
        if self.pc.kernel.is_online(cpu):
            self.left_by_the_wire += any(one.wire.is_asserted_by(one) for one in self.levels)
            self.pc.hotplug.down(cpu)
        else:
            self.pc.hotplug.up(cpu)

    def _do_run(self, duration_ns):
        run_for(self.pc, duration_ns)

    def _do_occupy(self, cpu, duration_ns):
        self.pc.cpus[cpu].occupy(duration_ns)

    def _do_function_mask(self, masked):
        self.pc.pci.functions["0000:00:02.0"].msix.set_function_masked(masked)

    def _do_set_tpr(self, cpu, tpr):
        self.pc.cpus[cpu].apic.set_priority(tpr)

    def _do_signal(self, line):
        line.signal()

    def _do_burst(self, line, times):
        for _ in range(times):
            line.signal()

    def _do_move(self, line, mask):
        if mask & self.pc.kernel.online and line.desc.can_set_affinity:
            irq_set_affinity(line.desc, mask)

    def _do_disable(self, line):
        if line in self.requested or line in self.levels:
            self.depth[line.irq] += 1
            disable_irq(line.desc)

    def _do_enable(self, line):
        if self.depth[line.irq]:
            self.depth[line.irq] -= 1
            enable_irq(line.desc)

    def _do_free(self, line):
        if line in self.requested:
            self.requested.remove(line)
            self.depth[line.irq] = 0
            line.free()

    def _do_request(self, line):
        if line in self.lines and line not in self.requested:
            self.requested.add(line)
            line.request()

    def _do_answer(self, line, answer):
        line.on_interrupt = lambda: self._note(line) or answer

    def _do_raise_softirq(self, line, number):
        def raise_softirq():
            self._note(line)
            self.pc.kernel.this.softirq_pending |= 1 << number
            return IrqReturn.HANDLED

        line.on_interrupt = raise_softirq

    def _do_wait(self, line, duration_ns):
        """The handler takes longer than its driver said."""

        def wait():
            self._note(line)
            busy_wait_ns(self.pc.kernel, duration_ns)
            self.pc.kernel.this.softirq_pending |= 1 << Softirq.TASKLET
            return IrqReturn.HANDLED

        line.on_interrupt = wait

    def _do_chain(self, line, other):
        """Each interrupt of line makes another device interrupt, in the middle of the handler."""

        def signal_other():
            self._note(line)
            if line.handled % 3 == 0:  # not always, or it would never end
                self.everybody[other].signal()
            self._note(line)
            return IrqReturn.HANDLED

        line.on_interrupt = signal_other
