"""Be an old network card: one queue, one INTx line.

Follows drivers/net/ethernet/realtek/8139cp.c.
"""

from typing import ClassVar

from pseudokern.drivers.device import IrqReturn
from pseudokern.drivers.keys import PCI_KEYS, Key, Rate
from pseudokern.drivers.net_device import NetDevice
from pseudokern.kernel.napi import Napi


class Ring(Napi):
    """The receive ring."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = 0

    def poll(self, weight: int) -> int:
        taken = min(weight, self.waiting)
        self.waiting -= taken
        return taken


class Rtl8139(NetDevice):
    """A RealTek 8139C+. rate: frames a second."""

    KEYS: ClassVar = {**PCI_KEYS, "rate": Key(Rate(), default=0, doc="frames a second")}
    IDENTITY: ClassVar = (0x10EC, 0x8139, 0x020000)
    DRIVER: ClassVar = "8139cp"

    def probe(self) -> None:
        self.ring = Ring()
        self.line = self.enable()

    def start(self) -> None:
        self.request_intx(self.line, self.name)
        self.traffic(self.options["rate"], [self.receive])

    def receive(self, now_ns: int) -> None:
        self.ring.waiting += 1
        self.assert_intx(now_ns)

    def handle_intx(self) -> IrqReturn:
        answer = super().handle_intx()
        if answer is IrqReturn.HANDLED:
            self.ring.schedule(self.kernel.this)
        return answer
