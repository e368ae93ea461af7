"""A card sends: its rings, its wire, its interrupts, as each driver has them."""

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pseudokern.drivers.net_load import NET_LOAD_KEYS
from pseudokern.drivers.nic import Nic
from pseudokern.drivers.tx_ring import FETCH_NS, TxRing, Wire
from pseudokern.irq.manage import irq_set_affinity
from pseudokern.kernel.cost import CostModel
from pseudokern.kernel.qdisc import Packet
from pseudokern.kernel.udp import truesize
from tests.drivers.plugging import at_once, plugged
from tests.machine_parts import MS, new_pc, run_for

CPUS = 3
STYLES = ["igb", "ice", "mlx5", "virtio-net", "e1000e", "vmxnet3"]


def load(**words):
    defaults = {name: key.parse_default(None, {}) for name, key in NET_LOAD_KEYS.items()}
    return {**defaults, **words}


def new_nic(pc, style="igb", queues=1, **written):
    """A card that interrupts for each frame, which is no driver's default."""
    nic = plugged(pc, Nic, "eth0", style=style, queues=queues, **written)
    wanted = {"adaptive-tx": 0, "tx-usecs": 0, "tx-frames": 1}
    known = nic.ethtool.coalesce
    if known:
        nic.ethtool.set_coalescing({name: wanted[name] for name in wanted if name in known})
    return at_once(nic) if known else nic


def send(nic, frames=1, cpu=0, flow_hash=0, size=64):
    """sendmsg(), so often, on a CPU; what a program does."""
    kernel = nic.kernel
    outer, kernel.this = kernel.this, kernel.cpus[cpu]
    for _ in range(frames):
        queue = nic.tx.queue_for(cpu, flow_hash)
        nic.tx.send(queue, Packet(size, kernel.timeline.now_ns), kernel.timeline.now_ns)
    if kernel.this.softirq_pending:
        kernel.softirqs.raise_from_process(kernel.this, 0)
    kernel.this = outer


def interrupts(nic):
    nic.pc.fold_counts()
    return {desc.actions[0].name: desc.total for _, desc in nic.vectors if desc.total}


def lets_everything_leave(nic):
    """No limits: all that is sent is in the ring."""
    for queue in nic.tx.queues:
        queue.has_bql = False


def test_a_frame_of_64_bytes_takes_576_ns_of_a_gigabit_and_the_next_comes_after_a_gap():
    wire = Wire(1000)
    assert wire.send(0, 64) == FETCH_NS + 8 * (8 + 64)
    assert wire.send(0, 64) == FETCH_NS + 8 * (8 + 64) + 8 * (12 + 8 + 64)


def test_a_wire_without_a_whole_number_of_ns_for_a_byte_keeps_its_rate():
    wire = Wire(100_000)
    for _ in range(1_000):
        done_ns = wire.send(0, 64)
    assert done_ns == FETCH_NS + 84 * 8 * 1000 // 100 - 0  # one frame each 6.72 ns, less a gap


def test_a_ring_of_256_takes_255_frames():
    ring = TxRing(Wire(1000), 256)
    for _ in range(255):
        ring.post(Packet(64, 0), 0)
    assert (ring.in_flight, ring.free) == (255, 0)


def test_only_frames_that_have_left_are_cleaned():
    ring = TxRing(Wire(1000), 256)
    ring.post(Packet(64, 0), 0)
    ring.post(Packet(64, 0), 0)
    second_ns = ring.done_ns(1)
    assert ring.clean(second_ns - 1, 10) == (1, 64)
    assert ring.clean(second_ns, 10) == (1, 64)


OWN_VECTORS = {
    "igb": "eth0-TxRx-0",
    "ice": "ice-eth0-TxRx-0",
    "mlx5": "mlx5_comp0@pci:0000:00:02.0",
    "virtio-net": "eth0-output.0",
    "e1000e": "eth0-tx-0",
    "vmxnet3": "eth0-rxtx-0",
}


@pytest.mark.parametrize("style", STYLES)
def test_a_frame_that_has_left_interrupts_on_the_vector_of_its_driver(style):
    pc = new_pc(1, cost=CostModel())
    nic = new_nic(pc, style)
    send(nic)
    assert interrupts(nic) == {}
    run_for(pc, MS)
    assert interrupts(nic) == {OWN_VECTORS[style]: 1}
    assert (nic.tx.rings[0].cleaned, nic.tx.rings[0].in_flight) == (1, 0)


@pytest.mark.parametrize("style", [style for style in STYLES if style not in ("ice", "mlx5")])
def test_without_messages_the_line_tells_of_frames_that_have_left(style):
    pc = new_pc(1)
    pc.pci.has_messages = False
    nic = new_nic(pc, style, bdf="00:1f.6")
    send(nic)
    run_for(pc, MS)
    assert nic.tx.rings[0].cleaned == 1


@pytest.mark.parametrize(("style", "softirq"), [("e1000e", 2), ("igb", 3), ("virtio-net", 3)])
def test_a_hard_handler_leaves_freeing_to_net_tx_and_a_poll_frees_itself(style, softirq):
    pc = new_pc(1, cost=CostModel())
    nic = new_nic(pc, style)
    lets_everything_leave(nic)
    send(nic)
    run_for(pc, MS)
    assert pc.kernel.cpus[0].softirq_counts[2:4] == [softirq == 2, softirq == 3]


def test_frames_that_leave_while_the_queue_is_polled_do_not_interrupt():
    pc = new_pc(1)
    nic = new_nic(pc)
    lets_everything_leave(nic)
    nic.queues[0].scheduled = True
    send(nic, 5)
    run_for(pc, MS)
    assert interrupts(nic) == {}
    nic.queues[0].poll(64)
    assert nic.tx.rings[0].cleaned == 5


def test_a_poll_of_igb_takes_128_frames_out_of_the_ring_and_is_repeated():
    pc = new_pc(1, cost=CostModel())
    nic = new_nic(pc)
    lets_everything_leave(nic)
    queue = nic.queues[0]
    queue.scheduled = True
    send(nic, 200)
    run_for(pc, MS)
    assert queue.poll(64) == 0
    assert (nic.tx.rings[0].cleaned, queue.is_unfinished) == (128, True)
    assert queue.poll(64) == 0
    assert (nic.tx.rings[0].cleaned, queue.is_unfinished) == (200, False)


def test_igb_stops_a_queue_with_20_free_descriptors_and_wakes_it_with_42():
    pc = new_pc(1, cost=CostModel())
    nic = new_nic(pc)
    lets_everything_leave(nic)
    queue, ring = nic.tx.queues[0], nic.tx.rings[0]
    nic.queues[0].scheduled = True  # nobody cleans
    send(nic, 234)
    assert (ring.free, queue.drv_xoff) == (21, False)
    send(nic, 2)
    assert (ring.free, queue.drv_xoff, queue.qdisc.length) == (20, True, 1)
    run_for(pc, MS)
    cleaner = nic.queues[0].whole_ring.cleaner
    cleaner._clean(21)
    assert (ring.free, queue.drv_xoff) == (41, True)
    cleaner._clean(1)
    assert not queue.drv_xoff


def gaps(nic, count=60):
    """From one interrupt to the next while frames are sent all the time."""
    pc, before, now, found = nic.pc, sum(interrupts(nic).values()), nic.kernel.timeline, []
    while len(found) < count:
        send(nic)
        run_for(pc, 500)
        if (after := sum(interrupts(nic).values())) != before:
            found.append(now.now_ns)
            before = after
    return [later - earlier for earlier, later in pairwise(found)]


@pytest.mark.parametrize(
    ("style", "words", "least_us"),
    [
        ("igb", {"rx-usecs": 50}, 50),
        ("e1000e", {"rx-usecs": 100}, 100),
        ("ice", {"tx-usecs": 40}, 40),
        ("ice", {"rx-usecs-high": 20}, 20),
        ("mlx5", {"tx-usecs": 64, "tx-frames": 4000}, 64),
    ],
)
def test_completions_wait_as_each_driver_is_told(style, words, least_us):
    pc = new_pc(1, cost=CostModel())
    nic = new_nic(pc, style)
    lets_everything_leave(nic)
    nic.ethtool.set_coalescing(words)
    found = gaps(nic, 20)
    assert min(found) >= least_us * 1000 - 500
    assert max(found) <= least_us * 1000 + 20_000  # a poll that has to be repeated


def test_virtio_net_cleans_when_it_sends_and_hardly_needs_interrupts():
    pc = new_pc(1, cost=CostModel())
    nic = new_nic(pc, "virtio-net")
    lets_everything_leave(nic)
    for _ in range(1_000):
        send(nic)
        run_for(pc, 150)
    assert sum(interrupts(nic).values()) < 50
    run_for(pc, MS)
    assert nic.tx.rings[0].cleaned == 1_000


def test_tx_usecs_of_virtio_net_counts_from_the_first_frame_that_has_left():
    pc = new_pc(1, cost=CostModel())
    nic = new_nic(pc, "virtio-net")
    nic.ethtool.set_coalescing({"tx-usecs": 30, "tx-frames": 100})
    send(nic)
    done_ns = nic.tx.rings[0].done_ns()
    run_for(pc, done_ns + 30_000 - 1)
    assert interrupts(nic) == {}
    run_for(pc, 1)
    assert interrupts(nic) == {"eth0-output.0": 1}


def test_tx_frames_interrupts_when_so_many_have_left():
    pc = new_pc(1, cost=CostModel())
    nic = new_nic(pc, "mlx5")
    lets_everything_leave(nic)
    nic.ethtool.set_coalescing({"tx-usecs": 4000, "tx-frames": 8})
    send(nic, 7)
    run_for(pc, MS)
    assert interrupts(nic) == {}
    send(nic, 1)
    run_for(pc, MS)
    assert sum(interrupts(nic).values()) == 1
    assert nic.tx.rings[0].cleaned == 8


def test_reception_that_interrupts_cleans_what_has_left_as_well():
    pc = new_pc(1, cost=CostModel())
    nic = new_nic(pc, "mlx5")
    nic.ethtool.set_coalescing({"tx-usecs": 500, "tx-frames": 32})
    send(nic)
    run_for(pc, 20_000)
    assert nic.tx.rings[0].cleaned == 0
    nic.queues[0].arrive(pc.kernel.timeline.now_ns)
    run_for(pc, 20_000)
    assert nic.tx.rings[0].cleaned == 1
    run_for(pc, MS)
    assert sum(interrupts(nic).values()) == 1


def test_adaptive_transmission_waits_longer_when_more_leaves():
    pc = new_pc(1, cost=CostModel())
    nic = new_nic(pc, "mlx5")
    nic.ethtool.set_coalescing({"adaptive-tx": 1})
    nic.set_load(load(tx_rate=500_000.0))
    run_for(pc, 100 * MS)
    assert nic.tx.rings[0].cleaned > 40_000
    assert sum(interrupts(nic).values()) < 10_000


@pytest.mark.parametrize(
    ("size", "rate_hz", "most_hz"), [(64, 20_000.0, 70_000), (3000, 30_000.0, 4_100)]
)
def test_adaptive_rx_usecs_of_igb_looks_at_what_is_sent_as_well(size, rate_hz, most_hz):
    pc = new_pc(1, cost=CostModel())
    nic = new_nic(pc, "igb")
    nic.ethtool.set_coalescing({"rx-usecs": 1})
    nic.set_load(load(tx_rate=rate_hz, tx_size=size))
    run_for(pc, 100 * MS)
    before = sum(interrupts(nic).values())
    run_for(pc, 100 * MS)
    found_hz = 10 * (sum(interrupts(nic).values()) - before)
    assert most_hz / 4 < found_hz <= most_hz


def test_a_sender_that_is_faster_than_the_wire_fills_the_qdisc_and_drops():
    pc = new_pc(2, cost=CostModel())
    nic = new_nic(pc, "igb")
    nic.set_load(load(tx_rate=300_000.0, tx_size=1500))
    run_for(pc, 200 * MS)
    ring, queue = nic.tx.rings[0], nic.tx.queues[0]
    assert ring.cleaned == pytest.approx(200 * MS / (1520 * 8), rel=0.01)
    assert queue.qdisc.drops > 20_000
    assert queue.qdisc.length > 990


def test_a_sender_with_one_socket_waits_for_the_wire_and_drops_nothing():
    pc = new_pc(1, cost=CostModel())
    nic = new_nic(pc, "igb")
    nic.set_load(load(tx_rate=300_000.0, tx_size=1500, tx_sndbuf=208))
    run_for(pc, 200 * MS)
    ring, queue = nic.tx.rings[0], nic.tx.queues[0]
    assert ring.cleaned == pytest.approx(200 * MS / (1520 * 8), rel=0.01)
    assert queue.qdisc.drops == 0
    assert nic.tx.in_flight() <= (208 << 10) // truesize(1500) + 1


def test_a_cpu_that_is_slower_than_its_sender_sends_as_fast_as_it_can():
    pc = new_pc(1, cost=CostModel())
    nic = new_nic(pc, "ice")
    nic.set_load(load(tx_rate=5_000_000.0))
    run_for(pc, 20 * MS)
    this = pc.kernel.cpus[0]
    busy_ns = this.system_ns + this.hardirq_ns + this.softirq_ns
    assert busy_ns == pytest.approx(20 * MS, rel=0.01)
    assert nic.tx.rings[0].posted == pytest.approx(this.system_ns // 1000, rel=0.01)


def test_the_interface_that_goes_down_loses_what_has_not_left():
    pc = new_pc(1, cost=CostModel())
    nic = new_nic(pc)
    nic.queues[0].scheduled = True
    send(nic, 300, size=1500)
    nic.close()
    queue, ring = nic.tx.queues[0], nic.tx.rings[0]
    assert ring.cleaned == 0
    assert ring.purged + queue.qdisc.purged == 300
    nic.queues[0].scheduled = False
    nic.open()
    send(nic)
    run_for(pc, MS)
    assert ring.cleaned == 1


def test_xdp_frames_take_room_in_the_ring_without_the_stack():
    pc = new_pc(1, cost=CostModel())
    nic = new_nic(pc)
    assert nic.tx.xdp_xmit(0, [64] * 300, 0) == 255 - 21  # which a packet of the stack may need
    assert nic.tx.xdp_drops == 66
    run_for(pc, MS)
    assert nic.tx.rings[0].cleaned == 234
    assert nic.tx.queues[0].offered == 0


def test_byte_queue_limits_do_not_count_frames_of_xdp():
    pc = new_pc(1, cost=CostModel())
    nic = new_nic(pc)
    dql = nic.tx.queue(0).dql
    send(nic, size=1000)
    nic.tx.xdp_xmit(0, [64] * 10, pc.kernel.timeline.now_ns)
    assert dql.inflight == 1000
    run_for(pc, MS)
    assert (dql.inflight, nic.tx.rings[0].cleaned) == (0, 11)


steps = st.one_of(
    st.tuples(st.just("run"), st.integers(1, 2 * MS)),
    st.tuples(st.just("run"), st.integers(1, 20_000)),
    st.tuples(st.just("send"), st.integers(1, 1500), st.integers(0, CPUS - 1), st.integers(0, 3)),
    st.tuples(st.just("load"), st.sampled_from([0.0, 20_000.0, 300_000.0]), st.booleans()),
    st.tuples(st.just("sndbuf"), st.sampled_from([5, 208])),
    st.tuples(st.just("xdp"), st.integers(0, 2), st.integers(1, 300)),
    st.tuples(st.just("receive"), st.sampled_from([0.0, 200_000.0])),
    st.tuples(st.just("channels"), st.integers(1, 3)),
    st.tuples(st.just("ring"), st.sampled_from([64, 128, 256])),
    st.tuples(st.just("updown"), st.booleans()),
    st.tuples(
        st.just("wait"),
        st.sampled_from([{"rx-usecs": 0}, {"rx-usecs": 50}, {"tx-usecs": 20}, {"adaptive-tx": 1}]),
    ),
    st.tuples(st.just("move"), st.integers(0, 5), st.integers(1, (1 << CPUS) - 1)),
    st.tuples(st.just("hotplug"), st.integers(1, CPUS - 1), st.booleans()),
    st.tuples(st.just("threaded"), st.booleans()),
    st.tuples(st.just("defer"), st.sampled_from([0, 20_000]), st.integers(0, 2)),
    st.tuples(st.just("unbind")),
)


def do(nic, pc, step):  # noqa: C901 - a table of steps
    match step:
        case ("run", duration_ns):
            run_for(pc, duration_ns)
        case ("send", frames, cpu, number) if nic.tx.queues and pc.kernel.is_online(cpu):
            send(nic, frames, cpu, number << 30)
        case ("load", rate_hz, is_constant):
            arrivals = "constant" if is_constant else "poisson"
            nic.set_load(load(tx_rate=rate_hz, arrivals=arrivals, rate=nic.load_rate_hz))
        case ("xdp", number, frames) if nic.is_up and number < nic.tx.count:
            nic.tx.xdp_xmit(number, [64] * frames, pc.kernel.timeline.now_ns)
        case ("sndbuf", size_kb):
            nic.set_load(load(tx_rate=300_000.0, tx_sndbuf=size_kb))
        case ("receive", rate_hz):
            nic.load_rate_hz = rate_hz
            nic.set_load(load(rate=rate_hz, tx_rate=50_000.0, flows=4))
        case ("channels", count) if nic.ethtool.ops.channels == "combined":
            nic.ethtool.set_channels({"combined": count})
        case ("ring", size):
            nic.ethtool.set_ring({"tx": size})
        case ("updown", up):
            (nic.open if up else nic.close)()
        case ("wait", words) if set(words) <= set(nic.ethtool.coalesce):
            with suppress(OSError):  # what a driver does not take at the time
                nic.ethtool.set_coalescing(words)
        case ("move", number, mask) if nic.is_up and mask & pc.kernel.online:
            irqs = sorted(nic.function.irqs)
            irq_set_affinity(pc.irqs[irqs[number % len(irqs)]], mask & pc.kernel.online)
        case ("hotplug", cpu, up) if up != pc.kernel.is_online(cpu):
            (pc.hotplug.up if up else pc.hotplug.down)(cpu)
        case ("threaded", threaded):
            nic.napi.threaded = threaded
            nic.napi.apply()
        case ("defer", timeout_ns, polls):
            nic.napi.gro_flush_timeout_ns, nic.napi.defer_hard_irqs = timeout_ns, polls
            nic.napi.apply()
        case ("unbind",):
            nic.remove()
            nic.attach()
            nic.open()


def check_books(nic):
    """Offered = left + dropped, by name + in flight, at any time."""
    for queue, ring in zip(nic.tx.queues, nic.tx.rings, strict=True):
        qdisc = queue.qdisc
        to_card = queue.offered - queue.dropped_down - qdisc.drops - qdisc.purged - qdisc.length
        assert to_card <= ring.posted  # XDP adds to that
        assert queue.dql.inflight >= 0
        assert ring.posted == ring.cleaned + ring.purged + ring.in_flight
        assert ring.in_flight < ring.size
    counts = dict(line.split() for line in nic.show_results().splitlines() if line[:3] == "tx_")
    found = {name.removeprefix("tx_"): int(count) for name, count in counts.items()}
    if found:
        dropped = sum(count for name, count in found.items() if name.startswith("dropped_"))
        assert found["offered"] == found["sent"] + dropped + found["in_flight"]


@example(style="igb", script=[("send", 2, 0, 0), ("run", 1776), ("unbind",)], seed=0).via(
    "a queue that NET_TX was going to run when its driver let go"
)
@settings(max_examples=120, deadline=None)
@given(
    style=st.sampled_from([*STYLES, "mlx4", "bnxt"]),
    script=st.lists(steps, max_size=20),
    seed=st.integers(0, 3),
)
def test_packets_offered_have_left_are_dropped_by_name_or_are_in_flight(style, script, seed):
    pc = new_pc(CPUS, seed=seed, cost=CostModel())
    nic = new_nic(pc, style, queues=1 if style == "e1000e" else 3)
    nic.load_rate_hz = 0.0
    nic.set_load(load(tx_rate=100_000.0))
    for step in [*script, ("run", 500_000)]:
        do(nic, pc, step)
        check_books(nic)
    nic.set_load(None)
    nic.open()
    run_for(pc, 50 * MS)
    check_books(nic)
    assert nic.tx.in_flight() == 0  # nothing is stuck
