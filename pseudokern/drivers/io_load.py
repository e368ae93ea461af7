"""Submit I/Os to a disk as programs do, and measure how long they take.

depth: a program on each CPU keeps so many I/Os under way, and sends the next when one has ended.
rate: I/Os come at their times whether or not earlier ones have ended, from CPUs drawn evenly.

A program whose CPU goes down sends from the first CPU that is online, until it is back.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pseudokern.drivers.keys import (
    IO_SIZE,
    Choice,
    CpuList,
    Duration,
    Flag,
    Integer,
    Key,
    Rate,
    Share,
)
from pseudokern.kernel.blk_mq import Disk, Request
from pseudokern.kernel.cpumask import CpuId, cpulist_format, cpus_of, first_cpu
from pseudokern.kernel.kernel import Kernel
from pseudokern.sim.agenda import Agenda
from pseudokern.sim.alarm import Alarm
from pseudokern.sim.chance import Chance
from pseudokern.sim.histogram import Histogram

NS_PER_S = 1_000_000_000
MOST_IN_FLIGHT = 65_536

IO_LOAD_KEYS: Mapping[str, Key] = {
    "depth": Key(Integer(0, 4096), default=0, doc="I/Os that each CPU keeps under way"),
    "rate": Key(Rate(), default=0, doc="or I/Os a second, of all CPUs together"),
    "arrivals": Key(Choice("poisson", "constant"), default="poisson", doc="of a rate"),
    "read": Key(Share(), default="100%", doc="part of the I/Os that read; the others write"),
    "size": Key(IO_SIZE, default="4 KB", doc="of each I/O"),
    "cpus": Key(CpuList(), doc="who submits; every CPU if left out"),
    "polled": Key(Flag(), default=False, doc="look for the end instead of waiting: poll queues"),
    "until": Key(Duration(), doc="uptime at which it ends; never if left out"),
}


class IoTotals:
    """What became of the I/Os of a drive, however often its driver came and went.

    offered = completed + lost + what is in flight, at any time. lost has a number for each cause:
    again    there were 65,536 already; submission says EAGAIN
    removed  the driver let go of the drive before they ended: EIO

    latency is that of the present load only.
    """

    def __init__(self) -> None:
        self.offered = 0
        self.completed = 0
        self.lost: Counter[str] = Counter()
        self.latency = Histogram()

    @property
    def in_flight(self) -> int:
        return self.offered - self.completed - self.lost.total()


class IoLoad:
    """The programs that use one disk."""

    def __init__(self, kernel: Kernel, chance: Chance, totals: IoTotals) -> None:
        self.totals = totals
        self.options: Mapping[str, Any] | None = None
        self._kernel = kernel
        self._chance = chance
        self._disk: Disk | None = None
        self._agenda = Agenda(kernel.timeline)
        self._arrival = Alarm(kernel.timeline, self._arrive)
        self._cpus: list[CpuId] = []
        self._generation = 0
        self._polling: dict[CpuId, list[int]] = {}

    def begin(self, disk: Disk, options: Mapping[str, Any]) -> None:
        """Do this from now on, instead of anything before. What is under way ends."""
        self.stop()
        self.totals.latency = Histogram()
        self._disk, self.options = disk, options
        self._cpus = list(cpus_of(options["cpus"] or self._kernel.possible))
        if options["rate"]:
            self._next_arrival()
        for _ in range(options["depth"]):
            for cpu in self._cpus:
                self._submit(cpu)

    def stop(self) -> None:
        """Submit nothing more."""
        self.options = None
        self._generation += 1
        self._arrival.cancel()

    def lose(self, requests: int, why: str) -> None:
        """So many requests will never end."""
        self.totals.lost[why] += requests
        self._polling.clear()

    @property
    def is_active(self) -> bool:
        return self.options is not None and not self._is_over()

    def _is_over(self) -> bool:
        until_ns = None if self.options is None else self.options["until"]
        return until_ns is not None and self._kernel.timeline.now_ns >= until_ns

    def _next_arrival(self) -> None:
        assert self.options is not None
        mean_ns = NS_PER_S / self.options["rate"]
        is_constant = self.options["arrivals"] == "constant"
        gap_ns = round(mean_ns) if is_constant else self._chance.exponential_ns(mean_ns)
        self._arrival.set(self._kernel.timeline.now_ns + gap_ns)

    def _arrive(self) -> None:
        if self._is_over():
            return
        self._next_arrival()
        self._submit(self._chance.random.choice(self._cpus))

    def _submit(self, cpu: CpuId) -> None:
        """A program on cpu asks for an I/O."""
        options, disk, kernel = self.options, self._disk, self._kernel
        if options is None or disk is None or self._is_over():
            return
        self.totals.offered += 1
        if self.totals.in_flight > MOST_IN_FLIGHT:
            self.totals.lost["again"] += 1
            return
        here = cpu if kernel.is_online(cpu) else first_cpu(kernel.online)
        read = options["read"]
        is_write = read < 1 and self._chance.random.random() >= read
        generation = self._generation

        def ended(request: Request, at_ns: int) -> None:
            self._ended(request, at_ns)
            if options["depth"] and generation == self._generation:
                self._agenda.at(at_ns + kernel.cost.thread_ns, lambda: self._again(cpu, generation))

        request = Request(
            here,
            options["size"],
            is_write=is_write,
            asked_ns=kernel.timeline.now_ns,
            on_end=ended,
            is_polled=options["polled"],
        )
        kernel.cpus[here].system_ns += kernel.cost.thread_ns
        disk.submit(request)
        if request.is_polled:
            polling = self._polling.setdefault(here, [0, 0])
            if not polling[0]:
                polling[1] = kernel.timeline.now_ns
            polling[0] += 1

    def _again(self, cpu: CpuId, generation: int) -> None:
        if generation == self._generation:
            self._submit(cpu)

    def _ended(self, request: Request, at_ns: int) -> None:
        self.totals.completed += 1
        self.totals.latency.count(at_ns - request.asked_ns)
        polling = self._polling.get(request.cpu)
        if request.is_polled and polling is not None:
            polling[0] -= 1
            if not polling[0]:  # as long as one was under way, the program looked for it
                self._kernel.cpus[request.cpu].system_ns += at_ns - polling[1]


def show_io_load(load: IoLoad) -> str:
    """As a line that could be written; "off" if there is nothing to do."""
    options = load.options
    if options is None or not load.is_active:
        return "off\n"
    words = [f"depth={options['depth']}"] if options["depth"] else []
    if options["rate"]:
        words += [f"rate={options['rate']:.15g}/s", f"arrivals={options['arrivals']}"]
    words += [f"read={100 * options['read']:g}%", f"size={options['size']}KB"]
    if options["cpus"] is not None:
        words.append(f"cpus={cpulist_format(options['cpus'])}")
    if options["polled"]:
        words.append("polled=true")
    if options["until"] is not None:
        words.append(f"until={options['until']}ns")
    return " ".join(words) + "\n"
