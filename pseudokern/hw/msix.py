"""Send interrupts as messages from a table, each with an address of its own: MSI-X.

Follows PCI Local Bus 3.0, 6.8.2: mask bits and pending bits for each entry, and one mask bit for
the function.
"""

from pseudokern.hw.bus import InterruptBus
from pseudokern.hw.message import Message, MessageCapability
from pseudokern.hw.vector import RequesterId

MAX_ENTRIES = 2048


class MsixTable(MessageCapability):
    """The MSI-X capability of one function: 1 to 2048 entries."""

    def __init__(self, bus: InterruptBus, size: int, *, requester: RequesterId) -> None:
        if not 1 <= size <= MAX_ENTRIES:
            raise ValueError(f"an MSI-X table has 1 to {MAX_ENTRIES} entries, not {size}")
        self.function_masked = False
        super().__init__(bus, size, requester=requester, maskable=True)

    @property
    def is_open(self) -> bool:
        return self.enabled and not self.function_masked

    def set_message(self, message: Message, address: int, data: int) -> None:
        message.address, message.data = address, data

    def set_function_masked(self, masked: bool) -> None:
        self.function_masked = masked
        self.update()
