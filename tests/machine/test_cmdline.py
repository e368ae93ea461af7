"""Boot parameters are read as Linux reads them, mistakes included."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudokern.machine.cmdline import BootParameters, booted, parse_cmdline
from pseudokern.machine.topology import Topology

FOUR = Topology(cores=4)


def read(text):
    return parse_cmdline(text, FOUR)


def texts(parameters):
    return tuple(complaint.text for complaint in parameters.complaints)


def test_empty_command_line_asks_for_nothing():
    assert read("") == BootParameters()


def test_default_affinity_always_holds_the_boot_cpu():
    assert read("irqaffinity=2-3").irqaffinity == 0b1101
    assert read("irqaffinity=2,junk,3").irqaffinity == 0b0101
    assert read("irqaffinity=2-N").irqaffinity == 0b1101


def test_isolcpus_means_the_scheduler_unless_it_says_otherwise():
    assert read("isolcpus=2-3").isolated == 0b1100
    managed = read("isolcpus=managed_irq,domain,2-3")
    assert (managed.isolated, managed.isolated_managed_irq) == (0b1100, 0b1100)
    assert read("isolcpus=managed_irq,3").isolated == 0
    assert read("isolcpus=nohz,3").nohz_full == 0b1000


def test_unknown_flag_of_isolcpus_is_skipped_and_told():
    parameters = read("isolcpus=fast,1")
    assert parameters.isolated == 0b0010
    assert texts(parameters) == ("isolcpus: Skipped unknown flag fast",)


def test_isolating_a_cpu_that_is_not_there_isolates_nothing():
    parameters = read("isolcpus=9")
    assert parameters.isolated == 0
    assert texts(parameters) == ("Housekeeping: nohz_full= or isolcpus= incorrect CPU range",)


def test_boot_cpu_keeps_house_if_no_other_is_left():
    parameters = read("isolcpus=0-3")
    assert parameters.isolated == 0b1110
    assert texts(parameters) == ("Housekeeping: must include one present CPU, using boot CPU:0",)


def test_nohz_full_must_match_an_earlier_isolcpus_nohz():
    parameters = read("isolcpus=nohz,2 nohz_full=3")
    assert parameters.nohz_full == 0b0100
    assert texts(parameters) == ("Housekeeping: nohz_full= must match isolcpus=",)


@pytest.mark.parametrize(
    ("word", "field", "value"),
    [
        ("threadirqs", "threadirqs", True),
        ("noirqdebug", "noirqdebug", True),
        ("irqfixup", "irqfixup", 1),
        ("irqpoll", "irqfixup", 2),
        ("noapic", "noapic", True),
        ("pci=noaer,nomsi", "nomsi", True),
        ("intremap=on,nosid", "intremap", True),
        ("intremap=off", "intremap", False),
        ("nosmp", "noapic", True),
        ("maxcpus=0", "nosmp", True),
        ("maxcpus=0x2", "maxcpus", 2),
        ("nr-cpus=3", "nr_cpus", 3),
    ],
)
def test_word_sets_its_parameter(word, field, value):
    assert getattr(read(word), field) == value


def test_words_for_others_are_kept_up_to_the_double_dash():
    parameters = read('ro root=/dev/sda1 init="/bin/sh -c" -- threadirqs')
    assert parameters.others == ("ro", "root=/dev/sda1", "init=/bin/sh -c")
    assert not parameters.threadirqs


def test_maxcpus_leaves_the_others_present_and_offline():
    board = booted(FOUR, read("maxcpus=2"))
    assert (board.possible_mask, board.present_mask, board.online_mask) == (0xF, 0xF, 0x3)


def test_nr_cpus_makes_the_others_impossible():
    board = booted(FOUR, read("nr_cpus=2"))
    assert (board.possible_mask, board.present_mask, board.online_mask) == (0x3, 0x3, 0x3)


def test_possible_cpus_cannot_make_room_that_the_board_lacks():
    assert booted(FOUR, read("possible_cpus=6")).nr_cpu_ids == 4


def test_kernel_without_smp_knows_only_the_boot_cpu():
    assert booted(FOUR, read("nosmp")).possible_mask == 1


def test_cpu_lists_are_read_after_nr_cpus_wherever_that_stands():
    assert read("isolcpus=1-N nr_cpus=3").isolated == 0b110


@given(st.text(alphabet=' abcirqs=,-_."0123456789Nx\t', max_size=60))
def test_no_command_line_keeps_a_machine_from_booting(text):
    read(f"isolcpus={text} maxcpus={text} {text}")


def test_log_buf_len_takes_k_m_and_g():
    assert read("").log_buf_len == 0
    assert read("log_buf_len=65536").log_buf_len == 65_536
    assert read("log_buf_len=8M").log_buf_len == 8 << 20
    assert read("log_buf_len=0x10k").log_buf_len == 16 << 10


def test_quiet_debug_and_loglevel_set_the_console_level():
    assert read("").console_loglevel == 7
    assert read("quiet").console_loglevel == 4
    assert read("debug").console_loglevel == 10
    assert read("quiet loglevel=6").console_loglevel == 6
