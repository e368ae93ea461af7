"""Be a source of random bytes in a virtual machine: a config vector and one for the queue.

Follows drivers/char/hw_random/virtio-rng.c and drivers/virtio/virtio_pci_common.c.
"""

from typing import ClassVar

from pseudokern.drivers.device import IrqReturn, PciDevice
from pseudokern.drivers.keys import PCI_KEYS, Key, Rate
from pseudokern.x86.msi_chip import message_of


class VirtioRng(PciDevice):
    """A virtio entropy device. rate: buffers filled a second."""

    KEYS: ClassVar = {**PCI_KEYS, "rate": Key(Rate(), default=0, doc="buffers filled a second")}
    IDENTITY: ClassVar = (0x1AF4, 0x1005, 0x00FF00)
    DRIVER: ClassVar = "virtio-pci"

    def probe(self) -> None:
        self.enable()
        config, queue = self.pc.pci.alloc_msix(self.function, 2)
        self.request_irq(config.irq, lambda: IrqReturn.HANDLED, name=f"{self.name}-config")
        self.request_irq(queue.irq, lambda: IrqReturn.HANDLED, name=f"{self.name}-input")
        self.traffic(self.options["rate"], [message_of(queue).trigger_now])
