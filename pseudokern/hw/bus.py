"""Turn a write of an interrupt message into a vector at a CPU.

Follows the Intel SDM, volume 3, 11.11 (message signalled interrupts) and 11.6 (the ICR), with
the extended destination of hypervisors: address bits 5-11 are bits 8-14 of the APIC's number.

Nothing vanishes here without a count: `lost` names the place and says how often.
"""

from collections import Counter, deque
from typing import TYPE_CHECKING

from pseudokern.hw.lapic import LocalApic
from pseudokern.hw.vector import ApicId, RequesterId, Vector
from pseudokern.sim.timeline import Timeline

if TYPE_CHECKING:
    from pseudokern.hw.remapping import RemappingUnit

MESSAGE_BASE = 0xFEE00000
_BASE_MASK = 0xFFF00000
# Delivery modes, of a message's data and of the ICR.
FIXED, LOWEST_PRIORITY, NMI = 0, 1, 4


def message_address(destination: ApicId) -> int:
    """The address that delivers to one APIC, physical mode."""
    return MESSAGE_BASE | (destination & 0xFF) << 12 | (destination >> 8) << 5


def message_destination(address: int) -> ApicId:
    return ApicId(address >> 12 & 0xFF | (address >> 5 & 0x7F) << 8)


class InterruptBus:
    """The APICs of a machine, and the way between devices and them.

    remapping  the unit that every message has to pass, if the machine has one
    """

    def __init__(self, timeline: Timeline, ipi_ns: int) -> None:
        self.lost: Counter[str] = Counter()
        self.remapping: RemappingUnit | None = None
        self._timeline = timeline
        self._ipi_ns = ipi_ns
        self._apics: dict[ApicId, LocalApic] = {}
        # What is in flight; None: it landed already.
        self._flying: deque[tuple[LocalApic, Vector, int] | None] = deque()
        self._flight = timeline.add_source(self._arrive)

    def add(self, apic: LocalApic) -> None:
        self._apics[apic.apic_id] = apic

    def apic(self, apic_id: ApicId) -> LocalApic | None:
        return self._apics.get(apic_id)

    def write(
        self, address: int, data: int, requester: RequesterId, *, level: bool = False
    ) -> None:
        """A write of a message by a device, or by an I/O APIC, which alone knows of levels."""
        if address & _BASE_MASK != MESSAGE_BASE:
            self.lost["message to no interrupt address"] += 1
        elif self.remapping is None or not self.remapping.takes(address, data, requester):
            self.write_directly(address, data, level=level)

    def write_directly(self, address: int, data: int, *, level: bool = False) -> None:
        """A message that no unit looks at, in compatibility format."""
        destination = message_destination(address)
        self.deliver(destination, Vector(data & 0xFF), data >> 8 & 7, level=level)

    def deliver(
        self, destination: ApicId, vector: Vector, delivery: int = FIXED, *, level: bool = False
    ) -> None:
        """Hand a request to one APIC."""
        apic = self._apics.get(destination)
        if apic is None:
            self.lost["message to no such APIC"] += 1
        elif delivery in (FIXED, LOWEST_PRIORITY):
            apic.accept(vector, level=level)
        elif delivery == NMI:
            apic.accept_nmi()
        else:
            self.lost["message with a delivery mode that nobody uses"] += 1

    def send_ipi(self, destination: ApicId, vector: Vector, delivery: int = FIXED) -> None:
        """Carry an IPI: it arrives at destination after the IPI's flight time."""
        apic = self._apics.get(destination)
        if apic is None:
            self.lost["IPI to no such APIC"] += 1
            return
        # All IPIs fly equally long, so they land in the order of their sending.
        self._flying.append((apic, vector, delivery))
        self._timeline.schedule(self._flight, self._timeline.now_ns + self._ipi_ns)

    def is_flying(self, destination: ApicId, vector: Vector) -> bool:
        """Whether an IPI is on its way."""
        return any(
            ipi is not None and (ipi[0].apic_id, ipi[1]) == (destination, vector)
            for ipi in self._flying
        )

    def land_ipis(self, destination: ApicId) -> None:
        """Let what flies to one APIC arrive now."""
        for index, ipi in enumerate(self._flying):
            if ipi is not None and ipi[0].apic_id == destination:
                self._flying[index] = None
                self._land(ipi)

    def _arrive(self, _now_ns: int) -> int:
        ipi = self._flying.popleft()
        if ipi is not None:
            self._land(ipi)
        return 0

    @staticmethod
    def _land(ipi: tuple[LocalApic, Vector, int]) -> None:
        apic, vector, delivery = ipi
        if delivery == NMI:
            apic.accept_nmi()
        else:
            apic.accept(vector)
