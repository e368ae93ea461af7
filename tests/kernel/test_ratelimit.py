"""A place that logs too much is cut short, and the log says by how much."""

from types import SimpleNamespace

import pytest

from pseudokern.kernel.printk import KernelLog, Level
from pseudokern.kernel.ratelimit import RateLimit

S = 1_000_000_000


@pytest.fixture
def clock():
    return SimpleNamespace(now_ns=0)


@pytest.fixture
def log(clock):
    return KernelLog(lambda: clock.now_ns)


def say(limit, times):
    for _ in range(times):
        limit.printk(Level.ERR, "again")


def test_the_eleventh_line_within_5_s_is_left_out(log):
    limit = RateLimit(log, "note_interrupt")
    say(limit, 10)
    assert len(list(log)) == 10

    say(limit, 1)
    assert len(list(log)) == 10
    assert limit.missed == 1


def test_the_first_line_after_5_s_says_how_many_were_left_out(log, clock):
    limit = RateLimit(log, "note_interrupt")
    say(limit, 13)
    clock.now_ns = 5 * S
    say(limit, 1)
    assert len(list(log)) == 10

    clock.now_ns += 1
    say(limit, 1)
    texts = [record.text for record in log]
    assert texts[10:] == ["note_interrupt: 4 callbacks suppressed", "again"]
    assert limit.missed == 0


def test_nothing_is_said_when_nothing_was_left_out(log, clock):
    limit = RateLimit(log, "note_interrupt")
    say(limit, 10)
    clock.now_ns = 6 * S
    say(limit, 1)
    assert [record.text for record in log] == ["again"] * 11
