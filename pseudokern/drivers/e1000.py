"""Be an Intel 82540EM, the gigabit card of many virtual machines: one queue, one INTx line.

Follows drivers/net/ethernet/intel/e1000/e1000_main.c, which asks for no messages.
"""

from typing import ClassVar

from pseudokern.drivers.rtl8139 import Rtl8139


class E1000(Rtl8139):
    """An 82540EM, whose line and queue are like those of the other old card."""

    IDENTITY: ClassVar = (0x8086, 0x100E, 0x020000)
    DRIVER: ClassVar = "e1000"

    @property
    def speed_mbps(self) -> int:
        return 1000
