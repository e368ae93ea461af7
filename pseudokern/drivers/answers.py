"""Answer packets: what a server sends by the card that they came from.

An answer is sent when the work for its packet is done, in the thread's own time: sendmsg(), the
qdisc and the driver. Its queue is that of the thread's CPU, or what xps_rxqs has for the queue that
the packet came from, as for a socket that is connected; else the hash of the flow decides.
A thread that has too much under way sleeps in sendmsg() (kernel/sndbuf.py).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from pseudokern.kernel.cpumask import CpuId
from pseudokern.kernel.qdisc import Packet
from pseudokern.sim.histogram import Histogram

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic
    from pseudokern.drivers.rx_queue import RxQueue
    from pseudokern.drivers.server import Server, ServerTask

HASH_BITS = 32
GOLDEN = 0x9E3779B1  # 2^32 over the golden ratio: the kernel's hash of a flow is not the card's


class Answers:
    """The answers of one server. round_trip: from the packet on the wire to its answer there."""

    def __init__(self, server: "Server", nic: "Nic") -> None:
        self.round_trip = Histogram()
        self._server = server
        self._kernel = server.kernel
        self._nic = nic
        self._sent = 0
        self._numbers: dict[RxQueue, int] = {}

    def send(self, task: "ServerTask", asked_ns: int) -> int:
        """Answer a packet that came then; how long that takes, in ns. In the thread's context."""
        kernel, tx = self._kernel, self._nic.tx
        rx_queue, flow_hash = self._origin(task)
        self._sent += 1
        now_ns = kernel.timeline.now_ns
        queue = tx.queue_for(CpuId(task.cpu), flow_hash, rx_queue)
        size: int = self._server.options["answer"]
        packet = Packet(size, asked_ns, self.round_trip, task.sndbuf)
        task.sndbuf.charge(size)
        end_ns = tx.send(queue, packet, now_ns + kernel.cost.send_ns)
        if kernel.this.softirq_pending:
            kernel.softirqs.raise_from_process(kernel.this, 0)  # local_bh_enable()
        return end_ns - now_ns

    def _origin(self, task: "ServerTask") -> tuple[int, int]:
        """The queue from which the thread's last packet came, and the hash of the flow."""
        queue = cast("RxQueue", task.loop.napi)
        if queue not in self._numbers:
            self._numbers = {ring: number for number, ring in enumerate(self._nic.rings)}
        found = self._server.flow_of(queue, self._sent)
        return self._numbers.get(queue, -1), found * GOLDEN & (1 << HASH_BITS) - 1

    def counts(self) -> Mapping[str, int]:
        """Nothing as long as it has not answered."""
        if not self._sent:
            return {}
        trip = self.round_trip
        shares = {f"round_trip_p{part:g}_ns": trip.percentile_ns(part) for part in (50, 99, 99.9)}
        return {"answers": self._sent, **shares}
