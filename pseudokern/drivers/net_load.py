"""Offer frames of flows to a network card, and send some: what a [[load]] table says.

Each flow has a queue, by the card's hash; its frames come there. When the hash, the channels or
the load itself change, everything begins anew with the queues of then. A queue knows the times of
its frames beforehand (fed_queue.py), so there is no call for each of them.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pseudokern.drivers.application import LEAST_SNDBUF_KB
from pseudokern.drivers.arrivals import Pattern, arrivals
from pseudokern.drivers.keys import Choice, CpuList, Duration, Integer, Key, Rate, Size
from pseudokern.drivers.net_senders import NetSenders
from pseudokern.drivers.rss import Flow, drawn_flows
from pseudokern.kernel.cpumask import cpulist_format, cpus_of
from pseudokern.kernel.feed import Feed
from pseudokern.sim.chance import Chance

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic

MAX_FLOWS = 4096

NET_LOAD_KEYS: Mapping[str, Key] = {
    "rate": Key(Rate(), default=0, doc="frames a second, of all flows together"),
    "size": Key(Integer(64, 9216), default=64, doc="bytes of a frame"),
    "flows": Key(Integer(1, MAX_FLOWS), default=1, doc="connections, each with one queue"),
    "arrivals": Key(Choice("poisson", "constant", "on-off"), default="poisson"),
    "on": Key(Duration(), default="10 ms", doc="how long a burst of on-off lasts"),
    "off": Key(Duration(), default="10 ms", doc="how long the pause after it"),
    "until": Key(Duration(), doc="uptime at which it ends; never if left out"),
    "tx_rate": Key(Rate(), default=0, doc="frames a second that are sent, by all CPUs together"),
    "tx_size": Key(Integer(64, 9216), default=64, doc="bytes of such a frame"),
    "tx_cpus": Key(CpuList(), doc="who sends; every CPU if left out"),
    "tx_sndbuf": Key(Size(LEAST_SNDBUF_KB), doc="SO_SNDBUF of each; no limit if left out"),
}


class NetLoad:
    """The load of one card. options: by NET_LOAD_KEYS; None if there is nothing to do."""

    def __init__(self, nic: "Nic") -> None:
        self.nic = nic
        self.options: Mapping[str, Any] | None = None
        self._flows: list[Flow] = []
        self._fed: list[Feed] = []
        self._chances: dict[int, Chance] = {}

    @cached_property
    def senders(self) -> NetSenders:
        """Who sends by the card; few loads do."""
        return NetSenders(self.nic)

    @property
    def flows(self) -> list[Flow]:
        count = self.options["flows"] if self.options is not None else 0
        if len(self._flows) != count:
            chance = self.nic.kernel.chance(f"{self.nic.name}/flows")
            self._flows = drawn_flows(count, chance)
        return self._flows

    @property
    def each_hz(self) -> float:
        """Frames a second of each flow."""
        return self.options["rate"] / self.options["flows"] if self.options is not None else 0.0

    @property
    def frame_bytes(self) -> int:
        return int(self.options["size"]) if self.options is not None else 0

    def __str__(self) -> str:
        """As a line that could be written."""
        options = self.options
        if options is None or not (options["rate"] or options["tx_rate"]):
            return "off\n"
        words = [f"{name}={options[name]}" for name in ("size", "flows", "arrivals")]
        if options["arrivals"] == "on-off":
            words += [f"{name}={options[name]}ns" for name in ("on", "off")]
        if options["until"] is not None:
            words.append(f"until={options['until']}ns")
        if options["tx_rate"]:
            words += [f"tx_rate={options['tx_rate']:.15g}/s", f"tx_size={options['tx_size']}"]
            if options["tx_cpus"] is not None:
                words.append(f"tx_cpus={cpulist_format(options['tx_cpus'])}")
            if options["tx_sndbuf"] is not None:
                words.append(f"tx_sndbuf={options['tx_sndbuf']}KB")
        return " ".join([f"rate={options['rate']:.15g}/s", *words]) + "\n"

    def start(self) -> None:
        """The interface is up, or something has changed."""
        self.stop()
        self._start_senders()
        pattern = self._pattern("rate", self.options["flows"]) if self.options else None
        if pattern is None:
            return
        own: dict[int, list[int]] = {}
        numbers = {queue: number for number, queue in enumerate(self.nic.queues)}
        for flow, connection in enumerate(self.flows):
            own.setdefault(numbers[self.nic.queue_of(connection)], []).append(flow)
        for number in sorted(own):
            feed = self.nic.feed(number)
            feed.latency.set_rate(pattern.rate_hz)
            feed.begin(arrivals(pattern, own[number], self._chance(number)))
            self._fed.append(feed)

    def stop(self) -> None:
        """No more frames."""
        for feed in self._fed:
            feed.end()
        self._fed = []
        if "senders" in self.__dict__:
            self.senders.stop()

    def _start_senders(self) -> None:
        kernel, options = self.nic.kernel, self.options
        if options is None or not options["tx_rate"] or self.nic.port is not None:
            return  # the kernel sends nothing by a card that a program has
        cpus = list(cpus_of(options["tx_cpus"] or kernel.online))
        pattern = self._pattern("tx_rate", len(cpus))
        if pattern is not None:
            sndbuf_bytes = (options["tx_sndbuf"] or 0) << 10
            self.senders.begin(pattern, cpus, options["tx_size"], sndbuf_bytes)

    def _pattern(self, rate: str, flows: int) -> Pattern | None:
        """When frames come or go. rate: the key that says how many."""
        now_ns, options = self.nic.kernel.timeline.now_ns, self.options
        if options is None or not options[rate]:
            return None
        if options["until"] is not None and options["until"] <= now_ns:
            return None
        is_on_off = options["arrivals"] == "on-off"
        return Pattern(
            now_ns,
            options[rate],
            flows,
            is_constant=options["arrivals"] == "constant",
            on_ns=options["on"] if is_on_off else 0,
            off_ns=options["off"] if is_on_off else 0,
            until_ns=options["until"],
        )

    def _chance(self, number: int) -> Chance:
        if number not in self._chances:
            self._chances[number] = self.nic.kernel.chance(f"{self.nic.name}/load/{number}")
        return self._chances[number]
