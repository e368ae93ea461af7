"""Keys turn what a user writes into what a driver sees, or into problems, never into exceptions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudokern.drivers.keys import (
    Choice,
    CpuList,
    Duration,
    Flag,
    Gsi,
    Integer,
    Key,
    Limits,
    ListOf,
    Name,
    OneOrEach,
    Problems,
    Rate,
    Share,
    Size,
    Text,
)
from pseudokern.drivers.pci_keys import PCI_KEYS
from pseudokern.drivers.place_kinds import Bdf, HexId, Node

LIMITS = Limits(cpus=8, nodes=2, gsis=24)
KINDS = [
    Bdf(),
    Choice("edge", "level"),
    CpuList(),
    Duration(),
    Flag(),
    Gsi(),
    HexId(),
    Integer(1, 256),
    ListOf(Rate()),
    Name(),
    Node(),
    OneOrEach(Rate()),
    Rate(),
    Share(),
    Size(),
    Text(),
]


def problem(kind, value):
    problems = kind.parse(value, LIMITS)
    assert isinstance(problems, Problems)
    assert len(problems) == 1
    return "; ".join(part for part in (problems[0].what, problems[0].hint) if part)


toml_values = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from(KINDS), toml_values)
def test_no_value_makes_a_kind_raise(kind, value):
    kind.parse(value, LIMITS)


@given(st.sets(st.integers(0, 7), min_size=1))
def test_cpu_list_becomes_the_mask_of_its_cpus(cpus):
    assert CpuList().parse(",".join(map(str, cpus)), LIMITS) == sum(1 << cpu for cpu in cpus)


def test_cpu_list_takes_what_smp_affinity_list_takes():
    assert CpuList().parse("0-3,6", LIMITS) == 0b01001111
    assert CpuList().parse("6-N", LIMITS) == 0b11000000
    assert CpuList().parse("0-7:1/2", LIMITS) == 0b01010101


def test_cpu_that_the_machine_lacks_is_named():
    assert problem(CpuList(), "9") == "names CPU 9, but the machine has CPUs 0-7"
    assert problem(CpuList(), "6-9") == "names CPUs 8-9, but the machine has CPUs 0-7"


def test_bare_number_is_no_rate_and_no_duration():
    assert problem(Rate(), 20) == 'is 20, a number without a unit; write it like "20 kHz"'
    assert problem(Duration(), 1.5) == 'is 1.5, a number without a unit; write it like "10 us"'
    assert Rate().parse(0, LIMITS) == 0.0


def test_rate_above_10_mhz_is_absurd():
    assert Rate().parse("10 MHz", LIMITS) == 10e6
    assert "faster than any CPU can follow" in problem(Rate(), "10.1 MHz")


def test_true_is_not_a_number():
    assert problem(Integer(0, 9), True).startswith("is true, but must be a whole number")
    assert problem(Choice(0, 1), True).startswith("is true")


def test_integer_beyond_its_limit_says_who_set_the_limit():
    kind = Integer(1, 2048, why="MSI-X has no more entries")
    assert kind.parse(2048, LIMITS) == 2048
    assert problem(kind, 2049) == "is 2049, but must be at most 2048; MSI-X has no more entries"


def test_pci_address_gets_its_domain_and_lower_case():
    assert Bdf().parse("00:1F.2", LIMITS) == "0000:00:1f.2"
    assert Bdf().parse("0001:00:03.0", LIMITS) == "0001:00:03.0"
    assert problem(Bdf(), "00:20.0") == 'is "00:20.0", but a bus has the slots 00 to 1f'


def test_hexadecimal_number_keeps_its_width():
    assert HexId(16).parse("0xffff", LIMITS) == 0xFFFF
    assert problem(HexId(16), "0x10000") == 'is "0x10000", but has room for 4 digits only'


def test_line_beyond_the_io_apic_is_refused():
    assert Gsi().parse(23, LIMITS) == 23
    assert "choose 0-23" in problem(Gsi(), 24)
    assert "choose 16-23" in problem(Gsi(minimum=16), 4)


def test_misspelt_choice_gets_the_nearest_one():
    assert problem(Choice("e1000e", "igb"), "e1000") == (
        'is "e1000"; did you mean "e1000e"? use "e1000e", "igb"'
    )


def test_one_rate_stands_for_every_queue():
    rate = Key(OneOrEach(Rate()), per="queues")
    assert rate.parse("5 Hz", LIMITS, {"queues": 3}) == (5.0, 5.0, 5.0)
    assert rate.parse(["5 Hz", 0, "1 kHz"], LIMITS, {"queues": 3}) == (5.0, 0.0, 1000.0)


def test_list_with_another_length_than_the_queues_is_refused():
    rate = Key(OneOrEach(Rate()), per="queues")
    (problem,) = rate.parse(["5 Hz", "6 Hz"], LIMITS, {"queues": 3})
    assert problem.what == "has 2 items, but queues is 3"


def test_every_bad_item_of_a_list_is_reported():
    problems = ListOf(CpuList()).parse(["0", "9", 3], LIMITS)
    assert [problem.what.split()[0] for problem in problems] == ["[1]", "[2]"]


def test_default_is_written_as_a_user_would_write_it():
    assert Key(Duration(), default="800 ns").parse_default(LIMITS, {}) == 800
    assert Key(Rate()).parse_default(LIMITS, {}) is None


@pytest.mark.parametrize(
    ("bdf", "gsi"), [("0000:00:03.0", 23), ("0000:00:04.0", 20), ("0000:00:1f.2", 16)]
)
def test_intx_line_follows_the_slot_as_on_a_q35_board(bdf, gsi):
    assert PCI_KEYS["gsi"].parse_default(LIMITS, {"bdf": bdf}) == gsi
