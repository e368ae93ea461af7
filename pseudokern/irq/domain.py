"""Map hardware interrupt numbers of one controller to descriptors.

Follows kernel/irq/irqdomain.c. Domains are stacked: what a device's domain has is also in every
domain on the way to the CPU, under that domain's own number. The descriptor itself holds the
outermost level (chip, hardware number); the levels behind it know theirs by hwirq_of() and chip.
"""

from collections.abc import Iterator

from pseudokern.irq.desc import FlowHandler, IrqDesc
from pseudokern.irq.irqchip import IrqChip


class DomainFlag:
    """IRQ_DOMAIN_*; the values are Linux's, debugfs prints them."""

    HIERARCHY = 1 << 0
    NAME_ALLOCATED = 1 << 1
    MSI = 1 << 4
    ISOLATED_MSI = 1 << 5
    MSI_PARENT = 1 << 8
    MSI_DEVICE = 1 << 9


class BusToken:
    """What kind of interrupts a domain has; the number ends the names of message domains."""

    PCI_DEVICE_MSI = 11
    PCI_DEVICE_MSIX = 12
    DMAR = 13


class IrqDomain:
    """The interrupts of one controller, by hardware number (a pin, an MSI-X index).

    size    length of the table of hardware numbers; 0: a tree without limit
    parent  the next domain on the way to the CPU
    chip    the controller, for a domain that others are stacked upon
    """

    def __init__(
        self,
        name: str,
        size: int = 0,
        *,
        parent: "IrqDomain | None" = None,
        flags: int = DomainFlag.HIERARCHY | DomainFlag.NAME_ALLOCATED,
        chip: IrqChip | None = None,
    ) -> None:
        self.name = name
        self.size = size
        self.parent = parent
        self.flags = flags
        self.chip = chip
        self.descs: dict[int, IrqDesc] = {}

    @property
    def mapped(self) -> int:
        return len(self.descs)

    def levels(self) -> Iterator["IrqDomain"]:
        """This domain and those behind it, down to the CPUs' vectors."""
        domain: IrqDomain | None = self
        while domain is not None:
            yield domain
            domain = domain.parent

    def hwirq_of(self, desc: IrqDesc) -> int:
        """The number that desc has here. A domain behind another one has numbers of its own."""
        return desc.hwirq

    def associate(
        self,
        desc: IrqDesc,
        hwirq: int,
        chip: IrqChip,
        chip_data: object,
        handler: FlowHandler,
        flow_name: str,
    ) -> None:
        """Give desc its place at this controller, and at those behind it."""
        desc.domain = self
        desc.hwirq = hwirq
        desc.chip = chip
        desc.chip_data = chip_data
        desc.handle_irq = handler
        desc.flow_name = flow_name
        for level in self.levels():
            level.descs[level.hwirq_of(desc)] = desc

    def disassociate(self, desc: IrqDesc) -> None:
        """Take desc out of all levels."""
        for level in self.levels():
            del level.descs[level.hwirq_of(desc)]
        desc.domain = None


class IrqDomains:
    """Every domain of a machine, by name. default: where a number without a domain belongs."""

    def __init__(self) -> None:
        self.by_name: dict[str, IrqDomain] = {}
        self.default: IrqDomain | None = None

    def add(self, domain: IrqDomain) -> None:
        self.by_name[domain.name] = domain

    def remove(self, domain: IrqDomain) -> None:
        """Forget a domain whose interrupts are all gone."""
        del self.by_name[domain.name]
