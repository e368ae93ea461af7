"""Set interrupt remapping up, and report its faults.

Follows drivers/iommu/intel/dmar.c (the fault interrupt), intel_prepare_irq_remapping() and
intel_enable_irq_remapping() of drivers/iommu/intel/irq_remapping.c, and dmar_msi_controller of
arch/x86/kernel/apic/msi.c.

Not modelled: the translation of DMA, which the same units do.
"""

from dataclasses import dataclass

from pseudokern.hw.bus import InterruptBus, message_address
from pseudokern.hw.remapping import PENDING, FaultReason, RemappingUnit
from pseudokern.irq.chip import handle_edge_irq
from pseudokern.irq.desc import IrqDesc, IrqTable
from pseudokern.irq.domain import DomainFlag, IrqDomain
from pseudokern.irq.flags import Irqf, IrqReturn
from pseudokern.irq.request import request_irq
from pseudokern.kernel.printk import KernelLog, Level
from pseudokern.kernel.ratelimit import RateLimit
from pseudokern.x86.apic_chip import ApicChip
from pseudokern.x86.ir_chip import IntelIrDomain
from pseudokern.x86.vector import VectorDomain

NAME = "dmar0"
BASE = 0xFED90000
RECORDS = 1  # fault recording registers, as QEMU's unit has
HOST_ADDRESS_WIDTH = 39
CAPABILITIES = 0xD2008C22260206
EXTENDED_CAPABILITIES = 0xF00F4A
EXTENDED_INTERRUPT_MODE = 1 << 4

REASONS = {
    FaultReason.REQUEST_RESERVED:
        "Detected reserved fields in the decoded interrupt-remapped request",
    FaultReason.INDEX_TOO_HIGH: "Interrupt index exceeded the interrupt-remapping table size",
    FaultReason.NOT_PRESENT: "Present field in the IRTE entry is clear",
    FaultReason.TABLE_UNREADABLE:
        "Error accessing interrupt-remapping table pointed by IRTA_REG",
    FaultReason.ENTRY_RESERVED: "Detected reserved fields in the IRTE entry",
    FaultReason.COMPATIBILITY_FORMAT: "Blocked a compatibility format interrupt request",
    FaultReason.WRONG_REQUESTER:
        "Blocked an interrupt request due to source-id verification failure",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Iommu:
    """A unit on the board, and what the boot parameters want of it.

    has_x2apic       the CPUs have it, and the unit knows its wide numbers
    x2apic_optout    firmware asks not to use that; overridden: intremap=no_x2apic_optout
    remaps           intremap=: whether interrupts are remapped
    checks_source    not intremap=nosid
    posts_messages   intremap=posted_msi, and the kernel knows that
    translates       intel_iommu=: whether DMA is translated; that alone needs the fault interrupt
    early            6.1: the boot CPU requests the fault interrupt, before there is another
    """

    has_x2apic: bool = False
    x2apic_optout: bool = False
    x2apic_optout_overridden: bool = False
    remaps: bool = True
    checks_source: bool = True
    posts_messages: bool = False
    translates: bool = True
    early: bool = False


class DmarMsiChip(ApicChip):
    """The unit's own message, which it sends past itself."""

    name = "DMAR-MSI"

    def __init__(self, vectors: VectorDomain, unit: RemappingUnit) -> None:
        super().__init__(vectors)
        self._unit = unit

    def write_target(self, desc: IrqDesc) -> None:
        data = self.vectors.data(desc)
        self._unit.address = message_address(self.vectors.cpus[data.target_cpu].apic_id)
        self._unit.data = data.target_vector

    def mask(self, desc: IrqDesc) -> None:
        self._unit.set_masked(True)

    def unmask(self, desc: IrqDesc) -> None:
        self._unit.set_masked(False)


class Dmar:
    """The unit with its driver.

    ir      the domain of remapped interrupts; None: they go past the unit
    domain  that of the fault interrupt
    has_interrupt  whether that was requested
    """

    def __init__(self, setup: Iommu, irqs: IrqTable, vectors: VectorDomain, bus: InterruptBus):
        self.unit = RemappingUnit(bus.deliver, bus.write_directly, records=RECORDS)
        self.ir: IntelIrDomain | None = None
        flags = DomainFlag.HIERARCHY | DomainFlag.NAME_ALLOCATED | DomainFlag.MSI
        self.domain = IrqDomain("DMAR-MSI", parent=vectors, flags=flags)
        self.has_interrupt = False
        self.setup = setup
        self._irqs = irqs
        self._vectors = vectors
        self._log = irqs.kernel.log
        self._rate_limit = RateLimit(self._log, "dmar_fault")
        bus.remapping = self.unit
        self._print_tables()

    def enable_remapping(self, ioapics: int) -> None:
        """Choose the mode, make the table, switch it on; without I/O APICs it stays off."""
        if not self.setup.remaps:
            return
        if not ioapics:
            text = "Not enabling interrupt remapping due to skipped IO-APIC setup"
            self._log.printk(Level.INFO, f"APIC: {text}")
            return
        for number in range(ioapics):
            text = f"DMAR-IR: IOAPIC id {number} under DRHD base  0x{BASE:x} IOMMU 0"
            self._log.printk(Level.INFO, text)
        self.unit.extended = self._chooses_x2apic()
        setup = self.setup
        self.ir = IntelIrDomain(
            self._vectors, self.unit, checks_source=setup.checks_source, posts=setup.posts_messages
        )
        self.unit.enabled = True
        mode = "x2apic" if self.unit.extended else "xapic"
        self._log.printk(Level.INFO, f"DMAR-IR: Enabled IRQ remapping in {mode} mode")
        if self.unit.extended:
            self._log.printk(Level.INFO, "x2apic enabled")
        elif setup.has_x2apic:
            text = "x2apic: IRQ remapping doesn't support X2APIC mode"
            self._log.printk(Level.INFO, text)

    def set_interrupt(self) -> None:
        """Request the fault interrupt: the first number that belongs to no pin."""
        desc = self._irqs.alloc_descs(1, -1, None)[0]
        chip = DmarMsiChip(self._vectors, self.unit)
        self._vectors.setup(desc)
        self.domain.associate(desc, 0, chip, None, handle_edge_irq, "edge")
        chip.write_target(desc)
        self.has_interrupt = True
        request_irq(self._irqs, desc.irq, self.dmar_fault, Irqf.NO_THREAD, NAME, self)

    def dmar_fault(self) -> IrqReturn:
        """Log what is recorded, as far as the rate limit allows, and clear it."""
        unit, limit = self.unit, self._rate_limit
        status = unit.status
        if status and limit.allows():
            self._log.printk(Level.ERR, f"DMAR: DRHD: handling fault status reg {status:x}")
        number = status >> 8
        while status & PENDING:
            is_logged = limit.allows()
            fault = unit.record(number)
            if fault is None:
                break
            unit.clear_record(number)
            if is_logged:
                device = f"{fault.requester >> 8:02x}:{fault.requester >> 3 & 31:02x}"
                self._log.printk(
                    Level.ERR,
                    f"DMAR: [INTR-REMAP] Request device [{device}.{fault.requester & 7}] "
                    f"fault index 0x{fault.index:x} [fault reason 0x{fault.reason:02x}] "
                    f"{REASONS[fault.reason]}",
                )
            number = (number + 1) % unit.records
        unit.clear_status()
        return IrqReturn.HANDLED

    def lost(self) -> dict[str, int]:
        """Requests that ended here, by place."""
        found = {f"blocked: {REASONS[reason]}": n for reason, n in self.unit.blocked.items()}
        posted = sum(descriptor.collapsed for descriptor in self.unit.memory.values())
        if posted:
            found["collapsed in a posted-interrupt descriptor"] = posted
        return found

    def _chooses_x2apic(self) -> bool:
        setup = self.setup
        if not setup.has_x2apic:
            return False
        if setup.x2apic_optout and not setup.x2apic_optout_overridden:
            _print(
                self._log,
                "DMAR-IR: x2apic is disabled because BIOS sets x2apic opt out bit.",
                "DMAR-IR: Use 'intremap=no_x2apic_optout' to override the BIOS setting.",
            )
            return False
        text = "DMAR-IR: Queued invalidation will be enabled to support x2apic and Intr-remapping."
        _print(self._log, text)
        return True

    def _print_tables(self) -> None:
        capabilities = EXTENDED_CAPABILITIES | (
            EXTENDED_INTERRUPT_MODE if self.setup.has_x2apic else 0
        )
        _print(
            self._log,
            f"DMAR: Host address width {HOST_ADDRESS_WIDTH}",
            f"DMAR: DRHD base: 0x{BASE:014x} flags: 0x0",
            f"DMAR: {NAME}: reg_base_addr {BASE:x} ver 1:0 cap {CAPABILITIES:x} "
            f"ecap {capabilities:x}",
        )


def _print(log: KernelLog, *lines: str) -> None:
    for line in lines:
        log.printk(Level.INFO, line)
