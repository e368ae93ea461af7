"""Offer frames of flows to a network card: what a [[load]] table of a machine file says.

Each flow has a queue, by the card's hash; its frames come there. When the hash, the channels or
the load itself change, everything begins anew with the queues of then.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pseudokern.drivers.keys import Choice, Duration, Integer, Key, Rate
from pseudokern.drivers.rss import Flow, drawn_flows
from pseudokern.drivers.traffic import PoissonTraffic
from pseudokern.sim.alarm import Alarm

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic, RxQueue

NS_PER_S = 1_000_000_000
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
        timeline, chance = nic.kernel.timeline, nic.kernel.chance
        self.nic = nic
        self.options: Mapping[str, Any] | None = None
        self._flows: list[Flow] = []
        self._timeline = timeline
        self._stream = PoissonTraffic(timeline, chance(f"{nic.name}/load"))
        self._clock = Alarm(timeline, self._switch)
        self._end = Alarm(timeline, self.stop)
        self._targets: list[RxQueue] = []
        self._is_on = False
        self._sent = 0
        self._began_ns = 0
        self._rate_hz = 0.0
        self._on_ns = self._off_ns = 0

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
        now_ns, options = self._timeline.now_ns, self.options
        if options is None or not options["rate"]:
            return
        until_ns = options["until"]
        if until_ns is not None and until_ns <= now_ns:
            return
        if until_ns is not None:
            self._end.set(until_ns)
        self._targets = [self.nic.queue_of(flow) for flow in self.flows]
        self._sent, self._began_ns, self._is_on = 0, now_ns, False
        self._rate_hz, self._on_ns, self._off_ns = options["rate"], options["on"], options["off"]
        if options["arrivals"] == "poisson":
            self._stream.set(self.each_hz, self._targets)
        elif options["arrivals"] == "constant":
            self._clock.hand_over(self._send_one)
            self._send_one()
        else:
            self._clock.hand_over(self._switch)
            self._switch()

    def stop(self) -> None:
        """No more frames."""
        self._stream.set(0, [])
        self._clock.cancel()
        self._end.cancel()

    def _send_one(self) -> None:
        now_ns = self._timeline.now_ns
        self._sent += 1
        # From the beginning, so that a rate that is no whole number of nanoseconds is kept.
        self._clock.set(self._began_ns + int(self._sent * NS_PER_S / self._rate_hz))
        self._targets[self._sent % len(self._targets)].arrive(now_ns)

    def _switch(self) -> None:
        """Between a burst and the pause after it."""
        self._is_on = not self._is_on
        self._stream.set(self.each_hz if self._is_on else 0, self._targets)
        lasts_ns = self._on_ns if self._is_on else self._off_ns
        self._clock.set(self._timeline.now_ns + lasts_ns)
