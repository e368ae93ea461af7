"""However a run of arrivals is cut and interrupted, everything happens in the same order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pseudokern.drivers.traffic import PoissonTraffic
from pseudokern.sim.alarm import Alarm
from pseudokern.sim.chance import Chance
from pseudokern.sim.timeline import Timeline

END_NS = 20_000
RATE_HZ = 20_000_000  # one arrival in 50 ns: ties are common


class World:
    """Two streams; each arrival sets alarms, and each alarm may set another one."""

    def __init__(self, waits, streams):
        self.timeline = Timeline()
        self.seen = []
        self.waits = waits
        self.alarms = [self._alarm(number) for number in range(3)]
        for number in range(streams):
            stream = PoissonTraffic(self.timeline, Chance(1, str(number)))
            stream.set(RATE_HZ, [lambda now_ns, number=number: self._arrive(now_ns, number)])
        self.alarms.append(self._alarm(3))  # its source has a higher number than the streams'

    def _alarm(self, number):
        return Alarm(self.timeline, lambda: self._ring(number))

    def _wait_ns(self):
        return self.waits[len(self.seen) % len(self.waits)]

    def _arrive(self, now_ns, number):
        assert now_ns == self.timeline.now_ns
        self.seen.append((now_ns, f"stream {number}"))
        self.alarms[len(self.seen) % 4].set(now_ns + self._wait_ns())

    def _ring(self, number):
        now_ns = self.timeline.now_ns
        self.seen.append((now_ns, f"alarm {number}"))
        if len(self.seen) % 3 == 0:
            self.alarms[(number + 1) % 4].set(now_ns + self._wait_ns())

    def live(self, most=1_000_000, step_ns=END_NS):
        for until_ns in range(step_ns, END_NS + 1, step_ns):
            while not self.timeline.run(until_ns, most):
                continue
        return self.seen


waits = st.lists(st.integers(0, 200), min_size=1, max_size=20)


@given(waits, st.sampled_from([1, 2]), st.sampled_from([1, 3, 50]), st.sampled_from([10, 2_500]))
@settings(max_examples=60, deadline=None)
def test_the_order_does_not_depend_on_how_time_is_sliced(waits, streams, most, step_ns):
    seen = World(waits, streams).live()
    assert [now_ns for now_ns, _ in seen] == sorted(now_ns for now_ns, _ in seen)
    assert World(waits, streams).live(most=most) == seen
    assert World(waits, streams).live(step_ns=step_ns) == seen


@pytest.mark.parametrize("failing", ["arrival", "alarm"])
def test_what_fails_amid_a_run_takes_nothing_else_away(failing):
    calm, broken = World([30], 1), World([30], 1)
    first = "stream 0" if failing == "arrival" else "alarm 1"
    seen = calm.live()
    at_ns = next(at_ns for at_ns, name in seen[10:] if name == first)

    def fail(arguments, then):
        then(*arguments)
        if broken.seen[-1] == (at_ns, first):
            raise ZeroDivisionError

    arrive, ring = broken._arrive, broken._ring
    broken._arrive = lambda *arguments: fail(arguments, arrive)
    broken._ring = lambda *arguments: fail(arguments, ring)
    with pytest.raises(ZeroDivisionError):
        broken.live()
    assert broken.timeline.now_ns == at_ns
    assert broken.live() == seen
