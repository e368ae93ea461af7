"""Drive MSI and MSI-X: the vector is a message in the device.

Follows arch/x86/kernel/apic/msi.c and drivers/pci/msi. Each function has a domain of its own,
named after it; its hardware numbers are the indices of its messages.

Not modelled: address and data are written as one here, so a move needs no detour over the new
vector on the old CPU, and leaves no stray interrupt.
"""

from pseudokern.hw.bus import message_address
from pseudokern.hw.message import Message
from pseudokern.hw.pci import Bdf
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.flags import ChipFlag
from pseudokern.x86.apic_chip import ApicChip
from pseudokern.x86.vector import VectorDomain


class MsiChip(ApicChip):
    """The chip of one function's messages; kind is "MSI" or "MSIX"."""

    flags = ApicChip.flags | ChipFlag.ONESHOT_SAFE

    def __init__(self, vectors: VectorDomain, kind: str, bdf: Bdf) -> None:
        super().__init__(vectors)
        self.bdf = bdf
        self.name = f"PCI-{kind}-{bdf}"

    def write_target(self, desc: IrqDesc) -> None:
        message_of(desc).set_message(*self.message(desc))

    def message(self, desc: IrqDesc) -> tuple[int, int]:
        """Address and data that reach the vector: irq_msi_compose_msg()."""
        data = self.vectors.data(desc)
        address = message_address(self.vectors.cpus[data.target_cpu].apic_id)
        return address, data.target_vector

    def goes_straight(self, desc: IrqDesc) -> bool:
        """Whether the message comes to the vector and CPU that the vector domain chose."""
        return True

    def mask(self, desc: IrqDesc) -> None:
        message_of(desc).set_masked(True)

    def unmask(self, desc: IrqDesc) -> None:
        message_of(desc).set_masked(False)


def message_of(desc: IrqDesc) -> Message:
    """The message of an interrupt of this chip."""
    message = desc.chip_data
    assert isinstance(message, Message)
    return message
