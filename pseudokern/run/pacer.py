"""Make simulated time follow real time, in slices short enough that nobody waits for long.

The one task that runs the timeline. Between two slices it lets the FUSE session answer what has
come; a slice is as many events as take SLICE_NS of real time, measured as it goes. What a slice
raises is a bug in a driver or in ours: it is logged, and the machine goes on.

Where it has caught up it rests: to the next tick, or for longer if nothing is due. A request ends
a long rest, and a write is followed at once by what it brings about.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from pseudokern.kernel.panic import KernelStopsError
from pseudokern.kernel.ratelimit import RateLimit
from pseudokern.machine.machine import Machine
from pseudokern.sim.timeline import FOREVER_NS

if TYPE_CHECKING:
    from pseudokern.run.journal import Player

LOG = logging.getLogger("pseudokern")

SLICE_NS = 100_000  # real time between two looks at FUSE
TURN_NS = 2_000_000  # real time between two looks at everything else in trio
TICK_NS = 5_000_000  # real time between two runs, for a clock that has caught up
REST_NS = 50_000_000  # the same, if nothing is due
MOST_LAG_NS = 100_000_000  # real time by which a wall clock may be late before it gives up on it
FREE_STEP_NS = 10_000_000  # simulated time that a free clock goes in one piece, if little happens
MOST_EVENTS = 20_000
NS_PER_S = 1_000_000_000


class Pacer:
    """Runs a machine's timeline as its clock says. poll() answers FUSE requests, how many."""

    def __init__(
        self, machine: Machine, poll: Callable[[], int], player: "Player | None" = None
    ) -> None:
        self._machine = machine
        self._timeline = machine.timeline
        self._clock = machine.clock
        self._poll = poll
        self._player = player
        # What fails may fail 20,000 times a second, and everybody else has to find the log, too.
        self._failures = RateLimit(machine.kernel.log, "oops")
        self._events = 64
        self._real_ns = 0
        self._simulated_ns = 0
        self._caught_up_ns = 0  # real time at which it was last seen where it should be
        self._hurried = trio.Event()
        self.ended = trio.Event()

    async def run(self) -> None:
        """Run until the clock's end, then for ever do nothing; ended is set there."""
        self._anchor()
        while not self._is_over():
            if self._clock.changed:
                self._clock.changed = False
                self._anchor()
            began_ns = time.monotonic_ns()
            target_ns = self._target_ns()
            if target_ns > self._timeline.now_ns:
                await self._run_to(target_ns)
            has_caught_up = self._timeline.now_ns >= target_ns and self._clock.mode != "free"
            if has_caught_up and not self._clock.changed:
                self._caught_up_ns = began_ns
                await self._rest(began_ns)
        self.ended.set()
        await trio.sleep_forever()

    def catch_up(self) -> None:
        """Somebody looks: end a rest that was long because nothing was due."""
        if time.monotonic_ns() - self._caught_up_ns > 2 * TICK_NS:
            self._go_on()

    def hurry(self) -> None:
        """Somebody has written: let what that brings about happen before anybody looks."""
        self._go_on()
        self._hurried.set()

    def _go_on(self) -> None:
        """One slice of the way to where simulated time should be, if it follows real time."""
        if self._clock.mode != "wall" or self._clock.changed or self._is_over():
            return
        target_ns = min(self._target_ns(), self._next_stop_ns())
        if target_ns > self._timeline.now_ns:
            self._slice(target_ns)
        self._caught_up_ns = time.monotonic_ns()

    async def _rest(self, began_ns: int) -> None:
        """Wait for the tick after began_ns, or until something is due, or for hurry()."""
        wake_ns = max(began_ns + TICK_NS, min(self._due_ns(), began_ns + REST_NS))
        if self._hurried.is_set():
            self._hurried = trio.Event()
        with trio.move_on_after(max(0, wake_ns - time.monotonic_ns()) / NS_PER_S):
            await self._hurried.wait()

    def _due_ns(self) -> int:
        """Real time at which the next event is due; FOREVER_NS for a clock that stands still."""
        if self._clock.mode != "wall":
            return FOREVER_NS
        next_ns = min(
            self._timeline.next_ns(), self._next_stop_ns(), self._clock.end_ns or FOREVER_NS
        )
        return self._real_ns + int((next_ns - self._simulated_ns) / self._clock.speed)

    def _is_over(self) -> bool:
        end_ns = self._clock.end_ns
        return end_ns is not None and self._timeline.now_ns >= end_ns

    def _anchor(self) -> None:
        """From here on, real and simulated time go together."""
        self._real_ns = time.monotonic_ns()
        self._simulated_ns = self._timeline.now_ns

    def _target_ns(self) -> int:
        """Where simulated time should be now."""
        mode = self._clock.mode
        if mode == "wall":
            passed_ns = time.monotonic_ns() - self._real_ns
            target_ns = self._simulated_ns + int(passed_ns * self._clock.speed)
            if target_ns - self._timeline.now_ns > MOST_LAG_NS * self._clock.speed:
                # Too slow, or stopped for a while: go on from here, rather than make programs
                # see minutes in a second.
                self._anchor()
                target_ns = self._timeline.now_ns + int(TURN_NS * self._clock.speed)
        elif mode == "free":
            target_ns = self._timeline.now_ns + FREE_STEP_NS
        else:
            target_ns = self._clock.next_stop_ns() or self._timeline.now_ns
        return min(target_ns, self._clock.end_ns or FOREVER_NS)

    async def _run_to(self, target_ns: int) -> None:
        """Go there, but come back to the loop when the clock's settings change."""
        turn_ends_ns = time.monotonic_ns() + TURN_NS
        while self._timeline.now_ns < target_ns and not self._clock.changed:
            self._slice(min(target_ns, self._next_stop_ns()))
            self._poll()
            if time.monotonic_ns() >= turn_ends_ns:
                break
        await trio.lowlevel.checkpoint()

    def _report(self, error: Exception) -> None:
        """Let the kernel say what such a mistake would have been in C."""
        from pseudokern.kernel.oops import oops  # no machine of good drivers needs it

        with suppress(KernelStopsError):
            oops(self._machine.kernel, error)

    def _next_stop_ns(self) -> int:
        """A time that must not be run past: somebody waits for it, or writes at it."""
        stops = [self._clock.next_stop_ns(), self._player.next_ns if self._player else None]
        return min((stop for stop in stops if stop is not None), default=FOREVER_NS)

    def _slice(self, until_ns: int) -> None:
        started_ns = time.perf_counter_ns()
        until_ns = max(until_ns, self._timeline.now_ns)
        try:
            done = self._timeline.run(until_ns, self._events)
            if not done:
                # What is written next bears this time in the journal, and a replay writes it
                # when all events of its time are over.
                self._timeline.run(self._timeline.now_ns, MOST_EVENTS)
        except KernelStopsError:
            return
        except Exception as error:
            if self._failures.allows():
                LOG.exception("an event failed; the machine goes on without it")
                self._report(error)
            return
        self._clock.complete_waiting()
        if self._player is not None:
            self._player.play(self._timeline.now_ns)
        if not done:
            taken_ns = max(time.perf_counter_ns() - started_ns, 1)
            self._events = min(max(16, self._events * SLICE_NS // taken_ns), MOST_EVENTS)
