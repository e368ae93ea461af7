"""Send interrupts as messages that differ in the low bits of their data: MSI.

Follows PCI Local Bus 3.0, 6.8.1: 1 to 32 vectors, a power of two, one address; masking for each
vector is optional, and a device that has it has pending bits as well.
"""

from pseudokern.hw.bus import InterruptBus
from pseudokern.hw.message import Message, MessageCapability
from pseudokern.hw.vector import RequesterId

MAX_VECTORS = 32
COUNTS = (1, 2, 4, 8, 16, 32)


class MsiCapability(MessageCapability):
    """The MSI capability of one function, with as many vectors as software enabled."""

    def __init__(
        self, bus: InterruptBus, count: int, *, requester: RequesterId, maskable: bool
    ) -> None:
        if count not in COUNTS:
            raise ValueError(f"MSI has 1, 2, 4, 8, 16 or 32 vectors, not {count}")
        super().__init__(bus, count, requester=requester, maskable=maskable)

    def set_message(self, message: Message, address: int, data: int) -> None:
        """Write the one address, and the one data, whose low bits the device replaces."""
        low_bits = len(self.entries) - 1
        for entry in self.entries:
            entry.address = address
            entry.data = data & ~low_bits | entry.index
