"""Send frames from CPUs, as programs do that have nothing else to do: tx_rate of a [[load]].

On each CPU there is one sender, with a flow of its own. It sends when it is time to and the CPU has
none of interrupts and softirqs; a CPU that cannot keep up sends as fast as it can. What sending
takes is system time of that CPU. With tx_sndbuf it has one socket, and waits while the buffer of
that is full; without, it has so many that none is. A sender whose CPU goes down pauses until it is
back.
"""

from typing import TYPE_CHECKING

from pseudokern.drivers.arrivals import Pattern, arrivals
from pseudokern.kernel.cpumask import CpuId
from pseudokern.kernel.cputime import unclaimed
from pseudokern.kernel.feed import Blocks
from pseudokern.kernel.qdisc import Packet
from pseudokern.kernel.sndbuf import SendBuffer
from pseudokern.sim.alarm import Alarm
from pseudokern.sim.chance import Chance
from pseudokern.sim.histogram import Histogram

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic

HASH_BITS = 32


class Sender:
    """What one CPU sends by one card."""

    def __init__(self, nic: "Nic", cpu: CpuId, latency: Histogram) -> None:
        self._nic = nic
        self._cpu = cpu
        self._latency = latency
        self._kernel = nic.kernel
        self._this = nic.kernel.cpus[cpu]
        self._chance = nic.kernel.chance(f"{nic.name}/send/{cpu}")
        self._hash = self._chance.random.getrandbits(HASH_BITS)
        self._alarm = Alarm(nic.kernel.timeline, self._send)
        self._size = 0
        self._buffer: SendBuffer | None = None
        self._unclaimed_ns = 0  # when the last one began
        self._blocks: Blocks = iter(())
        self._times: list[int] = []

    @property
    def chance(self) -> Chance:
        return self._chance

    def begin(self, times: Blocks, size: int, sndbuf_bytes: int) -> None:
        """Send frames of so many bytes at these times, from now on. 0 sndbuf_bytes: no limit."""
        self._blocks, self._times, self._size = times, [], size
        self._buffer = SendBuffer(sndbuf_bytes, self._has_space) if sndbuf_bytes else None
        self._next(0)

    def stop(self) -> None:
        self._alarm.cancel()
        if self._buffer is not None:
            self._buffer.close()

    def _has_space(self) -> None:
        self._alarm.set(self._kernel.timeline.now_ns)

    def _next(self, free_ns: int) -> None:
        """free_ns: before that the CPU is busy with the present one."""
        if not self._times:
            block = next(self._blocks, None)
            if block is None:
                return
            self._times = block[::-1]
        self._alarm.set(max(self._times.pop(), free_ns))

    def _send(self) -> None:
        kernel, this, now_ns = self._kernel, self._this, self._kernel.timeline.now_ns
        if not kernel.is_online(self._cpu):
            self._next(now_ns)
            return
        unclaimed_ns, free_ns = unclaimed(kernel, this)
        missing_ns = max(0, self._unclaimed_ns - unclaimed_ns)  # what interrupted the last one took
        if free_ns + missing_ns > now_ns:
            self._alarm.set(free_ns + missing_ns)
            return
        if self._buffer is not None:
            if not self._buffer.has_room():
                return
            self._buffer.charge(self._size)
        self._unclaimed_ns = unclaimed_ns
        tx = self._nic.tx
        queue = tx.queue_for(self._cpu, self._hash)
        outer, kernel.this = kernel.this, this
        packet = Packet(self._size, now_ns, self._latency, self._buffer)
        end_ns = tx.send(queue, packet, now_ns + kernel.cost.send_ns)
        this.system_ns += end_ns - now_ns
        if this.softirq_pending:
            kernel.softirqs.raise_from_process(this, 0)  # local_bh_enable()
        kernel.this = outer
        self._next(end_ns)


class NetSenders:
    """The senders of one card. latency: from sendmsg() until the frame has left."""

    def __init__(self, nic: "Nic") -> None:
        self.latency = Histogram()
        self._nic = nic
        self._senders: dict[CpuId, Sender] = {}
        self._active: list[Sender] = []

    def begin(self, pattern: Pattern, cpus: list[CpuId], size: int, sndbuf_bytes: int) -> None:
        """Have these CPUs share the rate of a pattern, which has as many flows, evenly."""
        self.stop()
        for number, cpu in enumerate(cpus):
            sender = self._senders.get(cpu)
            if sender is None:
                sender = self._senders[cpu] = Sender(self._nic, cpu, self.latency)
            sender.begin(arrivals(pattern, [number], sender.chance), size, sndbuf_bytes)
            self._active.append(sender)

    def stop(self) -> None:
        """Send nothing more."""
        for sender in self._active:
            sender.stop()
        self._active = []
