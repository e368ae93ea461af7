"""Look every interrupt message up in a table, and let through only what stands there.

Follows the VT-d specification, 5.1 (interrupt remapping), 5.2 (posting) and 7.2 (fault logging).
A message in remappable format carries the index of an entry; the entry says vector and CPU, and
who may use it. Any other message is in compatibility format, which is let through or blocked as
a whole.

What is blocked is gone: it is counted, recorded as a fault, and the fault event tells software.

Not modelled: the interrupt entry cache (every request reads the table), queued invalidation, and
the advanced fault log.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from pseudokern.hw.irte import FAULT_DISABLED, Irte, has_reserved_bits
from pseudokern.hw.posted import PostedDescriptor
from pseudokern.hw.vector import ApicId, RequesterId, Vector

MOST_ENTRIES = 1 << 16
FORMAT = 1 << 4  # of the address: remappable
SUBHANDLE_VALID = 1 << 3
SUBHANDLE_MASK = 0xFFFF
# FSTS_REG
OVERFLOW = 1 << 0
PENDING = 1 << 1


class FaultReason(IntEnum):
    """Why a request was blocked."""

    REQUEST_RESERVED = 0x20
    INDEX_TOO_HIGH = 0x21
    NOT_PRESENT = 0x22
    TABLE_UNREADABLE = 0x23
    ENTRY_RESERVED = 0x24
    COMPATIBILITY_FORMAT = 0x25
    WRONG_REQUESTER = 0x26


# 5.1.4.1: an entry can say that nobody needs to hear of these.
_QUALIFIED = (FaultReason.NOT_PRESENT, FaultReason.ENTRY_RESERVED, FaultReason.WRONG_REQUESTER)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault recording register that is in use."""

    reason: FaultReason
    requester: RequesterId
    index: int


class Deliver(Protocol):
    """How the unit hands on what it lets through."""

    def __call__(
        self, destination: ApicId, vector: Vector, delivery: int = 0, *, level: bool = False
    ) -> None: ...


def remappable_address(index: int, *, subhandle: bool) -> int:
    """The address of a message for an entry; subhandle: its data counts from there."""
    address = 0xFEE00000 | (index & 0x7FFF) << 5 | FORMAT | (index >> 15) << 2
    return address | SUBHANDLE_VALID if subhandle else address


class RemappingUnit:
    """The unit in front of all APICs.

    size        entries of the table (IRTA_REG)
    table       the entries in memory, by index; what is not in it reads 0
    enabled     IRES of GSTS_REG
    extended    EIME: APICs have numbers of 32 bits
    lets_compatibility_format_through   CFIS
    is_readable  the table can be read
    memory      posted-interrupt descriptors, by address
    intercept   whether the processor takes a notification for the guest that it runs
    blocked     requests that were blocked, by reason
    address, data  the fault event's message; masked: it waits (FECTL_REG)
    """

    def __init__(
        self, deliver: Deliver, write: Callable[[int, int], None], *, records: int
    ) -> None:
        self.size = MOST_ENTRIES
        self.table: dict[int, int] = {}
        self.enabled = False
        self.extended = False
        self.lets_compatibility_format_through = False
        self.is_readable = True
        self.memory: dict[int, PostedDescriptor] = {}
        self.intercept: Callable[[ApicId, Vector], bool] = lambda _destination, _vector: False
        self.blocked: Counter[FaultReason] = Counter()
        self.address = 0
        self.data = 0
        self.masked = True
        self._event_pending = False
        self._status = 0
        self._records: list[Fault | None] = [None] * records
        self._first_record = 0
        self._next_record = 0
        self._deliver = deliver
        self._write = write

    def takes(self, address: int, data: int, requester: RequesterId) -> bool:
        """Take a message from the bus. False: it passes as it is."""
        if not self.enabled:
            return False
        if address & FORMAT:
            self._remap(address, data, requester)
        elif self.lets_compatibility_format_through and not self.extended:
            return False
        else:
            self._block(FaultReason.COMPATIBILITY_FORMAT, requester, 0)
        return True

    def goes_straight(self, index: int) -> bool:
        """Whether requests of this entry go to a CPU, as long as the right one asks."""
        bits = self.table.get(index, 0)
        entry = Irte.decode(bits, extended=self.extended)
        intact = entry.present and not has_reserved_bits(bits, extended=self.extended)
        return self.enabled and self.is_readable and intact and entry.descriptor is None

    def find(self, address: int, data: int) -> int:
        """The index that a message in remappable format names."""
        index = address >> 5 & 0x7FFF | (address >> 2 & 1) << 15
        return index + (data & SUBHANDLE_MASK) if address & SUBHANDLE_VALID else index

    # -- registers -----------------------------------------------------------------------------

    @property
    def status(self) -> int:
        """FSTS_REG: overflow, pending, and in bits 8 to 15 the first record that is in use."""
        if not self._status & PENDING:
            return self._status
        return self._status | self._first_record << 8

    def clear_status(self) -> None:
        """Write 1 to the overflow bit."""
        self._status &= ~OVERFLOW

    def record(self, number: int) -> Fault | None:
        """Read a fault recording register; None: its F bit is clear."""
        return self._records[number]

    @property
    def records(self) -> int:
        return len(self._records)

    def clear_record(self, number: int) -> None:
        """Write 1 to the F bit of a fault recording register."""
        self._records[number] = None
        if not any(self._records):
            self._status &= ~PENDING

    def set_masked(self, masked: bool) -> None:
        """Write IM of FECTL_REG; what happened meanwhile is told when it is cleared."""
        self.masked = masked
        if not masked and self._event_pending:
            self._event_pending = False
            self._write(self.address, self.data)

    # -- requests ------------------------------------------------------------------------------

    def _remap(self, address: int, data: int, requester: RequesterId) -> None:
        index = self.find(address, data)
        if address & SUBHANDLE_VALID and data & ~SUBHANDLE_MASK:
            self._block(FaultReason.REQUEST_RESERVED, requester, index)
        elif index >= self.size:
            self._block(FaultReason.INDEX_TOO_HIGH, requester, index)
        elif not self.is_readable:
            self._block(FaultReason.TABLE_UNREADABLE, requester, index)
        else:
            self._use(index, self.table.get(index, 0), requester)

    def _use(self, index: int, bits: int, requester: RequesterId) -> None:
        entry = Irte.decode(bits, extended=self.extended)
        if not entry.present:
            self._block(FaultReason.NOT_PRESENT, requester, index)
        elif has_reserved_bits(bits, extended=self.extended):
            self._block(FaultReason.ENTRY_RESERVED, requester, index)
        elif not entry.allows(requester):
            self._block(FaultReason.WRONG_REQUESTER, requester, index)
        elif entry.descriptor is None:
            destination = ApicId(entry.destination)
            self._deliver(destination, entry.vector, entry.delivery, level=entry.level)
        else:
            self._post(self.memory[entry.descriptor], entry)

    def _post(self, descriptor: PostedDescriptor, entry: Irte) -> None:
        if not descriptor.post(entry.vector, urgent=entry.urgent):
            return
        if not self.intercept(descriptor.ndst, descriptor.nv):
            self._deliver(descriptor.ndst, descriptor.nv)

    def _block(self, reason: FaultReason, requester: RequesterId, index: int) -> None:
        self.blocked[reason] += 1
        if reason in _QUALIFIED and self.table.get(index, 0) & FAULT_DISABLED:
            return
        if self._records[self._next_record] is not None:
            # The registers are full: the fault is lost, and only that there was one is told.
            self._set_status(OVERFLOW)
            return
        self._records[self._next_record] = Fault(reason, requester, index & 0xFFFF)
        if not self._status & PENDING:
            self._first_record = self._next_record
        self._next_record = (self._next_record + 1) % len(self._records)
        self._set_status(PENDING)

    def _set_status(self, bit: int) -> None:
        """7.3: an event is made only when there is nothing yet that software has not seen."""
        quiet = not self._status
        self._status |= bit
        if not quiet:
            return
        if self.masked:
            self._event_pending = True
        else:
            self._write(self.address, self.data)
