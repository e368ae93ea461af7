"""Many things to call, one source on the timeline."""

import pytest

from pseudokern.sim.agenda import Agenda
from pseudokern.sim.timeline import Timeline


def run(timeline, until_ns):
    while not timeline.run(until_ns, 1000):
        pass


def test_entries_are_called_in_the_order_of_their_times():
    timeline, called = Timeline(), []
    agenda = Agenda(timeline)
    for at_ns in (300, 100, 200):
        agenda.at(at_ns, lambda at_ns=at_ns: called.append((timeline.now_ns, at_ns)))
    run(timeline, 1000)
    assert called == [(100, 100), (200, 200), (300, 300)]


def test_entries_of_one_time_are_called_in_the_order_in_which_they_were_set():
    timeline, called = Timeline(), []
    agenda = Agenda(timeline)
    for number in range(3):
        agenda.at(100, lambda number=number: called.append(number))
    run(timeline, 1000)
    assert called == [0, 1, 2]


def test_100_000_entries_need_one_source():
    timeline, called = Timeline(), []
    agenda = Agenda(timeline)
    for number in range(100_000):
        agenda.at(number, lambda number=number: called.append(number))
    run(timeline, 200_000)
    assert called == list(range(100_000))


def test_an_entry_that_raises_keeps_no_other_from_being_called():
    timeline, called = Timeline(), []
    agenda = Agenda(timeline)
    agenda.at(100, lambda: 1 // 0)
    agenda.at(200, lambda: called.append(200))
    with pytest.raises(ZeroDivisionError):
        run(timeline, 1000)
    run(timeline, 1000)
    assert called == [200]
