"""Quantities keep their value through text, and a unit is never guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudokern.sim.quantity import (
    LONGEST_NS,
    QuantityError,
    parse_duration_ns,
    parse_rate_hz,
    parse_share,
    parse_size_kb,
)

UNITS_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}


@given(st.integers(0, LONGEST_NS))
def test_duration_in_ns_comes_back_exactly(duration_ns):
    assert parse_duration_ns(f"{duration_ns} ns") == duration_ns


@given(st.sampled_from(sorted(UNITS_NS)), st.integers(0, 10**5), st.sampled_from(["", " ", "  "]))
def test_duration_means_the_same_with_and_without_a_blank(unit, count, blank):
    assert parse_duration_ns(f"{count}{blank}{unit}") == count * UNITS_NS[unit]


@given(st.integers(0, 10**15))
def test_decimal_fraction_of_a_second_is_exact(duration_ns):
    seconds, rest_ns = divmod(duration_ns, 10**9)
    assert parse_duration_ns(f"{seconds}.{rest_ns:09}s") == duration_ns


@given(st.integers(0, 10**9))
def test_rate_in_khz_is_a_thousand_times_the_rate_in_hz(count):
    assert parse_rate_hz(f"{count} kHz") == 1000 * parse_rate_hz(f"{count} Hz")


@given(st.text(max_size=30))
def test_any_text_is_a_quantity_or_a_quantity_error(text):
    for parse in (parse_duration_ns, parse_rate_hz, parse_share, parse_size_kb):
        try:
            assert parse(text) >= 0
        except QuantityError as error:
            told = str(error)
        else:
            continue
        assert "; " in told


def test_rate_may_be_written_per_second_per_minute_and_per_hour():
    assert parse_rate_hz("3/s") == 3.0
    assert parse_rate_hz("30/min") == 0.5
    assert parse_rate_hz("36/h") == 0.01


def test_zero_needs_no_unit():
    assert parse_rate_hz("0") == 0.0
    assert parse_duration_ns("0") == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5", 'is "5", a number without a unit; write it like "250ms"'),
        ("soon", 'is "soon", not a duration; write it like "250ms"'),
        ("-1s", 'is "-1s", not a duration; write it like "250ms"'),
        (
            "5 parsecs",
            'is "5 parsecs" with the unknown unit "parsecs"; '
            "a duration is in ns, us, ms, s, min, h",
        ),
        ("0.5 ns", 'is "0.5 ns", a fraction of a nanosecond; use whole ns'),
        ("900000 h", 'is "900000 h", longer than a hundred years; use less'),
        ("1" * 5000 + "s", f'is "{"1" * 5000}s", not a duration; write it like "250ms"'),
    ],
)
def test_bad_duration_says_what_to_write_instead(text, message):
    with pytest.raises(QuantityError) as caught:
        parse_duration_ns(text)
    assert str(caught.value) == message


def test_share_of_more_than_everything_is_refused():
    assert parse_share("100%") == 1.0
    with pytest.raises(QuantityError, match="at most 100%"):
        parse_share("101%")


def test_sizes_are_counted_in_units_of_1024_bytes():
    assert parse_size_kb("512 KB") == 512
    assert parse_size_kb("1.5 MB") == 1536
