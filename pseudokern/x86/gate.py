"""Take the short way for the common case: an edge, by message, to a CPU that is free.

Sending the message, accepting it in the APIC, taking the vector, finding the descriptor, running
handle_edge_irq() and its handler, and leaving the interrupt are one function here, in which
nothing is asked that can be known before: what Linux does with static keys. A gate is built for
(descriptor, CPU, vector) and thrown away whenever anything changes that it was built on: see
is_plain(). What can differ from one interrupt to the next is asked: is the CPU free, what did
the handler say. In every other case the general way is taken, from the APIC on; it is also what
the tests hold this one against.

Hot path: counts are kept here and folded into the descriptor when somebody reads them. From a
frame to the end of its poll: 1380 ns with EdgeGate, 515 with NapiGate, 320 with CountedPolls.
"""

from pseudokern.hw.cpu import Cpu
from pseudokern.hw.vector import Vector
from pseudokern.irq.action import IrqAction
from pseudokern.irq.chip import handle_edge_irq
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.flags import IrqData, IrqReturn, IrqSetting
from pseudokern.irq.handle import judge
from pseudokern.irq.napi_handler import NapiHandler
from pseudokern.irq.spurious import is_judged_simply
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.napi import NAPI_WEIGHT, NET_RX_BIT, CountedNapi, Napi
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.softirq import Softirq
from pseudokern.x86.counted_polls import MOST_POLLS, CountedPolls
from pseudokern.x86.msi_chip import MsiChip, message_of
from pseudokern.x86.vector import VectorDomain

_UNUSUAL = (
    IrqData.SETAFFINITY_PENDING
    | IrqData.PER_CPU
    | IrqData.IRQ_DISABLED
    | IrqData.IRQ_MASKED
    | IrqData.IRQ_INPROGRESS
    | IrqData.WAKEUP_ARMED
)
_HANDLED = IrqReturn.HANDLED


class EdgeGate:
    """The short way of one interrupt to one CPU; count is what it handled since the last fold."""

    __slots__ = ("_action", "_cost_ns", "_cpu", "_desc", "_kernel", "_this", "_vector", "count")

    def __init__(self, kernel: Kernel, desc: IrqDesc, action: IrqAction) -> None:
        self.count = 0
        self._kernel = kernel
        self._desc = desc
        self._action = action
        self._cpu: Cpu
        self._this: PerCpu
        self._vector: Vector
        self._cost_ns = kernel.cost.overhead_ns + action.cost_ns

    def is_for(self, action: IrqAction) -> bool:
        """Whether this is what would be built for action again."""
        return self._action is action

    def install(self, cpu: Cpu, vector: Vector) -> None:
        """Be the way to this CPU; it uses it for a vector that waited, too."""
        self._cpu, self._vector = cpu, vector
        self._this = self._kernel.cpus[cpu.number]
        cpu.short_ways[1 << vector] = self.fire

    def remove(self) -> None:
        """Be no way to anywhere."""
        self.fold()
        del self._cpu.short_ways[1 << self._vector]

    def fire(self, now_ns: int) -> None:
        """One interrupt."""
        cpu = self._cpu
        if now_ns < cpu.ready_ns:
            cpu.put_off(self._vector)
            return
        self.count += 1
        # The CPU is busy from here on: what the handler itself brings about waits in IRR.
        cpu.ready_ns = cpu.busy_until_ns = now_ns + self._cost_ns
        kernel, this = self._kernel, self._this
        outer, kernel.this = kernel.this, this
        try:
            if (answer := self._action.handler()) is not _HANDLED:
                judge(self._desc, self._action, answer)
        finally:
            if this.softirq_pending or now_ns < this.softirq_end_ns:
                end_ns = cpu.busy_until_ns  # later than known before, if the handler waited
                kernel.softirqs.irq_exit(this, end_ns, end_ns - now_ns)
            kernel.this = outer

    @property
    def packets_to_fold(self) -> int:
        return 0

    def fold(self) -> None:
        if count := self.count:
            self.count = 0
            self._desc.count_many(self._this.cpu, count)
            self._this.hardirq_ns += count * self._cost_ns


class NapiGate(EdgeGate):
    """The short way of a queue with a NapiHandler, on through NET_RX to the end of its poll.

    polls  how many polls took one packet each, and raised nothing, since the last fold
    """

    __slots__ = ("_napi", "_work_ns", "polls")

    def __init__(self, kernel: Kernel, desc: IrqDesc, action: IrqAction) -> None:
        super().__init__(kernel, desc, action)
        self.polls = 0
        self._napi = napi_of(action)
        self._work_ns = self._cost_ns + kernel.cost.softirq_ns + kernel.cost.softirq_item_ns

    def is_for(self, action: IrqAction) -> bool:
        return self._action is action and self._napi is napi_of(action)

    def fire(self, now_ns: int) -> None:
        """One interrupt, and its poll if nothing else is going on on this CPU."""
        cpu, this, napi = self._cpu, self._this, self._napi
        if now_ns < cpu.ready_ns:
            cpu.put_off(self._vector)
            return
        if now_ns < this.softirq_end_ns:
            self._schedule(now_ns)
            return
        if this.softirq_pending or napi.scheduled:
            super().fire(now_ns)
            return
        self.polls += 1
        if self.polls == MOST_POLLS:
            self.fold()
        cpu.ready_ns = cpu.busy_until_ns = end_ns = now_ns + self._cost_ns
        kernel = self._kernel
        outer, kernel.this = kernel.this, this
        napi.scheduled = True
        try:
            packets = napi.poll(NAPI_WEIGHT)
        except BaseException:
            self._finish(-1, end_ns)
            kernel.this = outer
            raise
        if packets == 1 and not this.softirq_pending and not napi.extra_ns:
            napi.scheduled = False
            this.softirq_end_ns = now_ns + self._work_ns
        else:
            self._finish(packets, end_ns)
        kernel.this = outer

    def _schedule(self, now_ns: int) -> None:
        """One interrupt in the middle of softirqs: the poll has to wait until they are done."""
        cpu, this, cost_ns = self._cpu, self._this, self._cost_ns
        self.count += 1
        cpu.ready_ns = cpu.busy_until_ns = now_ns + cost_ns
        self._napi.schedule(this)
        self._kernel.softirqs.put_off(this, cost_ns)

    def _finish(self, packets: int, began_ns: int) -> None:
        """End a poll that is not among those of `polls`; -1 packets: it failed."""
        this, kernel = self._this, self._kernel
        self.polls -= 1
        self.count += 1
        this.softirq_counts[Softirq.NET_RX] += 1
        if packets < 0:
            return
        end_ns = began_ns + kernel.cost.softirq_ns
        end_ns = kernel.net_rx.polled(this, self._napi, packets, end_ns)
        if this.poll_list:
            this.softirq_pending |= NET_RX_BIT
        kernel.softirqs.run_ended(this, began_ns, end_ns)

    @property
    def packets_to_fold(self) -> int:
        return self.polls

    def fold(self) -> None:
        super().fold()
        if polls := self.polls:
            this, self.polls = self._this, 0
            self._desc.count_many(this.cpu, polls)
            this.hardirq_ns += polls * self._cost_ns
            this.softirq_ns += polls * (self._work_ns - self._cost_ns)
            this.softirq_counts[Softirq.NET_RX] += polls
            self._napi.packets += polls
            this.rx_packets += polls


class CountedGate(NapiGate):
    """The short way of a queue whose poll of one packet only takes away its count.

    So if nothing else is going on nobody has to be called: count, poll and cost are what is left.
    A packet that comes calls counted.arrive() at once.
    """

    __slots__ = ("counted", "napi")

    def __init__(self, kernel: Kernel, desc: IrqDesc, action: IrqAction) -> None:
        super().__init__(kernel, desc, action)
        self.napi = napi = napi_of(action)
        assert isinstance(napi, CountedNapi)
        self.counted = CountedPolls(desc, napi, self._cost_ns, self._work_ns, self.fire)

    def install(self, cpu: Cpu, vector: Vector) -> None:
        super().install(cpu, vector)
        self.counted.install(cpu, self._this)

    @property
    def packets_to_fold(self) -> int:
        return self.polls + self.counted.polls

    def fold(self) -> None:
        super().fold()
        self.counted.fold()


def napi_of(action: IrqAction) -> Napi:
    assert isinstance(action.handler, NapiHandler)
    return action.handler.napi


class Gates:
    """Builds and removes the short ways. `enabled` False: every interrupt goes the general way."""

    def __init__(self, kernel: Kernel, vectors: VectorDomain) -> None:
        self.enabled = True
        self._kernel = kernel
        self._vectors = vectors

    def rebuild(self, desc: IrqDesc) -> None:
        """Fit desc with a gate, or with none, according to its state now.

        The one that it had is used again where that is possible: a CPU that goes down has up to
        200 interrupts, which all move while nobody is answered.
        """
        if not isinstance(desc.chip, MsiChip):
            return
        gate, trigger = desc.fast_counts, None
        if gate is not None:
            gate.remove()
            desc.fast_counts = None
        if self.enabled and self._is_plain(desc) and desc.chip.goes_straight(desc):
            action, data = desc.actions[0], self._vectors.data(desc)
            kind = self._kind(desc, action)
            if not (type(gate) is kind and gate.is_for(action)):
                gate = kind(self._kernel, desc, action)
            gate.install(self._vectors.cpus[data.cpu], Vector(data.vector))
            desc.fast_counts, trigger = gate, gate.fire
        message_of(desc).set_gate(trigger)

    def _kind(self, desc: IrqDesc, action: IrqAction) -> type[EdgeGate]:
        if desc.irqs_unhandled:
            # Here, because healthy machines do without it.
            from pseudokern.x86.suspect_gate import SuspectGate

            return SuspectGate
        if isinstance(action.handler, NapiHandler) and not self._kernel.net_rx.has_to_be_asked(
            napi := action.handler.napi
        ):
            if not isinstance(napi, CountedNapi) or napi.has_more:
                return NapiGate
            if napi.is_count:
                return CountedGate
            if napi.feed is not None:
                from pseudokern.x86.fed_gate import FedGate  # few machines have a load

                return FedGate
            return NapiGate
        return EdgeGate

    def _is_plain(self, desc: IrqDesc) -> bool:
        return (
            desc.handle_irq is handle_edge_irq
            and len(desc.actions) == 1
            and not desc.istate
            and not desc.dstate & _UNUSUAL
            and not desc.settings & IrqSetting.NO_DEBUG
            and (not desc.irqs_unhandled or is_judged_simply(desc))
            and bool(self._vectors.data(desc).vector)
            and not self._vectors.data(desc).move_in_progress
        )
