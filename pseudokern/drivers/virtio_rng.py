"""Be a source of random bytes in a virtual machine: a config vector and one for the queue.

Without MSI-X both share the INTx line, with one handler.

Follows drivers/char/hw_random/virtio-rng.c and drivers/virtio/virtio_pci_common.c.
"""

from typing import ClassVar

from pseudokern.drivers.device import IrqReturn
from pseudokern.drivers.intx import IntxDevice
from pseudokern.drivers.keys import Key, Rate
from pseudokern.drivers.pci_keys import PCI_KEYS
from pseudokern.drivers.traffic import Target
from pseudokern.x86.msi_chip import message_of


class VirtioRng(IntxDevice):
    """A virtio entropy device. rate: buffers filled a second."""

    KEYS: ClassVar = {**PCI_KEYS, "rate": Key(Rate(), default=0, doc="buffers filled a second")}
    IDENTITY: ClassVar = (0x1AF4, 0x1005, 0x00FF00)
    DRIVER: ClassVar = "virtio-pci"

    def probe(self) -> None:
        line = self.enable()
        if self.pc.pci.has_messages:
            config, queue = self.pc.pci.alloc_msix(self.function, 2)
            self.request_irq(config.irq, _handle, name=f"{self.name}-config")
            self.request_irq(queue.irq, _handle, name=f"{self.name}-input")
            event: Target = message_of(queue).trigger_now
        else:
            event = self.fall_back_to_intx(line, self.name, _handle).trigger
        self.traffic(self.options["rate"], [event])


def _handle() -> IrqReturn:
    return IrqReturn.HANDLED
