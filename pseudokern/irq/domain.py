"""Map hardware interrupt numbers of one controller to descriptors.

Follows kernel/irq/irqdomain.c as far as users see it: who has a hardware number, and which.
"""

from pseudokern.irq.desc import FlowHandler, IrqDesc
from pseudokern.irq.irqchip import IrqChip


class IrqDomain:
    """The interrupts of one controller, by hardware number (a pin, an MSI-X index)."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.descs: dict[int, IrqDesc] = {}

    def associate(
        self,
        desc: IrqDesc,
        hwirq: int,
        chip: IrqChip,
        chip_data: object,
        handler: FlowHandler,
        flow_name: str,
    ) -> None:
        """Give desc its place at this controller."""
        desc.domain = self
        desc.hwirq = hwirq
        desc.chip = chip
        desc.chip_data = chip_data
        desc.handle_irq = handler
        desc.flow_name = flow_name
        self.descs[hwirq] = desc

    def disassociate(self, desc: IrqDesc) -> None:
        del self.descs[desc.hwirq]
        desc.domain = None
