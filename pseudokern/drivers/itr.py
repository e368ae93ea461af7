"""Choose how many interrupts a second a queue may raise, by what the last ones brought.

Follows e1000_update_itr() and e1000_set_itr() of drivers/net/ethernet/intel/e1000e/netdev.c, which
igb has, too.
"""

from collections.abc import Callable
from typing import Literal

Latency = Literal["lowest", "low", "bulk"]

RATES_HZ: dict[Latency, int] = {"lowest": 70_000, "low": 20_000, "bulk": 4_000}
JUMBO_BYTES = 8000  # a packet: segmentation was left to the card


class AdaptiveItr:
    """The state of one vector, on which the slower of its two directions decides.

    conservative  setting 3, in which latency is never the lowest
    sent          frames that were cleaned so far, and their bytes; None: it sends nothing
    """

    def __init__(self, *, conservative: bool) -> None:
        self.conservative = conservative
        self.sent: Callable[[], tuple[int, int]] | None = None
        self.latency: Latency = "low"
        self.rate_hz = RATES_HZ["low"]
        self._received: Latency = "low"
        self._transmitted: Latency = "low"
        self._has_received = False
        self._noted = (0, 0)  # of what was sent, at the last interrupt

    def only_counts(self) -> bool:
        """It chooses anew with each interrupt: interrupted() has to be told."""
        return False

    def interrupted(self, packets: int, size: int) -> None:
        """An interrupt came, with so many packets and bytes received since the one before."""
        if packets:
            self.latency = self._received = _next(self._received, packets, size)
            self._has_received = True
        if self.sent is not None:
            self.latency = self._slower(self.sent())
        target_hz = RATES_HZ[self.latency]
        if self.conservative and self.latency == "lowest":
            target_hz = RATES_HZ["low"]
        # More interrupts come by and by, fewer at once.
        self.rate_hz = min(self.rate_hz + target_hz // 4, target_hz)

    def _slower(self, sent: tuple[int, int]) -> Latency:
        """Of the two directions; one in which nothing moves has no say."""
        packets, size = sent[0] - self._noted[0], sent[1] - self._noted[1]
        self._noted = sent
        if packets:
            self._transmitted = _next(self._transmitted, packets, size)
        if not self._has_received:
            return self._transmitted
        if not sent[0] or RATES_HZ[self._received] < RATES_HZ[self._transmitted]:
            return self._received
        return self._transmitted


def _next(latency: Latency, packets: int, size: int) -> Latency:
    each = size / packets
    if latency == "lowest":
        if each > JUMBO_BYTES:
            return "bulk"
        return "low" if packets < 5 and size > 512 else "lowest"
    if latency == "bulk":
        if size > 25_000:
            return "low" if packets > 35 else "bulk"
        return "low" if size < 6_000 else "bulk"
    if size > 10_000:
        if each > JUMBO_BYTES or packets < 10 or each > 1_200:
            return "bulk"
        return "lowest" if packets > 35 else "low"
    if each > 2_000:
        return "bulk"
    return "lowest" if packets <= 2 and size < 512 else "low"
