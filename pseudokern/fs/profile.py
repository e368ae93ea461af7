"""Say what differs between the kernels that can be mounted.

Follows kernel/irq/proc.c and kernel/irq/msi.c of 6.1, 6.12 and 6.18.
"""

from typing import NamedTuple

from pseudokern.hw.pci import Bdf, requester_id
from pseudokern.irq.desc import IrqDesc
from pseudokern.x86.msi_chip import MsiChip

MSI_INDEX_BITS = 11


class Profile(NamedTuple):
    """One kernel's formats.

    gap_before_counts  6.18 puts the blank before each count, not behind it
    fixed_modes   an affinity that cannot be written has mode 0444, and writing it is EPERM; before,
                  the mode was 0644 and the error EIO
    rows_of_freed  a line that has counted keeps its row when its last handler is freed
    device_msi    each device has an MSI domain of its own, and small hardware numbers
    deferred_chips  in debugfs the chip says that it cannot move a live line; before 6.15 the line
                  said that it can be moved
    domain_flag_names  debugfs names the flags of domains
    softnet_fields  numbers in a line of softnet_stat; 6.4 added two about the backlog
    """

    name: str
    release: str
    gap_before_counts: bool = False
    fixed_modes: bool = True
    device_msi: bool = True
    rows_of_freed: bool = False
    deferred_chips: bool = False
    domain_flag_names: bool = False
    softnet_fields: int = 15

    def chip_name(self, desc: IrqDesc) -> str:
        if isinstance(desc.chip, MsiChip) and desc.chip.bdf and not self.device_msi:
            return "IR-PCI-MSI" if desc.chip.name.startswith("IR-") else "PCI-MSI"
        return desc.chip.name

    def hwirq(self, desc: IrqDesc) -> int:
        """The hardware number as it is printed."""
        if isinstance(desc.chip, MsiChip) and desc.chip.bdf and not self.device_msi:
            return _device_id(desc.chip.bdf) << MSI_INDEX_BITS | desc.hwirq
        return desc.hwirq


PROFILES = {
    "6.1": Profile(
        "6.1",
        "6.1.0-pseudokern",
        fixed_modes=False,
        device_msi=False,
        rows_of_freed=True,
        softnet_fields=13,
    ),
    "6.12": Profile("6.12", "6.12.0-pseudokern"),
    "6.18": Profile(
        "6.18",
        "6.18.0-pseudokern",
        gap_before_counts=True,
        deferred_chips=True,
        domain_flag_names=True,
    ),
}


def _device_id(bdf: Bdf) -> int:
    """pci_domain_nr << 16 | bus << 8 | device << 3 | function."""
    return int(bdf.split(":")[0], 16) << 16 | requester_id(bdf)
