"""Be an old network card: one queue, one INTx line.

Follows drivers/net/ethernet/realtek/8139cp.c.
"""

from typing import ClassVar

from pseudokern.drivers.device import IrqReturn
from pseudokern.drivers.keys import Key, Rate
from pseudokern.drivers.net_device import NetDevice, Received
from pseudokern.drivers.pci_keys import PCI_KEYS
from pseudokern.kernel.napi import Napi

RING = 64  # CP_RX_RING_SIZE
FRAME_BYTES = 64


class Ring(Napi):
    """The receive ring. dropped: frames that found no buffer; discarded: see nic.RxQueue."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = 0
        self.dropped = 0
        self.discarded = 0

    def receive(self) -> None:
        if self.waiting < RING:
            self.waiting += 1
        else:
            self.dropped += 1

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

    def stop(self) -> None:
        self.ring.discarded += self.ring.waiting
        self.ring.waiting = 0
        super().stop()

    def received(self) -> Received:
        ring = self.ring
        size = ring.packets * FRAME_BYTES
        return Received(ring.packets, size, ring.dropped, ring.discarded)

    def receive(self, now_ns: int) -> None:
        self.ring.receive()
        self.assert_intx(now_ns)

    def handle_intx(self) -> IrqReturn:
        answer = super().handle_intx()
        if answer is IrqReturn.HANDLED:
            self.ring.schedule(self.kernel.this)
        return answer
