"""CPU masks are read and printed as Linux does, to the last errno."""

import ast
import errno
import re
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudokern.kernel.cpumask import (
    cpulist_format,
    cpulist_parse,
    cpumask_format,
    cpumask_parse,
    cpus_of,
    first_cpu,
)

RECORDED = Path(__file__).parents[1] / "oracle/recordings/expected"
RECORDED_CPUS = {"q1": 1, "q4": 4, "q12": 12}
TRY = re.compile(
    r'try (?P<file>smp_affinity|smp_affinity_list) "(?P<text>(?:[^"\\]|\\.)*)"'
    r" = (?P<result>-?\d+)(?: (?P<errno>E\w+))?  .*\bsmp_affinity=(?P<mask>[0-9a-f,]+)"
)
PARSERS = {"smp_affinity": cpumask_parse, "smp_affinity_list": cpulist_parse}


@st.composite
def cpus_and_masks(draw):
    cpus = draw(st.integers(1, 1100))
    return cpus, draw(st.integers(0, (1 << cpus) - 1))


@given(cpus_and_masks())
def test_hexadecimal_form_round_trips_for_1_to_1100_cpus(cpus_and_mask):
    cpus, mask = cpus_and_mask
    assert cpumask_parse(cpumask_format(mask, cpus).encode(), cpus) == mask


@given(cpus_and_masks())
def test_list_form_round_trips_for_1_to_1100_cpus(cpus_and_mask):
    cpus, mask = cpus_and_mask
    assert cpulist_parse(cpulist_format(mask).encode(), cpus) == mask


@given(cpus_and_masks())
def test_hexadecimal_form_has_a_comma_every_eight_digits_from_the_right(cpus_and_mask):
    cpus, mask = cpus_and_mask
    text = cpumask_format(mask, cpus)
    assert int(text.replace(",", ""), 16) == mask
    assert all(len(group) == 8 for group in text.split(",")[1:])
    assert len(text.replace(",", "")) == (cpus + 3) // 4


@given(cpus_and_masks())
def test_list_form_has_ranges_that_do_not_touch(cpus_and_mask):
    _, mask = cpus_and_mask
    bounds = [[int(n) for n in part.split("-")] for part in cpulist_format(mask).split(",") if part]
    assert all(earlier[-1] + 1 < later[0] for earlier, later in pairwise(bounds))


@given(cpus_and_masks())
def test_cpus_of_a_mask_come_in_ascending_order(cpus_and_mask):
    _, mask = cpus_and_mask
    cpus = list(cpus_of(mask))
    assert cpus == sorted(cpus)
    assert sum(1 << cpu for cpu in cpus) == mask
    assert not mask or cpus[0] == first_cpu(mask)


def outcome(parse, text, cpus):
    """The mask and 0, or 0 and the errno."""
    try:
        return parse(text, cpus), 0
    except OSError as error:
        return 0, error.errno


likely_text = st.text("0123456789abcdefN,-:/al \n", max_size=16).map(str.encode)


@given(st.binary(max_size=40) | likely_text, st.integers(1, 1100))
def test_any_text_is_a_mask_or_one_of_the_known_errors(text, cpus):
    for parse, known in (
        (cpumask_parse, {errno.EINVAL, errno.EOVERFLOW}),
        (cpulist_parse, {errno.EINVAL, errno.EOVERFLOW, errno.ERANGE}),
    ):
        mask, number = outcome(parse, text, cpus)
        assert number in {0, *known}
        assert 0 <= mask < 1 << cpus


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"zz", errno.EINVAL),
        (b"0x1", errno.EINVAL),
        (b"4", errno.EOVERFLOW),
        (b"100", errno.EOVERFLOW),
        (b"1,,1", errno.EOVERFLOW),
        (b"ffffffff,ffffffff", errno.EOVERFLOW),
        (b"000000001", errno.EOVERFLOW),
        (b"1 1", errno.EOVERFLOW),
    ],
)
def test_hexadecimal_text_that_two_cpus_refuse(text, number):
    with pytest.raises(OSError, match="CPU mask") as caught:
        cpumask_parse(text, 2)
    assert caught.value.errno == number


@pytest.mark.parametrize("text", [b"0", b"", b",", b"\n", b"\n3"])
def test_hexadecimal_text_that_is_an_empty_mask(text):
    assert cpumask_parse(text, 2) == 0


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"a", errno.EINVAL),
        (b"1-0", errno.EINVAL),
        (b"3-", errno.EINVAL),
        (b"0-1:2/0", errno.EINVAL),
        (b"0-1:2/1", errno.EINVAL),
        (b"5", errno.ERANGE),
        (b"0-2", errno.ERANGE),
        (b"4294967296", errno.EOVERFLOW),
    ],
)
def test_list_text_that_two_cpus_refuse(text, number):
    with pytest.raises(OSError, match="CPU mask") as caught:
        cpulist_parse(text, 2)
    assert caught.value.errno == number


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        (b"all", 0xFF),
        (b"N", 0x80),
        (b"0-N:1/2", 0x55),
        (b"0-3,6", 0x4F),
        (b"1-5:2/3", 0x36),
        (b"", 0),
    ],
)
def test_list_text_that_eight_cpus_accept(text, mask):
    assert cpulist_parse(text, 8) == mask


def recorded_writes():
    """Every write to smp_affinity or smp_affinity_list that was recorded on real Linux."""
    found = []
    for machine, cpus in RECORDED_CPUS.items():
        for case in sorted((RECORDED / machine / "affinity-write").glob("*.out")):
            for line in case.read_text().splitlines():
                if match := TRY.match(line):
                    name = f"{machine}-{case.stem}-{match['text']}"
                    found.append(pytest.param(cpus, match, id=name))
    return found


@pytest.mark.parametrize(("cpus", "recorded"), recorded_writes())
def test_a_recorded_write_gives_what_linux_gave(cpus, recorded):
    text = ast.literal_eval(f'b"{recorded["text"]}"')
    parse = PARSERS[recorded["file"]]
    mask, result = outcome(parse, text, cpus)
    if not mask and not result:
        result = errno.EINVAL  # no online CPU
    assert errno.errorcode.get(result) == recorded["errno"]
    if not result:
        assert int(recorded["result"]) == len(text)
        assert cpumask_format(mask, cpus) == recorded["mask"]


def test_the_recordings_hold_more_than_300_writes():
    assert len(recorded_writes()) > 300


@given(
    st.lists(
        st.sampled_from([b"0", b"3-5", b"2-1", b"7", b"8", b"", b"1-3:1/2", b"N", b"1-", b"-"])
    ),
    st.sampled_from([b"", b"\n"]),
)
def test_plain_lists_are_read_the_fast_way_with_the_same_result(regions, end):
    text = b",".join(regions) + end

    def outcome(parse):
        try:
            return parse()
        except OSError as error:
            return error.errno

    # A blank in front changes nothing, but it is not plain.
    fast = outcome(lambda: cpulist_parse(text, 8))
    assert fast == outcome(lambda: cpulist_parse(b" " + text, 8))


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 50), st.integers(1, 50))
def test_a_stride_takes_the_first_cpus_of_each_group(first, length, used, group):
    used = min(used, group)
    last = first + length
    text = f"{first}-{last}:{used}/{group}".encode()
    expected = sum(1 << cpu for cpu in range(first, last + 1) if (cpu - first) % group < used)
    assert cpulist_parse(text, 100) == expected


def test_a_group_may_be_longer_than_all_cpus():
    assert cpulist_parse(b"0-7:2/4294967295", 8) == 0b11


@pytest.mark.parametrize("region", [b"0-3", b"7", b"0-1023:1/2", b"all", b"N", b"0-1023:512/1023"])
def test_128_kilobytes_of_list_take_less_than_a_second(region):
    text = (region + b",") * (131_072 // (len(region) + 1))
    began = time.process_time()
    cpulist_parse(text, 1024)
    assert time.process_time() - began < 1
