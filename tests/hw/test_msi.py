"""Messages: what is masked is pending, and sent once when it is unmasked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudokern.hw.bus import InterruptBus, message_address, message_destination
from pseudokern.hw.lapic import LocalApic
from pseudokern.hw.msi import MsiCapability
from pseudokern.hw.msix import MsixTable
from pseudokern.sim.timeline import Timeline

CARD = 0x0010  # 00:02.0


class Board:
    """One APIC that collects the messages of a function."""

    def __init__(self):
        self.timeline = Timeline()
        self.bus = InterruptBus(self.timeline, 500)
        self.apic = LocalApic(self.timeline, 0)
        self.bus.add(self.apic)

    def received(self):
        """Vectors that came since the last time, highest first."""
        vectors = []
        while (vector := self.apic.acknowledge()) is not None:
            vectors.append(vector)
            self.apic.eoi()
        return vectors


@pytest.fixture
def board():
    return Board()


@pytest.fixture
def table(board):
    """An MSI-X table of four entries, enabled; entry n sends vector 0x40 + n and is masked."""
    table = MsixTable(board.bus, 4, requester=CARD)
    table.set_enabled(True)
    for entry in table.entries:
        entry.set_message(message_address(0), 0x40 + entry.index)
    return table


@given(st.integers(0, 32767))
def test_an_address_names_the_apic_that_it_was_made_for(apic_id):
    assert message_destination(message_address(apic_id)) == apic_id


def test_an_open_entry_sends_its_message(board, table):
    table.entries[2].set_masked(False)
    table.entries[2].trigger(0)
    assert board.received() == [0x42]


def test_a_masked_entry_sets_its_pending_bit_and_sends_nothing(board, table):
    table.entries[2].trigger(0)
    assert table.entries[2].pending
    assert board.received() == []


def test_unmasking_a_pending_entry_sends_once_and_clears_the_bit(board, table):
    entry = table.entries[2]
    entry.trigger(0)
    entry.trigger(0)
    assert entry.collapsed == 1

    entry.set_masked(False)
    assert board.received() == [0x42]
    assert not entry.pending


def test_the_message_sent_on_unmask_is_the_one_written_last(board, table):
    entry = table.entries[2]
    entry.trigger(0)
    entry.set_message(message_address(0), 0x77)
    entry.set_masked(False)
    assert board.received() == [0x77]


def test_the_function_mask_holds_every_entry_back(board, table):
    for entry in table.entries:
        entry.set_masked(False)
    table.set_function_masked(True)
    for entry in table.entries:
        entry.trigger(0)
    assert board.received() == []

    table.set_function_masked(False)
    assert board.received() == [0x43, 0x42, 0x41, 0x40]


def test_a_table_has_at_most_2048_entries(board):
    assert len(MsixTable(board.bus, 2048, requester=CARD).entries) == 2048
    with pytest.raises(ValueError, match="1 to 2048 entries, not 2049"):
        MsixTable(board.bus, 2049, requester=CARD)


def test_msi_vectors_differ_in_the_low_bits_of_the_data(board):
    capability = MsiCapability(board.bus, 4, requester=CARD, maskable=False)
    capability.entries[0].set_message(message_address(0), 0x40)
    capability.set_enabled(True)
    capability.entries[3].trigger(0)
    assert board.received() == [0x43]


def test_events_that_are_to_be_lost_are_counted_and_the_next_one_is_sent(board, table):
    entry = table.entries[2]
    entry.set_masked(False)
    entry.lose_next(2)
    entry.trigger(0)
    entry.trigger(0)
    assert board.received() == []
    assert (entry.lost, entry.losing) == (2, 0)

    entry.trigger(0)
    assert board.received() == [0x42]


def test_msi_without_mask_bits_cannot_be_masked(board):
    capability = MsiCapability(board.bus, 1, requester=CARD, maskable=False)
    capability.entries[0].set_message(message_address(0), 0x40)
    capability.set_enabled(True)
    capability.entries[0].set_masked(True)
    capability.entries[0].trigger(0)
    assert board.received() == [0x40]


def test_msi_has_a_power_of_two_of_vectors(board):
    with pytest.raises(ValueError, match="not 3"):
        MsiCapability(board.bus, 3, requester=CARD, maskable=True)


def test_a_message_that_no_apic_takes_is_counted(board):
    board.bus.write(message_address(9), 0x40, CARD)
    board.bus.write(0x1000, 0x40, CARD)
    assert board.bus.lost == {
        "message to no such APIC": 1,
        "message to no interrupt address": 1,
    }


def test_ipis_arrive_in_the_order_of_their_sending_500_ns_later(board):
    board.bus.send_ipi(0, 0x51)
    board.timeline.run(200, 100)
    board.bus.send_ipi(0, 0x61)
    board.timeline.run(499, 100)
    assert board.received() == []

    board.timeline.run(500, 100)
    assert board.received() == [0x51]
    board.timeline.run(700, 100)
    assert board.received() == [0x61]
