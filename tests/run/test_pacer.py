"""The pacer takes time where the clock says, and tells whoever waits for it."""

import pytest
import trio

from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from pseudokern.run.pacer import Pacer


@pytest.fixture
def machine():
    description = load("server-64")
    return Machine(description, description.seed)


def run(machine, until):
    """Run the machine's time until `until` is done."""

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Pacer(machine, lambda: 0).run)
            with trio.fail_after(60):
                while not until.done:
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_every_advance_ends_exactly_where_it_was_asked_to(machine):
    start_ns = machine.timeline.now_ns
    # Slices of 64 events at first: some of them end just where the wait does.
    for number in range(1, 30):
        run(machine, machine.clock.advance(20_000_000))
        assert machine.timeline.now_ns == start_ns + number * 20_000_000


def test_an_event_that_raises_is_logged_and_the_machine_goes_on(machine, caplog):
    def broken(_now_ns: int) -> int:
        raise RuntimeError("a driver's mistake")

    source = machine.timeline.add_source(broken)
    machine.timeline.schedule(source, machine.timeline.now_ns + 1_000_000)
    done = machine.clock.advance(5_000_000)
    run(machine, done)
    assert "a driver's mistake" in caplog.text
