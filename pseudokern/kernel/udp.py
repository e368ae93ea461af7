"""Keep packets for a program until it reads them, as many as the socket's buffer takes.

Follows __udp_enqueue_schedule_skb() of net/ipv4/udp.c, and SKB_TRUESIZE() for what a packet takes
of the buffer: its data with head room and skb_shared_info, of the slab's next size, and the
sk_buff.
"""

from collections import deque
from collections.abc import Callable

from pseudokern.kernel.cpumask import CpuId
from pseudokern.kernel.latency import Latency

SK_BUFF_BYTES = 256
HEAD_AND_TAIL_BYTES = 64 + 320  # NET_SKB_PAD, skb_shared_info


def truesize(frame_bytes: int) -> int:
    """Bytes that a received frame takes of a buffer."""
    return SK_BUFF_BYTES + (1 << (frame_bytes + HEAD_AND_TAIL_BYTES - 1).bit_length())


class UdpSocket:
    """One socket. The reader is woken with on_data() by the packet that finds it empty.

    rcvbuf_bytes  SO_RCVBUF; one packet may go beyond it
    rcvbuf_errors  packets that found it full: RcvbufErrors of /proc/net/snmp
    waiting, read  packets that are in it, and that were taken out
    closed  packets that were in it when its program ended
    """

    def __init__(self, rcvbuf_bytes: int, on_data: Callable[[], None]) -> None:
        self.rcvbuf_bytes = rcvbuf_bytes
        self.rcvbuf_errors = 0
        self.waiting = 0
        self.read = 0
        self.closed = 0
        self._used_bytes = 0
        self._on_data = on_data
        # When they came, how many, on which CPU they were polled, bytes of the buffer each takes,
        # and whose they were.
        self._runs: deque[tuple[int, int, CpuId, int, Latency | None]] = deque()

    def enqueue(
        self,
        arrived_ns: int,
        packets: int,
        cpu: CpuId,
        frame_bytes: int,
        latency: Latency | None = None,
    ) -> None:
        """Packets come from a poll on cpu. From interrupt context.

        latency: of their queue, if arrived_ns is when they were on the wire
        """
        each_bytes = truesize(frame_bytes)
        room = (self.rcvbuf_bytes - self._used_bytes) // each_bytes + 1
        taken = min(packets, max(0, room))
        self.rcvbuf_errors += packets - taken
        if taken:
            self._runs.append((arrived_ns, taken, cpu, each_bytes, latency))
            self._used_bytes += taken * each_bytes
            self.waiting += taken
            self._on_data()

    def receive(self) -> tuple[int, CpuId, Latency | None]:
        """Take the oldest packet: when it came, where it was polled, the latency of its queue."""
        arrived_ns, packets, cpu, each_bytes, latency = self._runs.popleft()
        if packets > 1:
            self._runs.appendleft((arrived_ns, packets - 1, cpu, each_bytes, latency))
        self._used_bytes -= each_bytes
        self.waiting -= 1
        self.read += 1
        return arrived_ns, cpu, latency

    def close(self) -> None:
        """Its program has ended; udp_destroy_sock()."""
        self.closed += self.waiting
        self.waiting = self._used_bytes = 0
        self._runs.clear()
