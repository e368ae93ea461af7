"""Byte queue limits: enough in the ring to keep the card busy, and not much more."""

from hypothesis import given
from hypothesis import strategies as st

from pseudokern.kernel.dql import MAX_LIMIT, Dql

HOLD = 250


def new_dql():
    return Dql(HOLD)


def send(dql, *sizes):
    for size in sizes:
        dql.enqueue(size)


def test_the_first_packet_goes_to_the_card_and_the_second_has_to_wait():
    dql = new_dql()
    assert dql.avail == 0
    send(dql, 1000)
    assert dql.avail == -1000


def test_a_card_that_ran_dry_while_it_was_over_the_limit_gets_a_larger_one():
    dql = new_dql()
    send(dql, 1000)
    dql.complete(1000, 0)
    assert dql.limit == 1000
    send(dql, 600, 600)
    assert dql.avail == -200
    dql.complete(1200, 0)
    assert dql.limit == 2200


def test_a_card_that_is_never_over_the_limit_keeps_it():
    dql = new_dql()
    send(dql, 1000)
    dql.complete(1000, 0)
    for _ in range(5):
        send(dql, 500)
        dql.complete(500, 0)
    assert dql.limit == 1000


def busy(dql, jiffies):
    """The ring never runs empty, and 400 bytes a time are completed of far more."""
    send(dql, 400)
    dql.complete(400, jiffies)


def test_slack_takes_the_limit_down_after_hold_time_and_not_before():
    dql = new_dql()
    dql.limit_min = 10_000
    dql.complete(0, 0)
    dql.limit_min = 0
    send(dql, *[400] * 20)
    for jiffies in range(HOLD + 1):
        busy(dql, jiffies)
    assert dql.limit == 10_000
    busy(dql, HOLD + 1)
    assert dql.limit == 800  # twice what a completion takes


def test_the_limit_stays_between_its_bounds():
    dql = new_dql()
    dql.limit_min, dql.limit_max = 500, 2_000
    dql.complete(0, 0)
    assert dql.limit == 500
    send(dql, 9_000)
    dql.complete(9_000, 0)
    assert dql.limit == 2_000


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(64, 9000), st.integers(0, 5))))
def test_what_was_queued_is_completed_or_in_flight(steps):
    dql, ring, jiffies = new_dql(), [], 0
    for sends, size, completions in steps:
        for _ in range(sends):
            if dql.avail >= 0:
                dql.enqueue(size)
                ring.append(size)
        done, ring = ring[:completions], ring[completions:]
        jiffies += 100
        dql.complete(sum(done), jiffies)
        assert dql.inflight == sum(ring)
        assert 0 <= dql.limit <= MAX_LIMIT
        if not ring:
            assert dql.avail >= 0  # a card with nothing to do may have the next one
