"""The 8259 pair: priorities, the cascade, edges and levels, ends of interrupt, spurious ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudokern.hw.i8259 import CASCADE, I8259Pair

MASTER, SLAVE = 0x20, 0xA0
ELCR_MASTER, ELCR_SLAVE = 0x4D0, 0x4D1
MASTER_BASE, SLAVE_BASE = 0x30, 0x38
INIT = 0x11
EOI, SPECIFIC_EOI, ROTATE_ON_EOI, SET_PRIORITY = 0x20, 0x60, 0xA0, 0xC0
ROTATE_ON_AUTO_EOI = 0x80
READ_IRR, READ_ISR, POLL = 0x0A, 0x0B, 0x0C
SPECIAL_MASK, NO_SPECIAL_MASK = 0x68, 0x48
AUTO_EOI, SPECIAL_FULLY_NESTED = 0x02, 0x10

lines = st.sampled_from([line for line in range(16) if line != CASCADE])


class Board(I8259Pair):
    """A pair with its CPU: intr is the wire between them."""

    def __init__(self):
        super().__init__(self._drive)
        self.intr = False
        self.program()

    def _drive(self, high):
        assert high != self.intr
        self.intr = high

    def program(self, master_icw4=0x01, slave_icw4=0x01):
        for command, base, wiring, icw4 in (
            (MASTER, MASTER_BASE, 1 << CASCADE, master_icw4),
            (SLAVE, SLAVE_BASE, CASCADE, slave_icw4),
        ):
            self.write(command, INIT)
            for value in (base, wiring, icw4):
                self.write(command + 1, value)

    def take(self):
        """What the CPU does: the line that its vector stands for, None without a request."""
        return self.acknowledge() - MASTER_BASE if self.intr else None

    def end(self, line):
        """The specific EOI, as Linux writes it."""
        if line >= 8:
            self.write(SLAVE, SPECIFIC_EOI | line - 8)
            line = CASCADE
        self.write(MASTER, SPECIFIC_EOI | line)

    def registers(self, read):
        self.write(MASTER, read)
        self.write(SLAVE, read)
        return self.read(MASTER), self.read(SLAVE)

    @property
    def in_service(self):
        return self.registers(READ_ISR)

    @property
    def requested(self):
        return self.registers(READ_IRR)


@pytest.fixture
def board():
    return Board()


def by_priority(lines):
    """Lines 8 to 15 come between 1 and 3."""
    return sorted(lines, key=lambda line: CASCADE + line / 100 if line >= 8 else line)


def test_an_edge_interrupts_with_the_vector_of_its_line(board):
    board.pulse(4)
    assert board.acknowledge() == MASTER_BASE + 4
    assert not board.intr


def test_the_second_chips_lines_have_the_vectors_after_the_first_ones(board):
    board.pulse(12)
    assert board.acknowledge() == SLAVE_BASE + 4
    assert board.in_service == (1 << CASCADE, 1 << 4)


@given(st.sets(lines))
def test_requests_are_served_in_the_order_of_priority(requested):
    board = Board()
    for line in requested:
        board.pulse(line)
    served = []
    while (line := board.take()) is not None:
        served.append(line)
        board.end(line)
    assert served == by_priority(requested)


@given(st.lists(st.tuples(st.sampled_from(["pulse", "take", "end", "mask", "unmask"]), lines)))
def test_what_is_in_service_waits_for_nothing_of_lower_priority(steps):
    """INTR is high exactly while something unmasked outranks all that is in service."""
    board = Board()
    serving, requested, masked = [], set(), set()
    for action, line in steps:
        if action == "pulse":
            board.pulse(line)
            requested.add(line)
        elif action == "take" and (taken := board.take()) is not None:
            assert taken == by_priority(requested - masked)[0]
            requested.discard(taken)
            serving.append(taken)
        elif action == "end" and serving:
            board.end(serving.pop())
        elif action in ("mask", "unmask"):
            (masked.add if action == "mask" else masked.discard)(line)
            board.write(MASTER + 1, sum(1 << n for n in masked if n < 8))
            board.write(SLAVE + 1, sum(1 << n - 8 for n in masked if n >= 8))
        # A line of the second chip keeps the others of that chip waiting, but for higher ones,
        # and those the first chip does not let through: for it, the cascade is in service.
        floor = min((CASCADE if n >= 8 else n for n in serving), default=8)
        outranks = {n for n in requested - masked if (CASCADE if n >= 8 else n) < floor}
        assert board.intr == bool(outranks)


def test_a_line_interrupts_again_only_after_its_end(board):
    board.pulse(4)
    assert board.take() == 4
    board.pulse(4)
    assert board.take() is None

    board.end(4)
    assert board.take() == 4


def test_ending_one_chips_interrupt_leaves_the_other_chip_in_service(board):
    board.pulse(12)
    board.take()
    board.write(SLAVE, SPECIFIC_EOI | 4)
    assert board.in_service == (1 << CASCADE, 0)

    board.write(MASTER, SPECIFIC_EOI | CASCADE)
    assert board.in_service == (0, 0)


def test_an_unspecific_end_ends_the_highest_in_service(board):
    board.pulse(6)
    board.take()
    board.pulse(3)
    board.take()
    board.write(MASTER, EOI)
    assert board.in_service[0] == 1 << 6
    board.write(MASTER, EOI)
    assert board.in_service[0] == 0


def test_an_edge_at_a_masked_line_is_delivered_when_it_is_unmasked(board):
    board.write(MASTER + 1, 1 << 4)
    board.pulse(4)
    assert not board.intr
    assert board.requested == (1 << 4, 0)

    board.write(MASTER + 1, 0)
    assert board.take() == 4


def test_masking_takes_a_waiting_request_back(board):
    board.pulse(12)
    assert board.intr
    board.write(SLAVE + 1, 1 << 4)
    assert not board.intr


def test_edges_that_nobody_took_in_time_are_one_and_are_counted(board):
    board.pulse(4)
    board.pulse(4)
    board.pulse(4)
    assert board.collapsed == 2
    assert board.take() == 4
    board.end(4)
    assert board.take() is None


def test_a_line_that_stays_high_is_one_edge(board):
    board.set_line(4, True)
    board.take()
    board.end(4)
    assert board.take() is None

    board.set_line(4, False)
    board.set_line(4, True)
    assert board.take() == 4


def test_a_level_interrupts_again_after_each_end_while_the_line_stays_high(board):
    board.write(ELCR_SLAVE, 1 << 2)
    board.set_line(10, True)
    for _ in range(3):
        assert board.take() == 10
        board.end(10)

    board.set_line(10, False)
    assert board.take() is None


def test_a_level_that_went_in_time_does_not_interrupt(board):
    board.write(ELCR_SLAVE, 1 << 2)
    board.set_line(10, True)
    board.set_line(10, False)
    assert not board.intr


def test_a_line_that_is_high_when_it_becomes_level_interrupts(board):
    board.set_line(10, True)
    board.take()
    board.end(10)
    board.write(ELCR_SLAVE, 1 << 2)
    assert board.take() == 10


def test_lines_0_1_2_8_and_13_cannot_be_made_level(board):
    board.write(ELCR_MASTER, 0xFF)
    board.write(ELCR_SLAVE, 0xFF)
    assert board.read(ELCR_MASTER) == 0xF8
    assert board.read(ELCR_SLAVE) == 0xDE


def test_a_glitch_on_the_first_chip_is_a_7_that_is_not_in_service(board):
    board.glitch(5)
    assert board.take() == 7
    assert board.in_service == (0, 0)
    assert not board.intr


def test_a_glitch_on_the_second_chip_is_a_15_of_which_the_first_chip_must_hear_the_end(board):
    board.glitch(10)
    assert board.take() == 15
    assert board.in_service == (1 << CASCADE, 0)

    board.pulse(12)
    assert not board.intr
    board.write(MASTER, SPECIFIC_EOI | CASCADE)
    assert board.take() == 12


def test_a_glitch_on_a_masked_line_is_not_heard(board):
    board.write(MASTER + 1, 1 << 5)
    board.glitch(5)
    assert not board.intr


@given(st.lists(st.tuples(st.sampled_from(["pulse", "glitch"]), lines), max_size=20))
def test_spurious_interrupts_leave_no_trace_and_hide_no_real_one(noise):
    board = Board()
    pulsed = set()
    for kind, line in noise:
        getattr(board, kind)(line)
        if kind == "pulse":
            pulsed.add(line)
    real = set()
    while (line := board.take()) is not None:
        master, slave = board.in_service
        if (slave if line >= 8 else master) >> line % 8 & 1:
            real.add(line)
        else:
            assert line in (7, 15)
        board.end(line)
    assert real == pulsed
    assert board.in_service == (0, 0)


def test_with_auto_eoi_nothing_stays_in_service(board):
    board.program(master_icw4=0x01 | AUTO_EOI)
    board.pulse(4)
    assert board.take() == 4
    assert board.in_service == (0, 0)
    board.pulse(4)
    assert board.take() == 4


def test_rotating_at_the_end_gives_the_ended_line_the_lowest_priority(board):
    board.pulse(3)
    board.take()
    board.write(MASTER, ROTATE_ON_EOI)
    board.pulse(3)
    board.pulse(7)
    assert board.take() == 7


def test_rotating_with_auto_eoi_serves_two_busy_lines_in_turn(board):
    board.program(master_icw4=0x01 | AUTO_EOI)
    board.write(MASTER, ROTATE_ON_AUTO_EOI)
    served = []
    for _ in range(4):
        board.pulse(3)
        board.pulse(4)
        served.append(board.take())
    assert served == [3, 4, 3, 4]


def test_the_lowest_priority_can_be_chosen(board):
    board.write(MASTER, SET_PRIORITY | 4)
    board.pulse(0)
    board.pulse(5)
    assert board.take() == 5


def test_with_the_special_mask_a_masked_line_in_service_holds_nothing_up(board):
    board.pulse(1)
    board.take()
    board.pulse(6)
    board.write(MASTER, SPECIAL_MASK)
    assert not board.intr
    board.write(MASTER + 1, 1 << 1)
    assert board.take() == 6

    board.write(MASTER, EOI)
    board.write(MASTER, EOI)
    assert board.in_service[0] == 1 << 1  # masked: ended by name only
    board.write(MASTER, NO_SPECIAL_MASK)
    board.write(MASTER, EOI)
    assert board.in_service[0] == 0


def test_special_fully_nested_lets_a_higher_line_of_the_second_chip_through(board):
    board.program(master_icw4=0x01 | SPECIAL_FULLY_NESTED)
    board.pulse(12)
    board.take()
    board.pulse(9)
    assert board.take() == 9
    board.pulse(14)
    assert not board.intr


def test_a_poll_takes_the_highest_line_into_service(board):
    board.pulse(4)
    board.write(MASTER, POLL)
    assert board.read(MASTER) == 0x80 | 4
    assert board.in_service[0] == 1 << 4

    board.write(MASTER, POLL)
    assert not board.read(MASTER) & 0x80


def test_initializing_forgets_masks_requests_and_what_is_in_service(board):
    board.pulse(3)
    board.take()
    board.pulse(4)
    board.write(MASTER + 1, 0xFF)
    board.program()
    assert not board.intr
    assert board.read(MASTER + 1) == 0
    assert (board.requested, board.in_service) == ((0, 0), (0, 0))


@given(st.lists(st.tuples(st.sampled_from([0x20, 0x21, 0xA0, 0xA1, 0x4D0, 0x4D1]),
                          st.integers(0, 255))))  # fmt: skip
def test_a_pair_that_was_scribbled_on_works_when_it_is_programmed_again(scribbles):
    board = Board()
    for port, value in scribbles:
        board.write(port, value)
        board.read(port)
    for port in (ELCR_MASTER, ELCR_SLAVE):
        board.write(port, 0)
    board.program()
    for line in (12, 4):
        board.pulse(line)
        assert board.take() == line
        board.end(line)
    assert not board.intr
