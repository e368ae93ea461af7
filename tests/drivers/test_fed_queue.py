"""A queue that knows when its frames come behaves as one that is told of each of them.

The reference calls receive() at the time of each frame. So that no two things happen at the same
time, whose order would be anybody's, all costs are multiples of GRAIN_NS and each frame has a
time of its own within it.
"""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pseudokern.drivers.nic import Nic
from pseudokern.irq.manage import irq_set_affinity
from pseudokern.kernel.cost import CostModel
from pseudokern.sim.timeline import SOURCE_BITS
from pseudokern.x86.msi_chip import message_of
from tests.drivers.plugging import at_once, plugged
from tests.machine_parts import MS, new_pc, run_for

CPUS = 3
QUEUES = 2
FRAMES = 900
OWN_NS = 16  # from one frame's own time to that of the next
GRAIN_NS = 16_000
COST = CostModel(*[GRAIN_NS] * 7, ipi_ns=GRAIN_NS, tick_ns=GRAIN_NS, thread_ns=GRAIN_NS)


class Card:
    """A card, and the times at which frames come to its queues."""

    def __init__(self, style, seed, cost=COST, grain_ns=GRAIN_NS):
        self.pc = new_pc(CPUS, seed=seed, cost=cost)
        self.timeline = self.pc.kernel.timeline
        self.nic = at_once(plugged(self.pc, Nic, "eth0", style=style, queues=QUEUES))
        draw = Random(seed)
        gaps = draw.choice([(0, 0, 0, 1), (0, 1, 2, 5, 20), (0,) * 100 + (2_000,)])
        steps = 0
        self.times = [[] for _ in range(QUEUES)]
        for number in range(FRAMES):
            steps += draw.choice(gaps)
            time_ns = self.timeline.now_ns + (1 + steps) * grain_ns + OWN_NS * (number + 1)
            draw.choice(self.times).append(time_ns)

    def do(self, step):
        nic, kernel = self.nic, self.pc.kernel
        match step:
            case ("run", grains):
                run_for(self.pc, grains * GRAIN_NS)
            case ("ring", size):
                nic.set_ring_size(size)
                self.offer()
            case ("updown", up):
                (nic.open if up else nic.close)()
                self.offer()
            case ("move", number, mask) if nic.is_up and mask & kernel.online:
                irq_set_affinity(nic.sources[number][1], mask & kernel.online)
            case ("hotplug", cpu, up) if up != kernel.is_online(cpu):
                (self.pc.hotplug.up if up else self.pc.hotplug.down)(cpu)
            case ("mask", number, masked) if nic.is_up:
                message_of(nic.sources[number][1]).set_masked(masked)
            case ("occupy", cpu, grains):
                self.pc.cpus[cpu].occupy(grains * GRAIN_NS)
            case ("extra", number) if nic.is_up:
                nic.queues[number].receive(self.timeline.now_ns)
            case _:
                self.tune(step)

    def tune(self, step):
        nic = self.nic
        match step:
            case ("set", options):
                nic.ethtool.set_coalescing(options)
            case ("wait", usecs, frames):
                wanted = {"rx-usecs": usecs, "rx-frames": frames}
                known = nic.ethtool.coalesce
                nic.ethtool.set_coalescing({name: wanted[name] for name in wanted if name in known})
            case ("defer", grains, polls):
                nic.napi.gro_flush_timeout_ns = grains * GRAIN_NS
                nic.napi.defer_hard_irqs = polls
                nic.napi.apply()
            case ("threaded", threaded):
                nic.napi.threaded = threaded
                nic.napi.apply()

    def state(self):
        self.pc.fold_counts()
        nic, kernel = self.nic, self.pc.kernel
        return {
            "queues": [
                (queue.waiting, queue.dropped, queue.discarded, queue.packets,
                 queue.arrived, queue.scheduled)
                for queue in nic.rings
            ],
            "interrupts": [desc.total for desc in self.pc.irqs],
            "cpus": [
                (this.hardirq_ns, this.softirq_ns, this.softirq_counts, this.time_squeeze,
                 this.rx_packets, this.softirq_end_ns)
                for this in kernel.cpus
            ],
        }  # fmt: skip


class Told(Card):
    """The reference."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        for number, times in enumerate(self.times):
            self._tell(number, times)

    def offer(self):
        """It tells at each frame's time whether the card takes it."""

    def _tell(self, number, times):
        due = iter([*times, 0])

        def arrive(now_ns):
            if self.nic.is_up:
                self.nic.queues[number].receive(now_ns)
            return next(due) << SOURCE_BITS | source if times[-1] > now_ns else 0

        source = self.timeline.add_source(arrive)
        self.timeline.schedule(source, next(due))


class Fed(Card):
    """What is tested."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.offer()

    def offer(self):
        now_ns = self.timeline.now_ns
        for number, times in enumerate(self.times):
            left = [time_ns for time_ns in times if time_ns > now_ns]
            if not self.nic.is_up:
                left = []
            if number < len(self.nic.queues):
                blocks = [left[place : place + 7] for place in range(0, len(left), 7)]
                self.nic.feed(number).begin(iter(blocks))


queues, cpus = st.integers(0, QUEUES - 1), st.integers(0, CPUS - 1)
steps = st.one_of(
    st.tuples(st.just("run"), st.integers(1, 200)),
    st.tuples(st.just("run"), st.integers(1, 20)),
    st.tuples(
        st.just("wait"), st.sampled_from([0, 16, 48, 160, 1600]), st.sampled_from([1, 2, 5, 100])
    ),
    st.tuples(st.just("ring"), st.sampled_from([64, 128, 256])),
    st.tuples(st.just("move"), queues, st.integers(1, (1 << CPUS) - 1)),
    st.tuples(st.just("hotplug"), st.integers(1, CPUS - 1), st.booleans()),
    st.tuples(st.just("updown"), st.booleans()),
    st.tuples(st.just("mask"), queues, st.booleans()),
    st.tuples(st.just("defer"), st.sampled_from([0, 3, 20]), st.integers(0, 3)),
    st.tuples(st.just("threaded"), st.booleans()),
    st.tuples(st.just("occupy"), cpus, st.integers(1, 50)),
    st.tuples(st.just("extra"), queues),
)


@settings(max_examples=200, deadline=None)
@given(
    script=st.lists(steps, max_size=25),
    style=st.sampled_from(["mlx5", "igb", "bnxt"]),
    seed=st.integers(0, 50),
)
def test_a_fed_queue_does_at_every_instant_what_one_does_that_is_told(script, style, seed):
    told, fed = Told(style, seed), Fed(style, seed)
    for step in [*script, ("updown", True), ("run", 2_000)]:
        told.do(step)
        fed.do(step)
        assert fed.state() == told.state(), step


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("style", "adaptive"),
    [("mlx5", [{"adaptive-rx": 1}]), ("igb", [{"rx-usecs": 1}]), ("igb", [{"rx-usecs": 3}]),
     ("ice", [{"adaptive-rx": 0, "adaptive-tx": 0, "rx-usecs-high": 48}, {"adaptive-rx": 1}]),
     ("bnxt", [{"adaptive-rx": 1}])],
)  # fmt: skip
def test_adaptive_moderation_decides_the_same(style, adaptive, seed):
    told, fed = Told(style, seed), Fed(style, seed)
    for step in [*(("set", each) for each in adaptive), *[("run", 150)] * 20]:
        told.do(step)
        fed.do(step)
        assert fed.state() == told.state()
    told_waits, fed_waits = (
        [card.nic.ethtool._moderations[number, is_fed].waiting for number in range(QUEUES)]
        for card, is_fed in ((told, False), (fed, True))
    )
    assert told_waits == fed_waits


def test_a_queue_that_nobody_polls_keeps_no_more_frames_than_its_ring_has_room_for():
    card = Fed("mlx5", 1)
    card.nic.set_ring_size(64)
    card.do(("mask", 0, True))
    (start_ns, (feed, _)) = card.timeline.now_ns, [card.nic.feed(0), card.nic.feed(1)]
    feed.begin([start_ns + n * 64 + k for k in range(1, 65)] for n in range(10_000))
    run_for(card.pc, 700_000)
    queue = card.nic.queues[0]
    assert (queue.waiting, queue.dropped) == (64, 640_000 - 64)
    assert len(feed.times) < 300


def test_a_fed_queue_without_frames_has_no_events():
    card = Fed("mlx5", 1)
    for number in range(QUEUES):
        card.nic.feed(number).end()
    run_for(card.pc, MS)
    before = card.timeline.events
    run_for(card.pc, 50 * MS)
    assert card.timeline.events == before


def test_frames_that_were_there_before_the_load_wait_no_longer_than_others():
    fed = Card("mlx5", 1)
    fed.nic.ethtool.set_coalescing({"rx-usecs": 48, "rx-frames": 0})
    fed.do(("extra", 0))
    fed.nic.feed(0)
    run_for(fed.pc, 49_000)
    fed.pc.fold_counts()
    assert fed.nic.queues[0].packets == 1


def test_when_the_frames_of_the_last_poll_arrived_can_be_asked():
    card = Fed("mlx5", 1)
    card.nic.ethtool.set_coalescing({"rx-usecs": 1600, "rx-frames": 0})
    feed = card.nic.feed(0)
    times = [card.timeline.now_ns + n for n in (1_000, 5_000, 9_000)]
    feed.begin(iter([times]))
    run_for(card.pc, 1_602_000)
    assert feed.taken_ns(3) == times
