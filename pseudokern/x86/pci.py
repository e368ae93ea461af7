"""Give PCI functions their interrupts: the INTx line, MSI or MSI-X.

Follows drivers/pci/msi/api.c (pci_alloc_irq_vectors_affinity), drivers/pci/msi/msi.c and
drivers/acpi/pci_irq.c.
"""

import errno
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pseudokern.hw.bus import InterruptBus
from pseudokern.hw.ioapic import LOST_ON_THE_WAY
from pseudokern.hw.message import Message
from pseudokern.hw.msi import COUNTS, MsiCapability
from pseudokern.hw.msix import MsixTable
from pseudokern.hw.pci import Bdf, PciFunction, requester_id
from pseudokern.irq.affinity import create_affinity_masks, group_cpus_evenly
from pseudokern.irq.chip import handle_edge_irq
from pseudokern.irq.desc import Irq, IrqDesc, IrqTable
from pseudokern.irq.domain import BusToken, DomainFlag, IrqDomain, IrqDomains
from pseudokern.kernel.cpumask import CpuId, CpuMask
from pseudokern.kernel.kernel import Kernel
from pseudokern.x86.lines import WiredLines
from pseudokern.x86.msi_chip import MsiChip
from pseudokern.x86.vector import VectorDomain

if TYPE_CHECKING:
    from pseudokern.x86.ir_chip import IntelIrDomain

ALL_KINDS = ("msix", "msi", "intx")
_COLLAPSED = "collapsed in a pending bit"
_TOKENS = {"MSI": BusToken.PCI_DEVICE_MSI, "MSIX": BusToken.PCI_DEVICE_MSIX}
_DEVICE_DOMAIN = (
    DomainFlag.HIERARCHY | DomainFlag.NAME_ALLOCATED | DomainFlag.MSI | DomainFlag.MSI_DEVICE
)


class Spread(NamedTuple):
    """Ask for managed vectors, spread over the CPUs; pre and post ones are left out of it."""

    pre: int = 0
    post: int = 0


class PciBus:
    """The PCI functions of a machine, by address.

    has_messages  False with pci=nomsi: there is neither MSI nor MSI-X
    ir            the unit that remaps their interrupts, if there is one
    """

    def __init__(
        self,
        kernel: Kernel,
        irqs: IrqTable,
        vectors: VectorDomain,
        bus: InterruptBus,
        gsis: WiredLines,
        domains: IrqDomains,
        siblings_of: Callable[[CpuId], CpuMask],
    ) -> None:
        self.functions: dict[Bdf, PciFunction] = {}
        self.has_messages = True
        self.ir: IntelIrDomain | None = None
        self._kernel = kernel
        self._irqs = irqs
        self._vectors = vectors
        self._bus = bus
        self._gsis = gsis
        self._siblings_of = siblings_of
        self._all_domains = domains
        self._domains: dict[Bdf, IrqDomain] = {}
        self._enabled: dict[int, set[Bdf]] = {}  # functions, by their line
        self._lost_of_freed: Counter[str] = Counter()

    def lost(self) -> Counter[str]:
        """Events that were never sent as a message, by place."""
        found = Counter(self._lost_of_freed)
        for function in self.functions.values():
            for entry in _messages(function):
                found[_COLLAPSED] += entry.collapsed
                if entry.lost:
                    found[LOST_ON_THE_WAY] += entry.lost
        return found

    def add(self, function: PciFunction) -> None:
        """Plug a function in. EEXIST: there is one at its address."""
        if function.bdf in self.functions:
            raise OSError(errno.EEXIST, f"there is a function at {function.bdf}")
        self.functions[function.bdf] = function

    def remove(self, function: PciFunction) -> None:
        """Unplug it; its messages must be gone."""
        del self.functions[function.bdf]

    def enable(self, function: PciFunction) -> IrqDesc | None:
        """Enable the device: its INTx line, if it has one, gets an interrupt number."""
        if not function.gsi:
            return None
        desc = self._gsis.register(function.gsi)
        function.intx = self._gsis.intx_line(function.gsi)
        function.irq = desc.irq
        self._enabled.setdefault(function.gsi, set()).add(function.bdf)
        return desc

    def disable(self, function: PciFunction) -> None:
        """Disable the device; the last one on a line takes the line's interrupt with it.

        acpi_pci_irq_disable(). Its messages and handlers must be gone; it still says its number.
        """
        users = self._enabled.get(function.gsi, set())
        if function.bdf in users:
            users.remove(function.bdf)
            if not users:
                self._gsis.unregister(function.gsi)

    def alloc_irq_vectors(
        self,
        function: PciFunction,
        least: int,
        most: int,
        *,
        kinds: Collection[str] = ALL_KINDS,
        spread: Spread | None = None,
    ) -> list[IrqDesc]:
        """Make as many interrupts as there can be: MSI-X, else MSI, else the function's line.

        kinds  those of "msix", "msi" and "intx" that the driver can do with

        EINVAL  least is not even 1; messages are switched off, or the function uses some already
        ERANGE  most is less than least
        ENOSPC  there are fewer than least
        """
        if least < 1:
            raise OSError(
                errno.EINVAL, f"{function.bdf}: at least {least} interrupts make no sense"
            )
        if most < least:
            raise OSError(errno.ERANGE, f"{function.bdf}: at least {least}, at most {most}")
        refused = OSError(errno.ENOSPC, f"{function.bdf} has no such interrupts")
        for kind, room, alloc in (
            ("msix", function.msix_entries, self._alloc_msix),
            ("msi", function.msi_vectors, self._alloc_msi),
        ):
            if kind not in kinds:
                continue
            try:
                count = self._check_count(function, least, min(most, room), spread)
                return alloc(function, least, count, spread)
            except OSError as error:
                refused = error
        if "intx" in kinds and least == 1 and function.gsi:
            return [self._gsis.register(function.gsi)]
        raise refused

    def alloc_msix(
        self, function: PciFunction, count: int, spread: Spread | None = None
    ) -> list[IrqDesc]:
        """Make exactly count MSI-X interrupts; the errors of alloc_irq_vectors()."""
        return self.alloc_irq_vectors(function, count, count, kinds=("msix",), spread=spread)

    def alloc_msi(self, function: PciFunction, count: int) -> list[IrqDesc]:
        """Make exactly count MSI interrupts; the errors of alloc_irq_vectors()."""
        return self.alloc_irq_vectors(function, count, count, kinds=("msi",))

    def _check_count(
        self, function: PciFunction, least: int, most: int, spread: Spread | None
    ) -> int:
        """How many to try.

        irq_calc_affinity_vectors() spares CPUs that are not there, but for drivers like NVMe's
        that compute their sets themselves; those ask for an exact number here.
        """
        if not self.has_messages:
            raise OSError(errno.EINVAL, "pci=nomsi: there are no message signalled interrupts")
        if function.msix is not None or function.msi is not None:
            raise OSError(errno.EINVAL, f"{function.bdf} has its interrupts already")
        if spread is not None and least < most:
            reserved = spread.pre + spread.post
            cpus = self._kernel.possible.bit_count()
            most = reserved + min(cpus, most - reserved) if reserved <= least else 0
        if most < least:
            raise OSError(errno.ENOSPC, f"{function.bdf} has {most} interrupts, not {least}")
        return most

    def _alloc_msix(
        self, function: PciFunction, _least: int, count: int, spread: Spread | None
    ) -> list[IrqDesc]:
        function.msix = table = MsixTable(self._bus, count, requester=requester_id(function.bdf))
        descs = self._alloc(function, "MSIX", list(table.entries), spread)
        table.set_enabled(True)
        return descs

    def _alloc_msi(
        self, function: PciFunction, least: int, count: int, spread: Spread | None
    ) -> list[IrqDesc]:
        """Neighbouring vectors are for neighbouring entries of a remapping unit only."""
        if self.ir is None and count > 1:
            if least > 1:
                raise OSError(errno.ENOSPC, "more than one MSI needs interrupt remapping")
            count = 1
        function.msi = capability = MsiCapability(
            self._bus,
            1 << (count - 1).bit_length(),
            requester=requester_id(function.bdf),
            maskable=function.msi_maskable,
        )
        descs = self._alloc(function, "MSI", capability.entries[:count], spread)
        capability.set_enabled(True)
        function.irq = descs[0].irq
        return descs

    def alloc_at(
        self, function: PciFunction, kind: str, places: Sequence[tuple[Irq, int, CpuMask | None]]
    ) -> list[IrqDesc]:
        """Make interrupts of chosen messages with chosen numbers; kind is "msix" or "msi".

        A place is the number, which message, and the CPUs that the kernel keeps it on, if it does.

        Without interrupt remapping, more than one MSI gets an address and data each.

        EINVAL  messages are switched off
        EEXIST  a number is taken
        ENOSPC  managed vectors do not fit; then none is made
        """
        if not self.has_messages:
            raise OSError(errno.EINVAL, "pci=nomsi: there are no message signalled interrupts")
        if taken := [irq for irq, _, _ in places if self._irqs.get(irq) is not None]:
            raise OSError(errno.EEXIST, f"interrupts {taken} exist")
        requester = requester_id(function.bdf)
        descs = []
        is_spread = any(managed is not None for _, _, managed in places)
        for irq, _, managed in places:
            mask = self._irqs.default_affinity if managed is None else managed
            masks = [(mask, managed is not None)] if is_spread else None
            descs += self._irqs.alloc_descs(1, function.node, masks, irq)
        indexes = [index for _, index, _ in places]
        blocks = COUNTS if self.ir is not None else (1,)
        if kind == "msi" and len(places) in blocks and indexes == list(range(len(places))):
            function.msi = capability = MsiCapability(
                self._bus, len(places), requester=requester, maskable=True
            )
            self._connect(function, "MSI", descs, capability.entries)
            capability.set_enabled(True)
        else:
            count = 1 + max(indexes)
            table = MsixTable(self._bus, count, requester=requester)
            function.msix = table
            entries = [table.entries[index] for index in indexes]
            self._connect(function, kind.upper(), descs, entries)
            table.set_enabled(True)
        if kind == "msi":
            function.irq = descs[0].irq
        return descs

    def free(self, function: PciFunction) -> None:
        """Take the messages back, if there are any. Their handlers must be gone."""
        domain = self._domains.get(function.bdf)
        if domain is None:
            return
        for desc in list(domain.descs.values()):
            domain.disassociate(desc)
            self._tear_down(desc)
            self._irqs.free_desc(desc)
        self._forget_domain(function)
        function.irqs.clear()
        for entry in _messages(function):
            self._lost_of_freed[_COLLAPSED] += entry.collapsed
            if entry.lost:
                self._lost_of_freed[LOST_ON_THE_WAY] += entry.lost
            self._lost_of_freed["pending at a message that went"] += entry.pending
        function.msi = function.msix = None
        function.irq = self._gsis.register(function.gsi).irq if function.gsi else 0

    def _alloc(
        self,
        function: PciFunction,
        kind: str,
        entries: list[Message],
        spread: Spread | None,
    ) -> list[IrqDesc]:
        affinities = self._affinities(len(entries), spread) if spread is not None else None
        descs = self._irqs.alloc_descs(len(entries), function.node, affinities, function.first_irq)
        return self._connect(function, kind, descs, entries)

    def _connect(
        self,
        function: PciFunction,
        kind: str,
        descs: list[IrqDesc],
        entries: Sequence[Message],
    ) -> list[IrqDesc]:
        """Put fresh descriptors in front of messages; what cannot be had is given back."""
        chip = self._chip(kind, function.bdf)
        name = f"{chip.name}-{_TOKENS[kind]}"
        domain = IrqDomain(name, parent=self.ir or self._vectors, flags=_DEVICE_DOMAIN)
        self._domains[function.bdf] = domain
        self._all_domains.add(domain)
        # The messages of MSI are one block, which one message has room for.
        size = len(entries) if function.msi is not None else 1
        for start in range(0, len(entries), size):
            block = range(start, start + size)
            try:
                self._set_up([descs[index] for index in block], function)
            except OSError:
                self._undo(function, descs[:start], descs)
                raise
            for index in block:
                desc, entry = descs[index], entries[index]
                domain.associate(desc, entry.index, chip, entry, handle_edge_irq, "edge")
                chip.write_target(desc)
                entry.set_message(*chip.message(desc))
                function.irqs[desc.irq] = kind.lower()
        return descs

    def _chip(self, kind: str, bdf: Bdf) -> MsiChip:
        if self.ir is None:
            return MsiChip(self._vectors, kind, bdf)
        # Here, because few machines have such a unit, and every module costs time at boot.
        from pseudokern.x86.ir_chip import IrMsiChip

        return IrMsiChip(self._vectors, self.ir, kind, bdf)

    def _set_up(self, block: list[IrqDesc], function: PciFunction) -> None:
        """Give the interrupts of a block their vectors, and an entry each; or none of them."""
        done = []
        try:
            for desc in block:
                self._vectors.setup(desc)
                done.append(desc)
            if self.ir is not None:
                self.ir.alloc(block, requester_id(function.bdf))
        except OSError:
            for desc in done:
                self._vectors.teardown(desc)
            raise

    def _tear_down(self, desc: IrqDesc) -> None:
        self._vectors.teardown(desc)
        if self.ir is not None:
            self.ir.free(desc)

    def _undo(self, function: PciFunction, done: list[IrqDesc], descs: list[IrqDesc]) -> None:
        for desc in done:
            self._domains[function.bdf].disassociate(desc)
            self._tear_down(desc)
        for desc in descs:
            self._irqs.free_desc(desc)
        self._forget_domain(function)
        function.irqs.clear()
        function.msix = function.msi = None

    def _forget_domain(self, function: PciFunction) -> None:
        self._all_domains.remove(self._domains.pop(function.bdf))

    def spread(self, groups: int) -> list[CpuMask]:
        """All possible CPUs in so many groups, as the kernel has them near to each other."""
        kernel = self._kernel
        return group_cpus_evenly(
            groups, kernel.possible, kernel.present, kernel.node_of, self._siblings_of
        )

    def _affinities(self, count: int, spread: Spread) -> list[tuple[CpuMask, bool]]:
        default = self._irqs.default_affinity
        return create_affinity_masks(count, spread.pre, spread.post, default, self.spread)


def _messages(function: PciFunction) -> list[Message]:
    """Every message that the function can send."""
    messages: list[Message] = []
    if function.msix is not None:
        messages += function.msix.entries
    if function.msi is not None:
        messages += function.msi.entries
    return messages
