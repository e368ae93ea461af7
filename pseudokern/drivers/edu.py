"""Be QEMU's device for teaching: it interrupts when told to, by MSI or INTx.

The factorial that it computes is left out; so are its DMA and its registers.
"""

from typing import ClassVar

from pseudokern.drivers.device import IrqReturn
from pseudokern.drivers.intx import IntxDevice
from pseudokern.drivers.keys import Choice, Key
from pseudokern.drivers.pci_keys import PCI_KEYS
from pseudokern.irq.request import free_irq


class Edu(IntxDevice):
    """An "edu". interrupt: how its driver takes interrupts.

    "none" leaves the device alone, until the irqctl file takes it; "freed" requests the INTx line
    once and gives it back, which leaves the line's directory in /proc/irq. "msi" is INTx where
    there are no messages.
    """

    KEYS: ClassVar = {
        **PCI_KEYS,
        "interrupt": Key(Choice("msi", "intx", "none", "freed"), default="msi", doc="which way"),
    }
    IDENTITY: ClassVar = (0x1234, 0x11E8, 0x00FF00)

    def open(self) -> None:  # its driver is a module, loaded when all others are there
        way = self.options["interrupt"]
        line = self.enable()
        if way == "none":
            return
        if way == "msi" and self.pc.pci.has_messages:
            desc = self.pc.pci.alloc_msi(self.function, 1)[0]
            self.request_irq(desc.irq, lambda: IrqReturn.HANDLED, name=self.name)
        else:
            self.request_intx(line, self.name)
        if way == "freed" and line is not None:
            free_irq(line, self)

    def interrupt(self, now_ns: int) -> None:
        """Raise an interrupt, as a write to the device's register would."""
        msi = self.function.msi
        if msi is not None:
            msi.entries[0].trigger(now_ns)
        else:
            self.assert_intx(now_ns)
