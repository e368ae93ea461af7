"""Say what the core asks of an interrupt controller.

Follows struct irq_chip in include/linux/irq.h. A chip that cannot do something leaves the
method alone; `can_set_affinity` stands for the presence of irq_set_affinity, `has_mask_ack` for
that of irq_mask_ack, and `disables_at_once` for that of irq_disable: there is nothing lazy then.
"""

import errno
from typing import TYPE_CHECKING

from pseudokern.irq.flags import ChipFlag
from pseudokern.kernel.cpumask import CpuMask

if TYPE_CHECKING:
    from pseudokern.irq.desc import IrqDesc


class IrqChip:
    """An interrupt controller, as the flow handlers drive it."""

    name: str = "none"
    flags: int = ChipFlag.NONE
    can_set_affinity = False
    has_set_type = False
    has_mask_ack = False
    disables_at_once = False

    def activate(self, desc: "IrqDesc") -> None:
        """Bring the line's hardware resources to life. ENOSPC: there are none left."""

    def deactivate(self, desc: "IrqDesc") -> None:
        """Give back what activate() took."""

    def mask(self, desc: "IrqDesc") -> None:
        """Stop the line at the controller."""

    def unmask(self, desc: "IrqDesc") -> None:
        """Let the line through."""

    def ack(self, desc: "IrqDesc") -> None:
        """Begin a new interrupt: edges that come from here on are remembered."""

    def mask_ack(self, desc: "IrqDesc") -> None:
        """Both at once, for a chip that has_mask_ack."""

    def eoi(self, desc: "IrqDesc") -> None:
        """End the interrupt."""

    def set_affinity(self, desc: "IrqDesc", mask: CpuMask) -> None:
        """Deliver to a CPU of mask, and set desc.effective_affinity.

        EINVAL  mask has no CPU that can be reached
        ENOSPC  no free vector in mask
        EBUSY   the last move is not finished
        """
        raise OSError(errno.EINVAL, f"{self.name} cannot route interrupt {desc.irq}")

    def set_type(self, desc: "IrqDesc", trigger: int) -> None:
        """Make the controller look for this trigger. EINVAL: it cannot."""

    def set_wake(self, desc: "IrqDesc", on: bool) -> None:
        """Let the line wake the machine. ENXIO: it cannot."""
        if not self.flags & ChipFlag.SKIP_SET_WAKE:
            raise OSError(errno.ENXIO, f"{self.name} cannot wake the machine")

    def request_resources(self, desc: "IrqDesc") -> None:
        """The line gets its first handler: take what it needs. Any errno refuses the request."""

    def release_resources(self, desc: "IrqDesc") -> None:
        """The last handler went."""

    def nmi_setup(self, desc: "IrqDesc") -> None:
        """Deliver the line as an NMI, for a chip that SUPPORTS_NMI. EINVAL: it cannot."""
        raise OSError(errno.EINVAL, f"{self.name} cannot deliver an NMI")

    def nmi_teardown(self, desc: "IrqDesc") -> None:
        """Deliver it as any interrupt again."""

    def retrigger(self, desc: "IrqDesc") -> bool:
        """Make the interrupt happen again in hardware; False if the chip cannot."""
        return False


class NoChip(IrqChip):
    """What a fresh descriptor has: no controller at all."""

    flags = ChipFlag.SKIP_SET_WAKE
