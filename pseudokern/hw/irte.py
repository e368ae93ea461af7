"""Say where one remapped interrupt goes: an entry of the interrupt-remapping table.

Follows the VT-d specification, 9.9 (remapped format) and 9.10 (posted format). An entry is 128
bits in memory, here one int.
"""

from dataclasses import dataclass
from enum import IntEnum

from pseudokern.hw.vector import RequesterId, Vector

_REMAPPED_RESERVED = 0b111 << 12 | 0xFF << 24 | ((1 << 44) - 1) << 84
_POSTED_RESERVED = 0b111111 << 2 | 0b11 << 12 | ((1 << 14) - 1) << 24 | ((1 << 12) - 1) << 84
_XAPIC_RESERVED = 0xFFFF00FF << 32  # the number of an xAPIC has 8 bits
PRESENT = 1 << 0
FAULT_DISABLED = 1 << 1
POSTED = 1 << 15
# A reserved bit in both formats: what a wild write into the table looks like.
SPOILT = 1 << 127


class Validation(IntEnum):
    """SVT: how the requester is checked."""

    NONE = 0
    REQUESTER = 1
    BUS = 2


# SQ: which bits of the requester are compared; a function number may be a phantom function's.
_COMPARED = (0xFFFF, 0xFFFB, 0xFFF9, 0xFFF8)


@dataclass(frozen=True, slots=True)
class Irte:
    """A decoded entry.

    destination  the APIC's number
    descriptor   posted format: the address of the posted-interrupt descriptor; otherwise None
    source, qualifier, validation  SID, SQ and SVT
    """

    vector: Vector
    destination: int = 0
    present: bool = True
    fault_disabled: bool = False
    level: bool = False
    delivery: int = 0
    redirection_hint: bool = False
    descriptor: int | None = None
    urgent: bool = False
    source: int = 0
    qualifier: int = 0
    validation: int = Validation.NONE

    def encode(self, *, extended: bool) -> int:
        """The entry as memory has it. extended: APICs have numbers of 32 bits (x2APIC)."""
        bits = self.present | self.fault_disabled << 1 | self.vector << 16
        bits |= (self.source | self.qualifier << 16 | self.validation << 18) << 64
        if self.descriptor is not None:
            low, high = self.descriptor & 0xFFFFFFFF, self.descriptor >> 32
            return bits | self.urgent << 14 | POSTED | low >> 6 << 38 | high << 96
        bits |= self.redirection_hint << 3 | self.level << 4 | self.delivery << 5
        return bits | (self.destination if extended else self.destination << 8) << 32

    @classmethod
    def decode(cls, bits: int, *, extended: bool) -> "Irte":
        descriptor = None
        destination = bits >> 32 & 0xFFFFFFFF
        if bits & POSTED:
            descriptor = (bits >> 38 & 0x3FFFFFF) << 6 | bits >> 96 << 32
            destination = 0
        return cls(
            vector=Vector(bits >> 16 & 0xFF),
            destination=destination if extended else destination >> 8,
            present=bool(bits & PRESENT),
            fault_disabled=bool(bits & FAULT_DISABLED),
            level=descriptor is None and bool(bits & 1 << 4),
            delivery=bits >> 5 & 7 if descriptor is None else 0,
            redirection_hint=descriptor is None and bool(bits & 1 << 3),
            descriptor=descriptor,
            urgent=descriptor is not None and bool(bits & 1 << 14),
            source=bits >> 64 & 0xFFFF,
            qualifier=bits >> 80 & 3,
            validation=bits >> 82 & 3,
        )

    def allows(self, requester: RequesterId) -> bool:
        """Whether requester may use the entry."""
        if self.validation == Validation.REQUESTER:
            compared = _COMPARED[self.qualifier]
            return requester & compared == self.source & compared
        if self.validation == Validation.BUS:
            return self.source >> 8 <= requester >> 8 <= self.source & 0xFF
        return True


def has_reserved_bits(bits: int, *, extended: bool) -> bool:
    """Whether an entry has something where nothing may be."""
    if bits >> 82 & 3 > Validation.BUS:
        return True
    if bits & POSTED:
        return bool(bits & _POSTED_RESERVED)
    return bool(bits & _REMAPPED_RESERVED or (not extended and bits & _XAPIC_RESERVED))
