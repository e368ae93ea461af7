"""Offer frames of flows to a network card: what a [[load]] table of a machine file says.

Each flow has a queue, by the card's hash; its frames come there. When the hash, the channels or
the load itself change, everything begins anew with the queues of then. A queue knows the times of
its frames beforehand (fed_queue.py), so there is no call for each of them.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pseudokern.drivers.arrivals import Pattern, arrivals
from pseudokern.drivers.keys import Choice, Duration, Integer, Key, Rate
from pseudokern.drivers.rss import Flow, drawn_flows
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
}


class NetLoad:
    """The load of one card. options: by NET_LOAD_KEYS; None if there is nothing to do."""

    def __init__(self, nic: "Nic") -> None:
        self.nic = nic
        self.options: Mapping[str, Any] | None = None
        self._flows: list[Flow] = []
        self._fed: list[Feed] = []
        self._chances: dict[int, Chance] = {}

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
        if options is None or not options["rate"]:
            return "off\n"
        words = [f"{name}={options[name]}" for name in ("size", "flows", "arrivals")]
        if options["arrivals"] == "on-off":
            words += [f"{name}={options[name]}ns" for name in ("on", "off")]
        if options["until"] is not None:
            words.append(f"until={options['until']}ns")
        return " ".join([f"rate={options['rate']:g}/s", *words]) + "\n"

    def start(self) -> None:
        """The interface is up, or something has changed."""
        self.stop()
        pattern = self._pattern()
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

    def _pattern(self) -> Pattern | None:
        now_ns, options = self.nic.kernel.timeline.now_ns, self.options
        if options is None or not options["rate"]:
            return None
        if options["until"] is not None and options["until"] <= now_ns:
            return None
        is_on_off = options["arrivals"] == "on-off"
        return Pattern(
            now_ns,
            options["rate"],
            options["flows"],
            is_constant=options["arrivals"] == "constant",
            on_ns=options["on"] if is_on_off else 0,
            off_ns=options["off"] if is_on_off else 0,
            until_ns=options["until"],
        )

    def _chance(self, number: int) -> Chance:
        if number not in self._chances:
            self._chances[number] = self.nic.kernel.chance(f"{self.nic.name}/load/{number}")
        return self._chances[number]
