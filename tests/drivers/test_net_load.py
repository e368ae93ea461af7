"""A load offers frames to the queues of a card: so many, with such gaps, until then."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pseudokern.drivers.arrivals import Pattern, arrivals
from pseudokern.drivers.net_load import NET_LOAD_KEYS
from pseudokern.drivers.nic import Nic
from pseudokern.sim.chance import Chance
from tests.drivers.plugging import plugged
from tests.machine_parts import MS, new_pc, run_for

S = 1_000_000_000


def load(**words):
    defaults = {name: key.parse_default(None, {}) for name, key in NET_LOAD_KEYS.items()}
    return {**defaults, **words}


def times_of(pattern, own, until_ns):
    found = []
    for block in arrivals(pattern, own, Chance(1, "queue")):
        found += block
        if found and found[-1] >= until_ns:
            break
    return [time_ns for time_ns in found if time_ns < until_ns]


def test_a_queue_has_its_share_of_the_rate_by_the_number_of_its_flows():
    pattern = Pattern(0, 100_000.0, 10)
    assert len(times_of(pattern, [0, 4, 7], S)) == pytest.approx(30_000, rel=0.02)
    assert times_of(pattern, [], S) == []


def test_constant_frames_of_all_queues_together_are_evenly_spaced():
    pattern = Pattern(500, 300_000.0, 3, is_constant=True)
    both = sorted(times_of(pattern, [0, 2], 10 * MS) + times_of(pattern, [1], 10 * MS))
    gaps = {later - earlier for earlier, later in pairwise(both)}
    assert both[0] == 501
    assert gaps == {3333, 3334}
    assert len(both) == 3_000


def test_bursts_have_the_rate_and_pauses_have_no_frames():
    pattern = Pattern(1_000, 200_000.0, 1, on_ns=2 * MS, off_ns=3 * MS)
    times = times_of(pattern, [0], S + 1_000)
    assert all((time_ns - 1_000) % (5 * MS) < 2 * MS for time_ns in times)
    assert len(times) == pytest.approx(80_000, rel=0.02)


def test_no_frame_comes_at_or_after_until():
    pattern = Pattern(0, 1_000_000.0, 1, is_constant=True, until_ns=5_001)
    assert times_of(pattern, [0], S) == [1, 1001, 2001, 3001, 4001]


@pytest.mark.parametrize("is_constant", [False, True])
@pytest.mark.parametrize(("on_ns", "off_ns"), [(0, 0), (500, 700), (5_000, 1)])
def test_no_two_frames_of_a_queue_come_at_once(is_constant, on_ns, off_ns):
    pattern = Pattern(7, 50_000_000.0, 4, is_constant, on_ns, off_ns)
    times = times_of(pattern, [0, 1, 3], 100_000)
    assert times == sorted(set(times))


loads = st.builds(
    load,
    rate=st.sampled_from([0, 5_000.0, 300_000.0, 6_000_000.0]),
    flows=st.sampled_from([1, 3, 200]),
    arrivals=st.sampled_from(["poisson", "constant", "on-off"]),
    on=st.sampled_from([30_000, 2 * MS]),
    off=st.sampled_from([0, 50_000]),
    until=st.sampled_from([None, 3 * MS]),
)
steps = st.one_of(
    st.tuples(st.just("run"), st.integers(1, 2 * MS)),
    st.tuples(st.just("load"), loads | st.none()),
    st.tuples(st.just("channels"), st.integers(1, 3)),
    st.tuples(st.just("ring"), st.sampled_from([64, 1024])),
    st.tuples(st.just("updown"), st.booleans()),
    st.tuples(st.just("spread"), st.sampled_from([["equal", "1"], ["weight", "1"], ["default"]])),
    st.tuples(
        st.just("wait"), st.sampled_from([{"rx-usecs": 0}, {"rx-usecs": 50}, {"adaptive-rx": 1}])
    ),
    st.tuples(st.just("rps"), st.integers(0, 7)),
    st.tuples(st.just("threaded"), st.booleans()),
    st.tuples(st.just("unbind")),
)


def do(nic, pc, step):
    match step:
        case ("run", duration_ns):
            run_for(pc, duration_ns)
        case ("load", options):
            nic.set_load(options)
        case ("channels", count):
            nic.ethtool.set_channels({"combined": count})
        case ("ring", size):
            nic.ethtool.set_ring({"rx": size})
        case ("updown", up):
            (nic.open if up else nic.close)()
        case ("spread", words):
            nic.ethtool.set_rxfh(words)
        case ("wait", options):
            nic.ethtool.set_coalescing(options)
        case ("rps", mask):
            nic.napi.rps_cpus[0] = mask
            nic.napi.apply()
        case ("threaded", threaded):
            nic.napi.threaded = threaded
            nic.napi.apply()
        case ("unbind",):
            nic.remove()
            nic.attach()
            nic.open()


def offered(nic):
    """By the results of the card."""
    lines = dict(line.split(maxsplit=1) for line in nic.show_results().splitlines()[:5])
    return [int(value) for value in lines.values()]


@settings(max_examples=60, deadline=None)
@given(script=st.lists(steps, max_size=20), style=st.sampled_from(["mlx5", "ice"]))
def test_frames_offered_are_delivered_dropped_or_in_flight_at_every_instant(script, style):
    pc = new_pc(3, seed=len(script))
    nic = plugged(pc, Nic, "eth0", style=style, queues=3)
    nic.set_load(load(rate=1_000_000.0, flows=7))
    for step in [*script, ("run", MS)]:
        do(nic, pc, step)
        total, *places = offered(nic)
        assert total == sum(places)
        assert all(queue.waiting <= queue.size for queue in nic.rings)
    nic.set_load(None)
    nic.open()
    run_for(pc, 50 * MS)
    assert all(queue.waiting == 0 for queue in nic.rings)


def test_the_same_seed_has_the_same_frames_and_another_has_others():
    found = []
    for seed in (1, 1, 2):
        pc = new_pc(2, seed=seed)
        nic = plugged(pc, Nic, "eth0", style="mlx5", queues=2)
        nic.set_load(load(rate=400_000.0, flows=30))
        run_for(pc, 20 * MS)
        found.append(nic.show_results())
    assert found[0] == found[1] != found[2]


def test_frames_dropped_are_the_same_whoever_is_asked_first():
    """To look at an overloaded queue counts drops, in the middle of adding them up."""
    pc = new_pc(1)
    nic = plugged(pc, Nic, "eth0", style="igb")
    nic.set_load(load(rate=8_000_000.0, flows=1))
    for _ in range(20):
        run_for(pc, MS)
        pc.fold_counts()
        (queue,) = nic.queues
        dropped = queue.dropped
        assert dropped == queue.dropped == nic.received().dropped
    assert dropped
