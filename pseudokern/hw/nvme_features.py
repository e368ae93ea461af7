"""Hold what a host may set in an NVMe controller: features, each a dword by its number.

Follows the NVM Express base specification, Set Features and Get Features. Two of them say when an
I/O queue interrupts: 08h, the coalescing of all vectors, and 09h, which excepts single ones.

Not modelled: features that have a buffer, or belong to a namespace. Nothing is saved: a reset, and
so a driver that is bound anew, finds the defaults.
"""

from collections.abc import Callable

ARBITRATION = 0x01
POWER_MANAGEMENT = 0x02
TEMPERATURE_THRESHOLD = 0x04
ERROR_RECOVERY = 0x05
VOLATILE_WRITE_CACHE = 0x06
NUMBER_OF_QUEUES = 0x07
INTERRUPT_COALESCING = 0x08
INTERRUPT_VECTOR_CONFIGURATION = 0x09
WRITE_ATOMICITY = 0x0A
ASYNC_EVENT_CONFIGURATION = 0x0B

INVALID_FIELD = 0x02
COMMAND_SEQUENCE_ERROR = 0x0C
NOT_CHANGEABLE = 0x10E

COALESCING_DISABLE = 1 << 16
TIME_UNIT_NS = 100_000
CELSIUS_80 = 353  # kelvin: where drives of this class begin to warn

_DEFAULTS = {
    ARBITRATION: 0,
    POWER_MANAGEMENT: 0,
    TEMPERATURE_THRESHOLD: CELSIUS_80,
    ERROR_RECOVERY: 0,
    VOLATILE_WRITE_CACHE: 1,
    INTERRUPT_COALESCING: 0,
    WRITE_ATOMICITY: 0,
    ASYNC_EVENT_CONFIGURATION: 0,
}
# Bits that mean something; reserved ones are not kept.
_MASKS = {
    POWER_MANAGEMENT: 0xFF,
    VOLATILE_WRITE_CACHE: 1,
    INTERRUPT_COALESCING: 0xFFFF,
    WRITE_ATOMICITY: 1,
}


class FeatureError(Exception):
    """The controller does not do that; status is what it answers."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status


class Features:
    """The features of one controller with its I/O queues; vectors has the admin one, too.

    changed  called when coalescing may have
    """

    def __init__(self, queues: int, vectors: int) -> None:
        self._defaults = {**_DEFAULTS, NUMBER_OF_QUEUES: (queues - 1) << 16 | (queues - 1)}
        self._values = dict(self._defaults)
        self._vectors = vectors
        self._excepted: set[int] = set()
        self.changed: Callable[[], None] = lambda: None

    def reset(self) -> None:
        """Be as after power-on; a controller reset."""
        self._values = dict(self._defaults)
        self._excepted.clear()

    def numbers(self) -> list[int]:
        """The features that there are."""
        return sorted([*self._values, INTERRUPT_VECTOR_CONFIGURATION])

    @property
    def vectors(self) -> int:
        return self._vectors

    def get(self, number: int, vector: int = 0, *, default: bool = False) -> int:
        """The dword of a feature; vector matters to 09h only. FeatureError: there is none."""
        if number == INTERRUPT_VECTOR_CONFIGURATION:
            self._check_vector(vector)
            # Completions of admin commands are never coalesced.
            is_excepted = vector == 0 or (vector in self._excepted and not default)
            return vector | (COALESCING_DISABLE if is_excepted else 0)
        values = self._defaults if default else self._values
        if number not in values:
            raise FeatureError(INVALID_FIELD, f"there is no feature {number:#04x}")
        return values[number]

    def set(self, number: int, value: int) -> None:
        """Set a feature. FeatureError: there is none, or not such a value, or not now."""
        if number == NUMBER_OF_QUEUES:
            raise FeatureError(COMMAND_SEQUENCE_ERROR, "the I/O queues have been made")
        if number == INTERRUPT_VECTOR_CONFIGURATION:
            self._except(value & 0xFFFF, disable=bool(value & COALESCING_DISABLE))
        elif number not in self._values:
            raise FeatureError(INVALID_FIELD, f"there is no feature {number:#04x}")
        else:
            self._values[number] = value & _MASKS.get(number, 0xFFFFFFFF)
        self.changed()

    @property
    def threshold(self) -> int:
        """How many completions make an interrupt; the field is 0's based."""
        return (self._values[INTERRUPT_COALESCING] & 0xFF) + 1

    @property
    def time_ns(self) -> int:
        """How long fewer of them may wait; 0: not at all."""
        return (self._values[INTERRUPT_COALESCING] >> 8) * TIME_UNIT_NS

    def coalesces(self, vector: int) -> bool:
        """Whether completions with this vector may wait for others."""
        return self.threshold > 1 and bool(self.time_ns) and vector not in self._excepted

    def _except(self, vector: int, *, disable: bool) -> None:
        self._check_vector(vector)
        if vector == 0 and not disable:
            raise FeatureError(INVALID_FIELD, "the admin queue is never coalesced")
        if disable:
            self._excepted.add(vector)
        else:
            self._excepted.discard(vector)

    def _check_vector(self, vector: int) -> None:
        if vector >= self._vectors:
            raise FeatureError(INVALID_FIELD, f"there is no vector {vector}")
