"""Be a network card from before NAPI: the interrupt handler itself takes every frame.

Follows drivers/net/ethernet/8390/ne2k-pci.c and lib8390.c: ei_interrupt() copies what is in the
card's buffer, word by word, and gives it to netif_rx(), which leaves it to the backlog of the CPU.
Under a load that handlers alone are busy with, no softirq gets there: receive livelock.
"""

import errno
from typing import ClassVar

from pseudokern.drivers.device import IrqReturn
from pseudokern.drivers.keys import Key, Rate
from pseudokern.drivers.net_device import NetDevice, Received
from pseudokern.drivers.nic_napi import tuned
from pseudokern.drivers.pci_keys import PCI_KEYS
from pseudokern.kernel.delay import busy_wait_ns

FRAME_BYTES = 64
BUFFER_FRAMES = 52  # 0x4c to 0x7f: pages of 256 bytes, one for a frame of up to 252
COPY_NS = 2_000  # 16 reads of 4 bytes over PCI, about 120 ns each


class Ne2kPci(NetDevice):
    """A RealTek 8029. rate: frames a second."""

    KEYS: ClassVar = {**PCI_KEYS, "rate": Key(Rate(), default=0, doc="frames a second")}
    IDENTITY: ClassVar = (0x10EC, 0x8029, 0x020000)
    DRIVER: ClassVar = "ne2k-pci"

    @property
    def speed_mbps(self) -> int:
        raise OSError(errno.EINVAL, f"{self.name}: ne2k-pci does not say how fast its link is")

    def probe(self) -> None:
        self.buffered = 0
        self._packets = self._dropped = self._discarded = 0
        self.steering = tuned(self.pc).steering
        self.line = self.enable()

    def start(self) -> None:
        self.request_intx(self.line, self.name)
        self.traffic(self.options["rate"], [self.receive])

    def stop(self) -> None:
        self._discarded += self.buffered
        self.buffered = 0
        super().stop()

    def received(self) -> Received:
        size = self._packets * FRAME_BYTES
        return Received(self._packets, size, self._dropped, self._discarded)

    def show_results(self) -> str:
        """Frames by what became of them in the card; what netif_rx() dropped is in softnet_stat."""
        offered = self._packets + self._dropped + self._discarded + self.buffered
        return (
            f"offered {offered}\ndelivered {self._packets}\n"
            f"dropped_rx_missed_errors {self._dropped}\ndropped_with_ring {self._discarded}\n"
            f"in_flight {self.buffered}\n"
        )

    def receive(self, now_ns: int) -> None:
        """A frame arrives."""
        if self.buffered == BUFFER_FRAMES:
            self._dropped += 1
        else:
            self.buffered += 1
        self.assert_intx(now_ns)

    def handle_intx(self) -> IrqReturn:
        answer = super().handle_intx()
        if answer is IrqReturn.HANDLED:
            frames, self.buffered = self.buffered, 0
            self._packets += frames
            busy_wait_ns(self.kernel, frames * COPY_NS)
            self.steering.netif_rx(self.kernel.this, frames)
        return answer
