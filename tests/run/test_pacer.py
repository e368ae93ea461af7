"""Simulated time passes as the clock says, and stands still exactly where somebody waits."""

import logging
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import trio

from pseudokern.kernel.cost import CostModel
from pseudokern.kernel.kernel import Kernel
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from pseudokern.run.pacer import REST_NS, TICK_NS, Pacer
from pseudokern.sim.clock import Clock, Mode
from pseudokern.sim.timeline import Timeline

PATIENCE_S = 20


class Paced:
    """A timeline that a pacer runs; `look` is called in place of answering requests."""

    def __init__(
        self, mode: Mode, end_ns: int | None = None, timeline: Timeline | None = None
    ) -> None:
        self.timeline = timeline or Timeline()
        self.clock = Clock(self.timeline, mode)
        self.clock.end_ns = end_ns
        self.look: Callable[[], None] = lambda: None
        self.player: SimpleNamespace | None = None

    def has_ended(self) -> bool:
        return self.pacer.ended.is_set()

    def at(self, when_ns: int, action: Callable[[], None]) -> None:
        def gate(_now_ns: int) -> int:
            action()
            return 0

        self.timeline.schedule(self.timeline.add_source(gate), when_ns)

    def every(self, period_ns: int, action: Callable[[], None]) -> None:
        def gate(now_ns: int) -> int:
            action()
            self.timeline.schedule(source, now_ns + period_ns)
            return 0

        source = self.timeline.add_source(gate)
        self.timeline.schedule(source, period_ns)

    def run(self, until: Callable[[], bool]) -> None:
        """Let the pacer run until something is so."""

        async def main() -> None:
            with trio.fail_after(PATIENCE_S):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(pacer.run)
                    while not until():
                        await trio.sleep(0.001)
                    nursery.cancel_scope.cancel()

        def poll() -> int:
            self.look()
            return 0

        self.kernel = kernel = Kernel(
            timeline=self.timeline,
            seed=1,
            nr_cpu_ids=1,
            online=1,
            hz=250,
            cost=CostModel(),
            node_of=lambda _cpu: 0,
        )
        machine = SimpleNamespace(timeline=self.timeline, clock=self.clock, kernel=kernel)
        pacer = self.pacer = Pacer(machine, poll, self.player)
        trio.run(main)


def test_free_clock_runs_to_its_end_and_no_further():
    paced = Paced("free", end_ns=10_000_000_123)
    paced.run(paced.has_ended)
    assert paced.timeline.now_ns == 10_000_000_123


def test_stepping_clock_goes_exactly_as_far_as_somebody_waits():
    paced = Paced("step")
    events = []
    paced.every(1000, lambda: events.append(paced.timeline.now_ns))
    done = paced.clock.advance(5_500)
    paced.run(lambda: done.done)
    assert paced.timeline.now_ns == 5_500
    assert events == [1000, 2000, 3000, 4000, 5000]


def test_every_wait_ends_exactly_where_it_was_asked_to():
    description = load("server-64")
    machine = Machine(description, description.seed)
    paced = Paced("step", timeline=machine.timeline)
    start_ns = paced.timeline.now_ns
    # Slices of 64 events at first: some of them end just where the wait does.
    for number in range(1, 30):
        done = paced.clock.advance(20_000_000)
        paced.run(lambda: done.done)  # noqa: B023 - called before done is another
        assert paced.timeline.now_ns == start_ns + number * 20_000_000


def test_waiting_for_no_time_at_all_is_over_at_once():
    assert Paced("step").clock.advance(0).done


def test_those_who_wait_are_told_at_their_own_times():
    paced = Paced("free", end_ns=1_000_000)
    told = []
    for duration_ns in (700, 500, 900):
        done = paced.clock.advance(duration_ns)
        done.on_done(lambda: told.append(paced.timeline.now_ns))
    paced.run(paced.has_ended)
    assert told == [500, 700, 900]


def test_who_no_longer_waits_does_not_move_a_stepping_clock():
    paced = Paced("step")
    paced.clock.advance(10**15).fail(OSError("a signal came"))
    done = paced.clock.advance(1000)
    paced.run(lambda: done.done)
    assert paced.timeline.now_ns == 1000


def test_requests_are_answered_only_when_all_events_of_an_instant_are_over():
    paced = Paced("free", end_ns=10_000)
    for when_ns in (1000, 2000):
        for _ in range(500):
            paced.at(when_ns, lambda: None)
    nexts = []
    paced.look = lambda: nexts.append(paced.timeline.next_ns() - paced.timeline.now_ns)
    paced.run(paced.has_ended)
    assert min(nexts) > 0


def test_requests_are_answered_while_there_is_always_something_to_do():
    paced = Paced("free")
    paced.every(1, lambda: None)
    looks = []
    paced.look = lambda: looks.append(paced.timeline.now_ns)
    paced.run(lambda: len(looks) > 100)


def test_wall_clock_follows_real_time_at_its_speed():
    paced = Paced("wall")
    paced.clock.set_speed(1000)
    paced.run(lambda: paced.timeline.now_ns > 1_000_000_000)


def test_fastest_wall_clock_stays_within_the_end_of_time():
    paced = Paced("wall", end_ns=2**61)
    paced.clock.set_speed(1e9)
    paced.run(lambda: paced.timeline.now_ns > 10**15)


def looks_until(paced, end_ns):
    """How often a pacer looks for requests until that time: once for each slice."""
    looks = []
    paced.look = lambda: looks.append(paced.timeline.now_ns)
    paced.run(lambda: paced.timeline.now_ns >= end_ns)
    return len(looks)


def test_wall_clock_that_has_caught_up_rests_until_the_next_tick():
    paced = Paced("wall")
    paced.every(1_000_000, lambda: None)
    looks = looks_until(paced, 200_000_000)
    # After each rest it goes on, and once more for what passed meanwhile.
    assert looks <= 2 * (200_000_000 // TICK_NS + 1)


def test_wall_clock_rests_for_longer_while_nothing_is_due():
    paced = Paced("wall")
    looks = looks_until(paced, 500_000_000)
    assert looks <= 2 * (500_000_000 // REST_NS + 1)


def test_what_is_due_ends_a_long_rest():
    paced = Paced("wall")
    came = []
    paced.at(300_000_000, lambda: came.append(paced.timeline.now_ns))
    paced.run(lambda: bool(came))
    assert came == [300_000_000]


def test_what_a_write_brings_about_has_happened_when_hurry_returns():
    paced = Paced("wall")
    came = []

    def write() -> bool:
        paced.at(paced.timeline.now_ns + 1, lambda: came.append("what it brings about"))
        paced.pacer.hurry()
        return True

    paced.run(write)
    assert came == ["what it brings about"]


def test_who_looks_during_a_long_rest_sees_the_present():
    paced = Paced("wall")

    def has_caught_up() -> bool:
        before_ns = paced.timeline.now_ns
        paced.pacer.catch_up()
        return paced.timeline.now_ns > before_ns > 0

    paced.run(has_caught_up)


def test_a_write_wakes_a_stepping_clock_that_rests():
    paced = Paced("step")
    waits = []

    def ask() -> bool:
        if not waits:
            waits.append(paced.clock.advance(7_000))
            paced.pacer.hurry()
        return waits[0].done

    paced.run(ask)
    assert paced.timeline.now_ns == 7_000


def test_change_of_mode_is_seen_in_the_middle_of_a_long_way():
    paced = Paced("free")
    paced.every(1000, lambda: None)
    stood = []

    def stop_after_a_while() -> None:
        if paced.timeline.now_ns > 1_000_000 and paced.clock.mode == "free":
            paced.clock.set_mode("step")
            stood.append(paced.timeline.now_ns)

    paced.look = stop_after_a_while
    paced.run(lambda: bool(stood))
    assert paced.timeline.now_ns == stood[0]


def test_event_that_fails_is_logged_and_the_next_ones_come(caplog):
    paced = Paced("free", end_ns=10_000)
    came = []
    paced.at(1000, lambda: 1 // 0)
    paced.at(1000, lambda: came.append(1000))
    paced.at(2000, lambda: came.append(2000))
    with caplog.at_level(logging.ERROR, "pseudokern"):
        paced.run(paced.has_ended)
    assert came == [1000, 2000]
    assert "an event failed; the machine goes on without it" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_events_that_fail_all_the_time_do_not_flood_the_log(caplog):
    paced = Paced("free", end_ns=6_000_000_000)

    def fail():
        raise ValueError("every time")

    for number in range(30):
        paced.at(1_000_000 * number, fail)
    paced.at(5_500_000_000, fail)
    with caplog.at_level(logging.CRITICAL + 1, "pseudokern"):
        paced.run(until=paced.has_ended)
    log = [record.text for record in paced.kernel.log]
    assert sum("every time" in text for text in log) == 11
    assert "oops: 20 callbacks suppressed" in log


@pytest.mark.parametrize("mode", ["free", "wall"])
def test_recorded_write_is_made_at_its_time_between_two_events(mode):
    paced = Paced(mode, end_ns=10_000)
    seen = []
    paced.every(1000, lambda: seen.append(paced.timeline.now_ns))

    def play(now_ns: int) -> None:
        if paced.player.next_ns is not None and paced.player.next_ns <= now_ns:
            seen.append(("write", now_ns))
            paced.player.next_ns = None

    paced.player = SimpleNamespace(next_ns=3500, play=play)
    paced.run(paced.has_ended)
    assert seen[:5] == [1000, 2000, 3000, ("write", 3500), 4000]
