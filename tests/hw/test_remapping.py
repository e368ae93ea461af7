"""The remapping unit: what stands in the table passes, all else is blocked and recorded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudokern.hw.bus import NMI, InterruptBus, message_address
from pseudokern.hw.irte import SPOILT, Irte, Validation
from pseudokern.hw.lapic import LocalApic
from pseudokern.hw.posted import PostedDescriptor
from pseudokern.hw.remapping import (
    OVERFLOW,
    PENDING,
    Fault,
    FaultReason,
    RemappingUnit,
    remappable_address,
)
from pseudokern.sim.timeline import Timeline

CARD = 0x0018  # 00:03.0
OTHER = 0x0020  # 00:04.0
EVENT_VECTOR = 0x30
DESCRIPTOR = 0x1_0000_0040
INDEX = 7


class Board:
    """One APIC behind a unit that is switched on; entry 7 is the card's, for vector 0x41."""

    def __init__(self, *, records=2):
        timeline = Timeline()
        self.bus = InterruptBus(timeline, 500)
        self.apic = LocalApic(timeline, 0)
        self.bus.add(self.apic)
        self.unit = RemappingUnit(self.bus.deliver, self.bus.write_directly, records=records)
        self.bus.remapping = self.unit
        self.unit.enabled = True
        self.unit.address = message_address(0)
        self.unit.data = EVENT_VECTOR
        self.unit.set_masked(False)
        self.put(INDEX)

    def put(self, index, **fields):
        fields = {"source": CARD, "validation": Validation.REQUESTER, "vector": 0x41} | fields
        self.unit.table[index] = Irte(**fields).encode(extended=self.unit.extended)

    def send(self, index=INDEX, data=0, requester=CARD, *, subhandle=True):
        self.bus.write(remappable_address(index, subhandle=subhandle), data, requester)

    def received(self):
        vectors = []
        while (vector := self.apic.acknowledge()) is not None:
            vectors.append(vector)
            self.apic.eoi()
        return vectors

    def recorded(self):
        return [self.unit.record(number) for number in range(self.unit.records)]


@pytest.fixture
def board():
    return Board()


def entries():
    common = {
        "vector": st.integers(0, 255),
        "present": st.booleans(),
        "fault_disabled": st.booleans(),
        "source": st.integers(0, 0xFFFF),
        "qualifier": st.integers(0, 3),
        "validation": st.integers(0, 2),
    }
    remapped = st.builds(
        Irte,
        **common,
        destination=st.integers(0, 255),
        level=st.booleans(),
        delivery=st.integers(0, 7),
        redirection_hint=st.booleans(),
    )
    addresses = st.integers(0, 2**58 - 1).map(lambda number: number * 64)
    return remapped | st.builds(Irte, **common, urgent=st.booleans(), descriptor=addresses)


@given(entries(), st.booleans())
def test_an_entry_reads_back_as_it_was_written(entry, extended):
    assert Irte.decode(entry.encode(extended=extended), extended=extended) == entry


def test_a_message_goes_where_the_entry_says_whatever_its_data_looks_like(board):
    board.send()
    assert board.received() == [0x41]


def test_the_subhandle_counts_from_the_index_that_the_address_names(board):
    board.put(INDEX + 3, vector=0x55)
    board.send(INDEX, data=3)
    assert board.received() == [0x55]


def test_without_a_valid_subhandle_the_data_is_not_looked_at(board):
    board.send(data=0xFFFF_0003, subhandle=False)
    assert board.received() == [0x41]


def test_the_highest_index_has_its_top_bit_elsewhere_in_the_address(board):
    board.put(0xFFFF, vector=0x66)
    board.send(0xFFFF)
    assert board.received() == [0x66]


def test_a_unit_that_is_switched_off_lets_everything_pass(board):
    board.unit.enabled = False
    board.bus.write(message_address(0), 0x77, OTHER)
    assert board.received() == [0x77]


def block(board, reason):
    """Send what is blocked for this reason; the index that the record has to show."""
    match reason:
        case FaultReason.REQUEST_RESERVED:
            board.send(data=1 << 16)
        case FaultReason.INDEX_TOO_HIGH:
            board.send(0xFFFF, data=1)
            return 0
        case FaultReason.NOT_PRESENT:
            board.send(INDEX + 1)
            return INDEX + 1
        case FaultReason.TABLE_UNREADABLE:
            board.unit.is_readable = False
            board.send()
        case FaultReason.ENTRY_RESERVED:
            board.unit.table[INDEX] |= SPOILT
            board.send()
        case FaultReason.COMPATIBILITY_FORMAT:
            board.bus.write(message_address(0), 0x41, CARD)
            return 0
        case FaultReason.WRONG_REQUESTER:
            board.send(requester=OTHER)
            return INDEX
    return INDEX


@pytest.mark.parametrize("reason", FaultReason, ids=lambda reason: reason.name)
def test_what_is_blocked_is_counted_recorded_and_reported_by_the_fault_event(board, reason):
    index = block(board, reason)
    requester = OTHER if reason is FaultReason.WRONG_REQUESTER else CARD
    assert board.received() == [EVENT_VECTOR]
    assert board.unit.blocked == {reason: 1}
    assert board.recorded() == [Fault(reason, requester, index), None]
    assert board.unit.status == PENDING


def test_compatibility_format_passes_where_software_allows_it(board):
    board.unit.lets_compatibility_format_through = True
    board.bus.write(message_address(0), 0x77, OTHER)
    assert board.received() == [0x77]

    board.unit.extended = True
    board.bus.write(message_address(0), 0x77, OTHER)
    assert board.unit.blocked == {FaultReason.COMPATIBILITY_FORMAT: 1}


def test_the_event_comes_once_until_the_records_are_cleared(board):
    block(board, FaultReason.NOT_PRESENT)
    assert board.received() == [EVENT_VECTOR]
    block(board, FaultReason.NOT_PRESENT)
    assert board.received() == []

    board.unit.clear_record(0)
    assert board.unit.status == PENDING
    board.unit.clear_record(1)
    assert board.unit.status == 0
    block(board, FaultReason.NOT_PRESENT)
    assert board.received() == [EVENT_VECTOR]


def test_a_fault_for_which_no_record_is_free_leaves_the_overflow_bit(board):
    for _ in range(3):
        block(board, FaultReason.NOT_PRESENT)
    assert board.unit.status == PENDING | OVERFLOW
    assert board.unit.blocked == {FaultReason.NOT_PRESENT: 3}

    board.unit.clear_status()
    assert board.unit.status == PENDING


def test_the_status_names_the_first_record_in_use_of_a_ring(board):
    block(board, FaultReason.NOT_PRESENT)
    board.unit.clear_record(0)
    block(board, FaultReason.NOT_PRESENT)
    assert board.unit.status == PENDING | 1 << 8
    assert board.recorded()[0] is None


def test_a_masked_event_comes_when_it_is_unmasked(board):
    board.unit.set_masked(True)
    block(board, FaultReason.NOT_PRESENT)
    assert board.received() == []

    board.unit.set_masked(False)
    assert board.received() == [EVENT_VECTOR]


def test_an_entry_can_say_that_nobody_needs_to_hear_of_its_faults(board):
    board.put(INDEX, fault_disabled=True)
    board.send(requester=OTHER)
    assert board.received() == []
    assert board.recorded() == [None, None]
    assert board.unit.blocked == {FaultReason.WRONG_REQUESTER: 1}


@pytest.mark.parametrize(
    ("qualifier", "allowed"),
    [(0, {0}), (1, {0, 4}), (2, {0, 2, 4, 6}), (3, set(range(8)))],
)
def test_the_qualifier_leaves_bits_of_the_function_number_out(board, qualifier, allowed):
    board.put(INDEX, qualifier=qualifier)
    for function in range(8):
        board.send(requester=CARD | function)
        assert (board.received() == [0x41]) == (function in allowed)


def test_an_entry_can_be_for_the_buses_behind_a_bridge(board):
    board.put(INDEX, validation=Validation.BUS, source=0x02_04)
    for bus in range(6):
        board.send(requester=bus << 8 | 0x18)
        assert (board.received() == [0x41]) == (2 <= bus <= 4)


def test_wide_apic_numbers_are_reached_in_extended_mode_only(board):
    far = LocalApic(Timeline(), 70_000)
    board.bus.add(far)
    board.unit.extended = True
    board.put(INDEX, destination=70_000)
    board.send()
    assert far.is_requested(0x41)

    board.unit.extended = False
    board.send()
    assert board.unit.blocked == {FaultReason.ENTRY_RESERVED: 1}


def test_an_entry_can_make_a_message_an_nmi(board):
    board.put(INDEX, delivery=NMI)
    board.send()
    assert board.received() == []
    assert board.apic.nmis == 1


@pytest.fixture
def descriptor(board):
    """What entry 7 posts to, as vector 0x41; its notification is vector 0xf2."""
    descriptor = PostedDescriptor(DESCRIPTOR, nv=0xF2, ndst=0)
    board.unit.memory[DESCRIPTOR] = descriptor
    board.put(INDEX, descriptor=DESCRIPTOR)
    return descriptor


def test_a_posted_interrupt_is_a_bit_in_memory_and_one_notification(board, descriptor):
    board.send()
    assert board.received() == [0xF2]
    assert descriptor.pir == 1 << 0x41


def test_there_is_no_second_notification_before_somebody_has_looked(board, descriptor):
    board.send()
    board.send()
    assert board.received() == [0xF2]
    assert descriptor.collapsed == 1

    assert descriptor.take() == 1 << 0x41
    board.send()
    assert board.received() == [0xF2]


def test_suppressed_notifications_are_sent_for_urgent_interrupts_only(board, descriptor):
    descriptor.sn = True
    board.send()
    assert board.received() == []
    assert not descriptor.on

    board.put(INDEX, descriptor=DESCRIPTOR, urgent=True)
    board.send()
    assert board.received() == [0xF2]


def test_a_descriptor_is_aligned():
    with pytest.raises(ValueError, match="64-byte aligned"):
        PostedDescriptor(0x1010, nv=0xF2, ndst=0)
