"""Turn a write of an interrupt message into a vector at a CPU.

Follows the Intel SDM, volume 3, 11.11 (message signalled interrupts) and 11.6 (the ICR), with
the extended destination of hypervisors: address bits 5-11 are bits 8-14 of the APIC's number.

Nothing vanishes here without a count: `lost` names the place and says how often.
"""

from collections import Counter, deque

from pseudokern.hw.lapic import LocalApic
from pseudokern.hw.vector import ApicId, RequesterId, Vector
from pseudokern.sim.timeline import Timeline

MESSAGE_BASE = 0xFEE00000
_BASE_MASK = 0xFFF00000


def message_address(destination: ApicId) -> int:
    """The address that delivers to one APIC, physical mode."""
    return MESSAGE_BASE | (destination & 0xFF) << 12 | (destination >> 8) << 5


def message_destination(address: int) -> ApicId:
    return ApicId(address >> 12 & 0xFF | (address >> 5 & 0x7F) << 8)


class InterruptBus:
    """The APICs of a machine, and the way between devices and them."""

    def __init__(self, timeline: Timeline, ipi_ns: int) -> None:
        self.lost: Counter[str] = Counter()
        self._timeline = timeline
        self._ipi_ns = ipi_ns
        self._apics: dict[ApicId, LocalApic] = {}
        self._flying: deque[tuple[LocalApic, Vector] | None] = deque()  # None: landed already
        self._flight = timeline.add_source(self._arrive)

    def add(self, apic: LocalApic) -> None:
        self._apics[apic.apic_id] = apic

    def apic(self, apic_id: ApicId) -> LocalApic | None:
        return self._apics.get(apic_id)

    def write(self, address: int, data: int, _requester: RequesterId) -> None:
        """A device's write of a message: fixed delivery to one APIC."""
        if address & _BASE_MASK != MESSAGE_BASE:
            self.lost["message to no interrupt address"] += 1
            return
        apic = self._apics.get(message_destination(address))
        if apic is None:
            self.lost["message to no such APIC"] += 1
            return
        apic.accept(Vector(data & 0xFF))

    def send_ipi(self, destination: ApicId, vector: Vector) -> None:
        """Carry an IPI: the vector arrives at destination after the IPI's flight time."""
        apic = self._apics.get(destination)
        if apic is None:
            self.lost["IPI to no such APIC"] += 1
            return
        # All IPIs fly equally long, so they land in the order of their sending.
        self._flying.append((apic, vector))
        self._timeline.schedule(self._flight, self._timeline.now_ns + self._ipi_ns)

    def land_ipis(self, destination: ApicId) -> None:
        """Let what flies to one APIC arrive now."""
        for index, ipi in enumerate(self._flying):
            if ipi is not None and ipi[0].apic_id == destination:
                self._flying[index] = None
                ipi[0].accept(ipi[1])

    def _arrive(self, _now_ns: int) -> int:
        ipi = self._flying.popleft()
        if ipi is not None:
            ipi[0].accept(ipi[1])
        return 0
