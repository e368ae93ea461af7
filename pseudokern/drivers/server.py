"""Be a server: threads that read packets from sockets, and work for each of them.

A card's polls give their packets to the socket of a thread: by the hash of the flow, as
SO_REUSEPORT does, or with SO_INCOMING_CPU to the thread that is pinned to the CPU of the poll. A
packet that was polled on another CPU costs its reader more: kernel/cost.py.

Packets reach the socket at the end of the poll, when its time is over. Latency is from the wire to
the return of recvmsg(), or from the poll if no load says when frames arrive. Packets that RPS sends
on reach the socket where they were polled.

A thread with an empty socket may poll the card itself before it sleeps: kernel/busy_poll.py. When
its work for a packet is done it may answer: answers.py.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pseudokern.drivers.answers import Answers
from pseudokern.drivers.application import Application
from pseudokern.drivers.nic_napi import tuned
from pseudokern.kernel.busy_poll import NS_PER_US, BusyLoop, BusyPollOptions
from pseudokern.kernel.cpumask import CpuId, first_cpu
from pseudokern.kernel.feed import Feed
from pseudokern.kernel.napi import Napi
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.sched import Scheduler
from pseudokern.kernel.sndbuf import SendBuffer
from pseudokern.kernel.spin import SpinningTask
from pseudokern.kernel.udp import UdpSocket
from pseudokern.sim.agenda import Agenda
from pseudokern.x86.pc import Pc

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic
    from pseudokern.drivers.rx_queue import RxQueue
    from pseudokern.kernel.napi_tuned import Passed

HASH_BITS = 32
GOLDEN = 0x9E3779B1  # 2^32 over the golden ratio: hashes of queues whose frames have no flow


class ServerTask(SpinningTask):
    """One thread, with its socket, and how it polls before it sleeps."""

    def __init__(self, server: "Server", pid: int, number: int) -> None:
        kernel, options = server.kernel, server.options
        now_ns = kernel.timeline.now_ns
        super().__init__(server.sched, pid, server.name, server.place(number), now_ns)
        self.socket = UdpSocket(options["rcvbuf"] << 10, self._woken)
        self.loop = BusyLoop(kernel, server.net_rx, self)
        self._busy_read_ns = kernel.net_rx.busy_read_us * NS_PER_US
        self._server = server
        self._asked_ns = -1  # when the packet came that it is going to answer
        self.sndbuf = SendBuffer(options["sndbuf"] << 10, self._has_space)

    def _has_space(self) -> None:
        if self.state == "S":
            self.sched.wake(self)

    def _woken(self) -> None:
        if self.sndbuf.is_waiting:
            return  # it sleeps in sendmsg()
        if self.state == "S":
            self.sched.wake(self)
        else:
            self.found()

    def set_options(self, options: Mapping[str, Any]) -> None:
        """setsockopt(): of its socket. What the program does not set is as it was made."""
        self.socket.rcvbuf_bytes = options["rcvbuf"] << 10
        self.sndbuf.sndbuf_bytes = options["sndbuf"] << 10
        busy_poll_ns = options["busy_poll"]
        self.loop.options = BusyPollOptions(
            self._busy_read_ns if busy_poll_ns is None else busy_poll_ns,
            options["busy_poll_budget"],
            is_preferred=options["prefer_busy_poll"],
            in_poll=options["waits_in"] == "poll",
        )

    def preempted(self) -> None:
        super().preempted()
        self.loop.stop()

    def step(self) -> None:
        self.stop_spinning()
        if self._asked_ns >= 0:
            if not self.sndbuf.has_room():
                self.state = "S"
                return
            asked_ns, self._asked_ns = self._asked_ns, -1
            self.compute(system_ns=self._server.answers.send(self, asked_ns))
            return
        if not self.socket.waiting:
            if not self.loop.goes_on(self._server.feed_of):
                self.state = "S"
            return
        self.loop.stop()
        options = self._server.options
        arrived_ns, cpu, latency = self.socket.receive()
        recv_ns = options["recv"] + self._server.distance_ns(cpu, CpuId(self.cpu))
        read_ns = self._server.kernel.timeline.now_ns + recv_ns
        self._server.latency.count(read_ns - arrived_ns)
        if latency is not None:
            latency.reached_application((arrived_ns,), read_ns)
        self.compute(system_ns=recv_ns, user_ns=options["work"])
        if options["answer"]:
            self._asked_ns = arrived_ns


class Server(Application[ServerTask]):
    """The server of one card.

    on_the_way  packets whose poll is not over yet
    no_ports    those that found no socket when it was
    answers     what it sends back
    """

    def __init__(self, pc: Pc, sched: Scheduler, options: Mapping[str, Any], nic: "Nic") -> None:
        super().__init__(pc, sched, options)
        self.kernel = pc.kernel
        self.sched = sched
        self.on_the_way = 0
        self.no_ports = 0
        self.net_rx = tuned(pc)
        self._delivered = 0
        self._agenda = Agenda(pc.kernel.timeline)
        self._hashes: dict[RxQueue, Sequence[int]] = {}
        self._next: dict[RxQueue, int] = {}
        self._by_cpu: dict[int, ServerTask] = {}
        self._nic = nic
        self.answers = Answers(self, nic)

    def new_thread(self, pid: int, number: int) -> ServerTask:
        return ServerTask(self, pid, number)

    def start(self) -> None:
        super().start()
        self._nic.napi.receiver = self
        self._nic.napi.apply()

    def stop(self) -> None:
        super().stop()
        self._by_cpu.clear()
        if self._nic.napi.receiver is self:
            self._nic.napi.receiver = None
            self._nic.napi.apply()

    def apply(self) -> None:
        super().apply()
        single: list[ServerTask] = []
        for task in self.threads:
            task.set_options(self.options)
            if self.options["steering"] == "cpu" and task.cpus_allowed.bit_count() == 1:
                single.append(task)
        self._by_cpu = {first_cpu(task.cpus_allowed): task for task in reversed(single)}

    def _end(self, task: ServerTask) -> None:
        super()._end(task)
        task.socket.close()
        task.sndbuf.close()

    def set_hashes(self, queue: "RxQueue", number: int, hashes: Sequence[int]) -> None:
        """The flows of a queue, which all have as many packets."""
        self._hashes[queue] = hashes or (number * GOLDEN & (1 << HASH_BITS) - 1,)

    def feed_of(self, queue: Napi) -> Feed | None:
        """What says when packets come to a queue; None: the card does not use it any more."""
        queues: list[Napi] = [*self._nic.queues]
        return self._nic.feed(queues.index(queue)) if queue in queues else None

    def receive(
        self,
        this: PerCpu,
        queue: "RxQueue",
        packets: int,
        end_ns: int,
        passed: "Passed | None" = None,
    ) -> None:
        """A poll that ends at end_ns has taken packets of a queue. passed: what XDP has left."""
        self._delivered += packets
        self.on_the_way += packets
        polled_ns, cpu = self.kernel.timeline.now_ns, this.cpu
        frame_bytes = queue.whole_ring.frame_bytes
        feed = queue.feed
        wire_ns = feed.taken_ns(packets) if feed is not None else []
        hashes: Sequence[int] | None = None
        if passed is not None:
            wire_ns, hashes = list(passed.wire_ns), passed.hashes

        def deliver() -> None:
            outer, self.kernel.this = self.kernel.this, self.kernel.cpus[cpu]
            self.on_the_way -= packets
            for task, count in self._readers(queue, packets, cpu, hashes).items():
                task.loop.napi = queue
                if feed is None:
                    task.socket.enqueue(polled_ns, count, cpu, frame_bytes)
                    continue
                for _ in range(count):
                    task.socket.enqueue(wire_ns.pop(0), 1, cpu, frame_bytes, feed.latency)
            self.kernel.this = outer

        self._agenda.at(end_ns, deliver)

    def distance_ns(self, polled_on: CpuId, read_on: CpuId) -> int:
        """What it costs to read a packet that is in the caches of another CPU."""
        kernel = self.kernel
        if polled_on == read_on:
            return 0
        if kernel.node_of(polled_on) != kernel.node_of(read_on):
            return kernel.cost.node_ns
        return kernel.cost.cache_ns

    def counts(self) -> Mapping[str, int]:
        sockets = [task.socket for task in (*self.threads, *self.gone)]
        counts = {
            "offered": self._delivered,
            "served": sum(socket.read for socket in sockets),
            "dropped_rcvbuf_errors": sum(socket.rcvbuf_errors for socket in sockets),
            "in_sockets": sum(socket.waiting for socket in sockets),
            "in_softirq": self.on_the_way,
        }
        if closed := sum(socket.closed for socket in sockets):
            counts["dropped_socket_closed"] = closed
        if self.no_ports:
            counts["dropped_no_ports"] = self.no_ports
        return counts

    def more_results(self) -> Mapping[str, int]:
        polled = sum(task.loop.rx_packets for task in (*self.threads, *self.gone))
        counts = {"busy_poll_rx_packets": polled} if polled else {}
        return {**counts, **self.answers.counts()}

    def flow_of(self, queue: "RxQueue", number: int) -> int:
        """The hash of the flow whose turn it is, among those of a queue."""
        hashes = self._hashes[queue]
        return hashes[number % len(hashes)]

    def _readers(
        self, queue: "RxQueue", packets: int, cpu: CpuId, known: Sequence[int] | None
    ) -> dict[ServerTask, int]:
        """Whose socket the next packets of a queue are for."""
        threads = self.threads
        if not threads:
            self.no_ports += packets
            return {}
        local = self._by_cpu.get(cpu)
        if local is not None or len(threads) == 1:
            return {local or threads[0]: packets}
        hashes, place = known or self._hashes[queue], 0
        if known is None:
            place = self._next.get(queue, 0)
            self._next[queue] = (place + packets) % len(hashes)
        given: dict[ServerTask, int] = {}
        for number in range(place, place + packets):
            task = threads[hashes[number % len(hashes)] * len(threads) >> HASH_BITS]
            given[task] = given.get(task, 0) + 1
        return given
