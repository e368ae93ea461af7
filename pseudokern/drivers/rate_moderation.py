"""Choose how long queues wait by how many frames they got a second: adaptive-rx of mlx4.

Follows mlx4_en_auto_moderation() of drivers/net/ethernet/mellanox/mlx4/en_netdev.c, and the numbers
of mlx4_en.h. Below pkt-rate-low a queue waits for rx-usecs-low, above pkt-rate-high for
rx-usecs-high, in between for what is in between. Small frames do not wait, as it is not the rate
that matters then, nor do those of a queue that gets few.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from pseudokern.sim.alarm import Alarm
from pseudokern.sim.timeline import Timeline

NS_PER_S = 1_000_000_000
LOOK_NS = NS_PER_S // 4  # STATS_DELAY: its work looks so often whether the interval is over
RATE_THRESH = 1_000_000 // 128  # MLX4_EN_RX_RATE_THRESH, of all queues together
SMALL_BYTES = 256  # MLX4_EN_AVG_PKT_SMALL


class Sample(NamedTuple):
    """What a queue has received so far."""

    packets: int
    bytes: int


def usecs_for(rate: int, frame_bytes: int, queues: int, settings: Mapping[str, int]) -> int:
    """How long a queue waits that got so many frames a second, of that size on average."""
    low, high = settings["pkt-rate-low"], settings["pkt-rate-high"]
    low_us, high_us = settings["rx-usecs-low"], settings["rx-usecs-high"]
    if rate <= RATE_THRESH // queues or frame_bytes <= SMALL_BYTES or rate < low:
        return low_us
    if rate > high:
        return high_us
    if high == low:
        return low_us  # Linux would divide by 0
    return (rate - low) * (high_us - low_us) // (high - low) + low_us


class RateModeration:
    """The queues of one card.

    samples  what each has received; None while the interface is down
    chosen   microseconds and frames that each waits for
    """

    def __init__(
        self,
        timeline: Timeline,
        settings: Callable[[], Mapping[str, int]],
        samples: Callable[[], list[Sample] | None],
        on_change: Callable[[int], None],
    ) -> None:
        self.chosen: dict[int, tuple[int, int]] = {}
        self._settings = settings
        self._samples = samples
        self._on_change = on_change
        self._timeline = timeline
        self._alarm = Alarm(timeline, self._look)
        self._sampled_ns = 0  # jiffies of long ago: what was measured until now is no rate
        self._last: list[Sample] = []

    def wait_of(self, queue: int) -> tuple[int, int]:
        """Before anything is measured it waits as if it were not adaptive."""
        settings = self._settings()
        return self.chosen.setdefault(queue, (settings["rx-usecs"], settings["rx-frames"]))

    def apply(self) -> None:
        """The settings are others; those of the queues only if nothing measures them."""
        if not self._settings()["adaptive-rx"]:
            self.chosen.clear()

    def begin(self) -> None:
        """Look at rates from now on, if that is set."""
        if self._settings()["adaptive-rx"] and not self._alarm.is_set:
            self._alarm.set(self._timeline.now_ns + LOOK_NS)

    def stop(self) -> None:
        """The driver lets go of the card."""
        self._alarm.cancel()

    def _look(self) -> None:
        settings, now_ns = self._settings(), self._timeline.now_ns
        if not settings["adaptive-rx"]:
            return
        self._alarm.set(now_ns + LOOK_NS)
        period_ns = now_ns - self._sampled_ns
        if period_ns < settings["sample-interval"] * NS_PER_S:
            return
        samples, had_any = self._samples(), bool(self._last)
        if samples is None:
            return
        last = self._last + [Sample(0, 0)] * (len(samples) - len(self._last))
        for queue, (sample, before) in enumerate(zip(samples, last, strict=False)):
            packets = sample.packets - before.packets
            frame_bytes = (sample.bytes - before.bytes) // packets if packets else 0
            rate = packets * NS_PER_S // period_ns if had_any else 0
            us = usecs_for(rate, frame_bytes, len(samples), settings)
            if us != self.wait_of(queue)[0]:
                self.chosen[queue] = us, settings["rx-frames"]
                self._on_change(queue)
        self._sampled_ns, self._last = now_ns, samples
