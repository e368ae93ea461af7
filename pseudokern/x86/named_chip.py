"""Drive a controller of which only the name is known, by messages to the CPUs' vectors.

For machines that are described from what they print: DMAR-MSI, HPET-MSI, Hyper-V's and Xen's
controllers. All of them end at a vector of a CPU, which is what can be seen of them from outside.
One that remaps interrupts (IR-) moves a live interrupt at once.
"""

from pseudokern.hw.pci import Bdf
from pseudokern.irq.flags import ChipFlag
from pseudokern.x86.msi_chip import MsiChip
from pseudokern.x86.vector import VectorDomain

REMAPPING = "IR-"


class NamedChip(MsiChip):
    """The chip of that name. Its messages belong to no PCI function."""

    def __init__(self, vectors: VectorDomain, name: str) -> None:
        super().__init__(vectors, "MSI", Bdf(""))
        self.name = name
        if name.startswith(REMAPPING):
            self.flags = MsiChip.flags & ~ChipFlag.MOVE_DEFERRED
