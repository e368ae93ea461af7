"""Put an entry of the interrupt-remapping table between each interrupt and its vector.

Follows drivers/iommu/intel/irq_remapping.c. The device, or the I/O APIC's pin, is programmed once,
with the index of its entry. A move is one write of the entry: it needs no mask and need not wait
for the next interrupt, so the old vector can be cleaned up at once.
"""

import errno
from collections.abc import Sequence
from dataclasses import replace

from pseudokern.hw.irte import Irte, Validation
from pseudokern.hw.pci import Bdf
from pseudokern.hw.posted import PostedDescriptor
from pseudokern.hw.remapping import RemappingUnit, remappable_address
from pseudokern.hw.vector import ApicId, RequesterId, Vector
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.domain import BusToken, DomainFlag, IrqDomain
from pseudokern.irq.flags import ChipFlag
from pseudokern.irq.irqchip import IrqChip
from pseudokern.irq.migration import irq_move_irq
from pseudokern.kernel.cpumask import CpuId, CpuMask
from pseudokern.kernel.printk import Level
from pseudokern.x86.apic_chip import ApicChip
from pseudokern.x86.entry import Entry
from pseudokern.x86.ioapic_chip import IoApicChip, Pin, pin_of
from pseudokern.x86.msi_chip import MsiChip
from pseudokern.x86.vector import VectorDomain
from pseudokern.x86.vectors import POSTED_MSI_NOTIFICATION_VECTOR

INDEX_SHIFT = 16  # of the hardware number: index << 16 | subhandle
DESCRIPTORS = 0x1_0000_0000  # where the descriptors of posted messages stand in memory
DESCRIPTOR_SIZE = 64


class IntelIrChip(IrqChip):
    """The unit, as a chip among the levels of an interrupt."""

    name = "INTEL-IR"


class IntelIrPostChip(IrqChip):
    """The same with posted messages: an acknowledgement does not reach the APIC."""

    name = "INTEL-IR-POST"


class RemappedInterrupt:
    """What the domain knows of one interrupt; struct intel_ir_data.

    order    the entries of its block, as a power of two; only the first of a block frees it
    posted   where a virtual machine has its interrupts posted; None: to the host
    """

    __slots__ = ("index", "order", "posted", "posts_message", "source", "subhandle")

    def __init__(self, index: int, subhandle: int, order: int, source: RequesterId) -> None:
        self.index = index
        self.subhandle = subhandle
        self.order = order
        self.source = source
        self.posted: tuple[PostedDescriptor, Vector] | None = None
        self.posts_message = False


class IntelIrDomain(IrqDomain):
    """The entries of one unit: a domain between the devices' and the vectors.

    checks_source   False with intremap=nosid: an entry is anybody's
    posts_messages  intremap=posted_msi: messages of devices are collected for each CPU
    in_notification  what is handled now came together with others
    """

    def __init__(
        self, vectors: VectorDomain, unit: RemappingUnit, *, checks_source: bool, posts: bool
    ) -> None:
        flags = DomainFlag.HIERARCHY | DomainFlag.NAME_ALLOCATED | DomainFlag.MSI_PARENT
        super().__init__(
            f"INTEL-IR-0-{BusToken.DMAR}",
            unit.size,
            parent=vectors,
            flags=flags | DomainFlag.ISOLATED_MSI,
            chip=IntelIrPostChip() if posts else IntelIrChip(),
        )
        self.unit = unit
        self.posts_messages = posts
        self.in_notification = False
        self._vectors = vectors
        self._checks_source = checks_source
        self._taken = 0  # a bit for each entry
        self._data: dict[IrqDesc, RemappedInterrupt] = {}
        if posts:
            for cpu in vectors.cpus:
                address = descriptor_address(CpuId(cpu.number))
                unit.memory[address] = PostedDescriptor(
                    address, nv=Vector(POSTED_MSI_NOTIFICATION_VECTOR), ndst=cpu.apic_id
                )

    def hwirq_of(self, desc: IrqDesc) -> int:
        data = self._data[desc]
        return data.index << INDEX_SHIFT | data.subhandle

    def data(self, desc: IrqDesc) -> RemappedInterrupt:
        return self._data[desc]

    def index_of(self, desc: IrqDesc) -> int:
        """The entry that the interrupt uses."""
        data = self._data[desc]
        return data.index + data.subhandle

    def alloc(
        self, descs: Sequence[IrqDesc], source: RequesterId, *, is_message: bool = True
    ) -> None:
        """Take neighbouring entries for the interrupts of one message, for one sender.

        ENOMEM  the table is full
        """
        order = (len(descs) - 1).bit_length()
        index = self._find_region(order)
        if index is None:
            log = self._vectors.kernel.log
            log.printk(Level.WARNING, "DMAR-IR: IR0: can't allocate an IRTE")
            log.printk(Level.WARNING, "DMAR-IR: Failed to allocate IRTE")
            raise OSError(errno.ENOMEM, "every entry of the remapping table is taken")
        self._taken |= ((1 << (1 << order)) - 1) << index
        for number, desc in enumerate(descs):
            data = self._data[desc] = RemappedInterrupt(index, number, order, source)
            data.posts_message = self.posts_messages and is_message

    def free(self, desc: IrqDesc) -> None:
        """Give the entry back; with the first one of a block the whole block."""
        data = self._data.pop(desc)
        self.unit.table.pop(data.index + data.subhandle, None)
        if not data.subhandle:
            self._taken &= ~(((1 << (1 << data.order)) - 1) << data.index)

    def write(self, desc: IrqDesc) -> None:
        """Have the entry say the vector and the CPU that the vector domain chose."""
        data, target = self._data[desc], self._vectors.data(desc)
        entry = Irte(
            vector=Vector(target.target_vector),
            destination=self._vectors.cpus[target.target_cpu].apic_id,
            redirection_hint=True,
            source=data.source,
            validation=Validation.REQUESTER if self._checks_source else Validation.NONE,
        )
        if data.posted is not None:
            descriptor, vector = data.posted
            entry = replace(
                entry, descriptor=descriptor.address, vector=vector, redirection_hint=False
            )
        elif data.posts_message:
            descriptor_of_cpu = descriptor_address(target.target_cpu)
            entry = replace(entry, descriptor=descriptor_of_cpu, redirection_hint=False)
        self.unit.table[self.index_of(desc)] = entry.encode(extended=self.unit.extended)

    def clear(self, desc: IrqDesc) -> None:
        """Have the entry say nothing: what comes now is blocked."""
        self.unit.table.pop(self.index_of(desc), None)

    def post_to(self, desc: IrqDesc, posted: tuple[PostedDescriptor, Vector] | None) -> None:
        """irq_set_vcpu_affinity(): post to a virtual machine, or None: to the host again."""
        self._data[desc].posted = posted
        self.write(desc)
        desc.changed()

    def goes_straight(self, desc: IrqDesc) -> bool:
        return self.unit.goes_straight(self.index_of(desc))

    def _find_region(self, order: int) -> int | None:
        """bitmap_find_free_region(): the first free block, aligned to its size."""
        size = 1 << order
        block = (1 << size) - 1
        for index in range(0, self.size, size):
            if not self._taken >> index & block:
                return index
        return None


def descriptor_address(cpu: CpuId) -> int:
    """Where a CPU's own posted-interrupt descriptor stands."""
    return DESCRIPTORS + cpu * DESCRIPTOR_SIZE


class RemappedChip(ApicChip):
    """What every chip in front of the unit does; the others say how masks are written."""

    flags = ApicChip.flags & ~ChipFlag.MOVE_DEFERRED
    ir: IntelIrDomain

    def write_target(self, desc: IrqDesc) -> None:
        self.ir.write(desc)

    def deactivate(self, desc: IrqDesc) -> None:
        self.ir.clear(desc)
        self.vectors.deactivate(desc)

    def set_affinity(self, desc: IrqDesc, mask: CpuMask) -> None:
        super().set_affinity(desc, mask)
        # From here on everything arrives on the new CPU.
        self.vectors.end_move(desc)

    def ack(self, desc: IrqDesc) -> None:
        irq_move_irq(desc)
        if not self.ir.in_notification:  # which ends with one EOI for all
            self.local_eoi()


class IrMsiChip(RemappedChip, MsiChip):
    """One function's messages, which carry the indices of entries."""

    flags = RemappedChip.flags | MsiChip.flags & ~ChipFlag.MOVE_DEFERRED

    def __init__(self, vectors: VectorDomain, ir: IntelIrDomain, kind: str, bdf: Bdf) -> None:
        super().__init__(vectors, kind, bdf)
        self.ir = ir
        self.name = f"IR-{self.name}"

    def message(self, desc: IrqDesc) -> tuple[int, int]:
        data = self.ir.data(desc)
        return remappable_address(data.index, subhandle=True), data.subhandle

    def goes_straight(self, desc: IrqDesc) -> bool:
        return self.ir.goes_straight(desc)


class IrIoApicChip(RemappedChip, IoApicChip):
    """The pins of I/O APICs, each with an entry of its own."""

    name = "IR-IO-APIC"

    def __init__(self, vectors: VectorDomain, entry: Entry, ir: IntelIrDomain) -> None:
        super().__init__(vectors, entry)
        self.ir = ir

    def connect(self, desc: IrqDesc, pin: Pin) -> None:
        """The pin's vector is its own number: nothing but an EOI is ever compared with it."""
        self.ir.alloc([desc], pin.ioapic.requester, is_message=False)
        address = remappable_address(self.ir.data(desc).index, subhandle=False)
        pin.ioapic.program(
            pin.number, vector=Vector(pin.number), destination=ApicId(0), address=address
        )

    def disconnect(self, desc: IrqDesc) -> None:
        self.ir.free(desc)

    def eoi(self, desc: IrqDesc) -> None:
        """End a level interrupt. It came as an edge, so the I/O APIC has to be told by hand."""
        irq_move_irq(desc)
        self.local_eoi()
        pin = pin_of(desc)
        pin.ioapic.eoi(Vector(pin.number))
