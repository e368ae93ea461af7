"""I/O APIC pins: an edge is sent once, a level until it is gone."""

import pytest

from pseudokern.hw.bus import InterruptBus
from pseudokern.hw.ioapic import IoApic
from pseudokern.hw.lapic import LocalApic
from pseudokern.hw.line import IntxLine
from pseudokern.sim.timeline import Timeline

PIN = 16
VECTOR = 0x41


class Board:
    """An I/O APIC and one local APIC, whose CPU acknowledges when it is told to."""

    def __init__(self):
        timeline = Timeline()
        self.bus = InterruptBus(timeline, 500)
        self.apic = LocalApic(timeline, 0)
        self.ioapic = IoApic(self.bus, 0, requester=0xFF00)
        self.apic.connect_bus(self.ioapic.eoi, self.bus.send_ipi)
        self.bus.add(self.apic)
        self.ioapic.program(PIN, vector=VECTOR, destination=0)

    def configure(self, *, level, active_low=False, masked=False):
        self.ioapic.configure(PIN, level=level, active_low=active_low)
        self.ioapic.set_masked(PIN, masked)

    @property
    def requested(self):
        return self.apic.is_requested(VECTOR)

    def handle(self):
        """Take the interrupt and end it; True if there was one."""
        if self.apic.acknowledge() is None:
            return False
        self.apic.eoi()
        return True


@pytest.fixture
def board():
    return Board()


@pytest.mark.parametrize("active_low", [False, True])
def test_an_edge_is_sent_once_however_long_the_pin_stays_asserted(board, active_low):
    board.configure(level=False, active_low=active_low)
    board.ioapic.set_pin(PIN, not active_low)
    assert board.handle()
    assert not board.handle()

    board.ioapic.set_pin(PIN, active_low)
    assert not board.handle()
    board.ioapic.set_pin(PIN, not active_low)
    assert board.handle()


def test_an_edge_that_a_handler_makes_itself_is_not_lost(board):
    board.configure(level=False)
    handled = []

    def handle():
        handled.append(board.apic.acknowledge())
        board.apic.eoi()
        if len(handled) == 1:
            board.ioapic.pulse(PIN)

    board.apic.connect(handle)
    board.ioapic.pulse(PIN)
    assert handled == [VECTOR, VECTOR]


def test_an_edge_at_a_masked_pin_is_lost_and_counted(board):
    board.configure(level=False, masked=True)
    board.ioapic.pulse(PIN)
    board.ioapic.set_masked(PIN, False)
    assert not board.requested
    assert board.ioapic.lost == {"edge at a masked I/O APIC pin": 1}


@pytest.mark.parametrize("active_low", [False, True])
def test_a_level_is_sent_again_after_each_eoi_while_the_pin_stays_asserted(board, active_low):
    board.configure(level=True, active_low=active_low)
    board.ioapic.set_pin(PIN, not active_low)
    assert board.handle()
    assert board.handle()

    board.ioapic.set_pin(PIN, active_low)
    assert board.handle()
    assert not board.handle()


def test_a_level_is_not_sent_twice_before_its_eoi(board):
    board.configure(level=True)
    board.ioapic.set_pin(PIN, True)
    board.apic.acknowledge()
    board.ioapic.set_pin(PIN, False)
    board.ioapic.set_pin(PIN, True)
    assert board.ioapic.entries[PIN].remote_irr
    assert not board.requested


def test_a_level_at_a_masked_pin_is_sent_when_it_is_unmasked(board):
    board.configure(level=True, masked=True)
    board.ioapic.set_pin(PIN, True)
    assert not board.requested

    board.ioapic.set_masked(PIN, False)
    assert board.requested
    assert not board.ioapic.lost


def test_a_level_that_went_before_the_pin_was_unmasked_is_not_sent(board):
    board.configure(level=True, masked=True)
    board.ioapic.set_pin(PIN, True)
    board.ioapic.set_pin(PIN, False)
    board.ioapic.set_masked(PIN, False)
    assert not board.requested


def test_configuring_a_pin_asserts_nothing(board):
    for level in (False, True):
        for active_low in (False, True):
            board.configure(level=level, active_low=active_low)
            assert not board.requested


def test_an_interrupt_for_an_apic_that_is_not_there_is_counted(board):
    board.configure(level=False)
    board.ioapic.program(PIN, vector=VECTOR, destination=9)
    board.ioapic.pulse(PIN)
    assert board.bus.lost == {"message to no such APIC": 1}


def test_two_pins_with_one_vector_both_end_with_its_eoi(board):
    other = PIN + 1
    board.configure(level=True)
    board.ioapic.program(other, vector=VECTOR, destination=0)
    board.ioapic.configure(other, level=True, active_low=False)
    board.ioapic.set_masked(other, False)
    board.ioapic.set_pin(PIN, True)
    board.ioapic.set_pin(other, True)
    board.ioapic.set_pin(PIN, False)
    board.ioapic.set_pin(other, False)

    assert board.handle()
    assert not board.ioapic.entries[PIN].remote_irr
    assert not board.ioapic.entries[other].remote_irr


def test_an_intx_wire_is_asserted_while_any_device_asserts_it(board):
    board.configure(level=True, active_low=True)
    wire = IntxLine(board.ioapic, PIN)
    assert not board.ioapic.is_asserted(PIN)

    wire.assert_by("disk")
    wire.assert_by("card")
    wire.release_by("disk")
    assert board.ioapic.is_asserted(PIN)
    assert not wire.is_asserted_by("disk")

    wire.release_by("card")
    assert not board.ioapic.is_asserted(PIN)
