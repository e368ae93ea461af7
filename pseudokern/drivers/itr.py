"""Choose how many interrupts a second a queue may raise, by what the last ones brought.

Follows e1000_update_itr() and e1000_set_itr() of drivers/net/ethernet/intel/e1000e/netdev.c, which
igb has, too.
"""

from typing import Literal

Latency = Literal["lowest", "low", "bulk"]

RATES_HZ: dict[Latency, int] = {"lowest": 70_000, "low": 20_000, "bulk": 4_000}
JUMBO_BYTES = 8000  # a packet: segmentation was left to the card


class AdaptiveItr:
    """The state of one queue. conservative: setting 3, in which latency is never the lowest."""

    def __init__(self, *, conservative: bool) -> None:
        self.conservative = conservative
        self.latency: Latency = "low"
        self.rate_hz = RATES_HZ["low"]

    def only_counts(self) -> bool:
        """It chooses anew with each interrupt: interrupted() has to be told."""
        return False

    def interrupted(self, packets: int, size: int) -> None:
        """An interrupt came, with so many packets and bytes since the one before."""
        if packets:
            self.latency = self._next(packets, size)
        target_hz = RATES_HZ[self.latency]
        if self.conservative and self.latency == "lowest":
            target_hz = RATES_HZ["low"]
        # More interrupts come by and by, fewer at once.
        self.rate_hz = min(self.rate_hz + target_hz // 4, target_hz)

    def _next(self, packets: int, size: int) -> Latency:
        each = size / packets
        if self.latency == "lowest":
            if each > JUMBO_BYTES:
                return "bulk"
            return "low" if packets < 5 and size > 512 else "lowest"
        if self.latency == "bulk":
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
