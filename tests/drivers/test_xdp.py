"""An XDP program decides about each frame that a card has polled."""

import errno
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pseudokern.drivers.net_load import NET_LOAD_KEYS
from pseudokern.drivers.nic import Nic
from pseudokern.drivers.nic_xdp import XDP_OPS
from pseudokern.drivers.xdp import XDP_DROP, XDP_PASS, XDP_REDIRECT, XDP_TX, XdpFrame
from pseudokern.drivers.xdp_program import XdpProgram, load_program
from tests.drivers.plugging import plugged
from tests.machine_parts import MS, new_pc, run_for

STYLES = ["igb", "ice", "mlx5", "mlx4", "bnxt", "virtio-net", "vmxnet3", "e1000e"]


def load(**words):
    defaults = {name: key.parse_default(None, {}) for name, key in NET_LOAD_KEYS.items()}
    return {**defaults, **words}


def program(tmp_path, function):
    return XdpProgram(tmp_path / "test.py", "test", function)


def refusal(function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        return error.errno
    return 0


def results(nic):
    found = {}
    for line in nic.show_results().splitlines():
        name, *words = line.split()
        if len(words) == 1:
            found[name] = int(words[0])
    return found


def check_nothing_vanished(nic):
    found = results(nic)
    gone = sum(count for name, count in found.items() if name.startswith("dropped_"))
    there = found["delivered"] + gone + found.get("xdp_tx", 0) + found["in_flight"]
    assert found["offered"] == there
    if "tx_offered" in found:
        lost = sum(count for name, count in found.items() if name.startswith("tx_dropped_"))
        assert found["tx_offered"] == found["tx_sent"] + lost + found["tx_in_flight"]
        assert found["tx_offered"] == found.get("xdp_tx", 0)
    return found


@pytest.fixture
def card(plug):
    card = plug(Nic, "eth0", style="mlx5", queues=2)
    card.set_load(load(rate=100_000.0, flows=16, size=256))
    return card


def test_frames_that_it_drops_are_not_delivered_and_have_a_name(pc, card, tmp_path):
    card.xdp.attach(program(tmp_path, lambda frame: XDP_DROP if frame.hash & 1 else XDP_PASS))
    run_for(pc, 100 * MS)
    found = check_nothing_vanished(card)
    assert found["offered"] == pytest.approx(10_000, rel=0.05)
    assert found["dropped_xdp_drop"] + found["delivered"] == pytest.approx(10_000, rel=0.05)
    assert min(found["dropped_xdp_drop"], found["delivered"]) > 1_000
    assert card.received().packets == found["delivered"]
    assert card.received().bytes == found["delivered"] * 256


def test_only_queues_with_a_program_go_the_long_way_and_only_as_long_as_they_have_it(
    pc, plug, card, tmp_path
):
    run_for(pc, 5 * MS)  # vectors have moved to where the driver wants them
    other = plug(Nic, "eth1", style="igb", bdf="00:04.0")
    before = [type(desc.fast_counts).__name__ for _, desc in card.sources + other.sources]
    assert before == ["FedGate", "FedGate", "CountedGate"]
    card.xdp.attach(program(tmp_path, lambda frame: XDP_PASS))
    long = [type(desc.fast_counts).__name__ for _, desc in card.sources + other.sources]
    assert long == ["EdgeGate", "EdgeGate", "CountedGate"]
    card.xdp.detach()
    after = [type(desc.fast_counts).__name__ for _, desc in card.sources + other.sources]
    assert after == before


def test_program_sees_queue_cpu_length_flow_hash_and_time(pc, card, tmp_path):
    seen = []

    def look(frame: XdpFrame) -> int:
        seen.append(frame)
        return XDP_PASS

    card.xdp.attach(program(tmp_path, look))
    run_for(pc, MS)
    seen.clear()  # vectors have moved to where the driver wants them
    run_for(pc, 10 * MS)
    assert {frame.queue for frame in seen} == {0, 1}
    assert {frame.length for frame in seen} == {256}
    for frame in seen:
        assert card.queue_of(frame.flow) is card.queues[frame.queue]
        assert card.ethtool.flow_hash(frame.flow) == frame.hash
        assert frame.flow in card.load.flows
        assert frame.cpu == card.sources[frame.queue][1].effective_affinity.bit_length() - 1
    for queue in (0, 1):
        times = [frame.time_ns for frame in seen if frame.queue == queue]
        assert times == sorted(times)
    assert {frame.flow for frame in seen} == set(card.load.flows)


@pytest.mark.parametrize("style", STYLES)
def test_softirqs_take_the_time_of_each_run_and_of_each_packet_that_is_made(
    pc, plug, tmp_path, style
):
    card = plug(Nic, "eth0", style=style, rate="20 kHz")
    card.xdp.attach(program(tmp_path, lambda frame: frame.time_ns // 1_000 % 2 + 1))
    run_for(pc, 50 * MS)
    pc.fold_counts()
    counts, cost = card.xdp.totals(), pc.kernel.cost
    frames = counts["pass"] + counts["drop"]
    assert frames == sum(queue.packets for queue in card.rings) > 900
    made = counts["pass"] if style in XDP_OPS else frames
    polls = sum(this.softirq_counts[3] for this in pc.kernel.cpus)
    spent_ns = sum(this.softirq_ns for this in pc.kernel.cpus)
    expected_ns = polls * cost.softirq_ns + frames * cost.xdp_ns + made * cost.softirq_item_ns
    others_ns = sum(n for this in pc.kernel.cpus for n in this.softirq_counts) - polls
    assert expected_ns <= spent_ns <= expected_ns + others_ns * 2_000
    assert sum(this.rx_packets for this in pc.kernel.cpus) == made


def test_cpu_that_polls_4_million_frames_a_second_drops_9_million_of_them(pc, plug, tmp_path):
    card = plug(Nic, "eth0", style="mlx5")
    card.set_load(load(rate=9_000_000.0))
    run_for(pc, 5 * MS)
    assert check_nothing_vanished(card)["dropped_rx_missed_errors"] > 20_000
    card.xdp.attach(program(tmp_path, lambda frame: XDP_DROP))
    run_for(pc, MS)
    before = check_nothing_vanished(card), sum(this.softirq_ns for this in pc.kernel.cpus)
    run_for(pc, 10 * MS)
    after = check_nothing_vanished(card), sum(this.softirq_ns for this in pc.kernel.cpus)
    grown = {name: after[0][name] - before[0][name] for name in before[0]}
    assert grown["dropped_rx_missed_errors"] == 0
    assert grown["dropped_xdp_drop"] == pytest.approx(90_000, rel=0.02)
    assert after[1] - before[1] == pytest.approx(4 * MS, rel=0.3)


@pytest.mark.parametrize("style", ["mlx5", "igb"])
def test_only_some_drivers_count_dropped_frames_as_received(pc, plug, tmp_path, style):
    card = plug(Nic, "eth0", style=style, rate="20 kHz")
    card.xdp.attach(program(tmp_path, lambda frame: XDP_DROP))
    run_for(pc, 20 * MS)
    pc.fold_counts()
    assert (card.received().packets > 300) == (style == "igb")
    assert results(card)["delivered"] == 0


@pytest.mark.parametrize("answer", [7, -1, None, "drop", True, 2.0, XDP_REDIRECT])
def test_other_answers_abort_and_the_log_says_it_once(pc, card, tmp_path, answer):
    card.xdp.attach(program(tmp_path, lambda frame: answer))
    run_for(pc, 5 * MS)
    assert check_nothing_vanished(card)["dropped_xdp_aborted"] > 300
    said = [str(record) for record in pc.kernel.log if "expect packet loss" in str(record)]
    assert len(said) == (0 if answer is XDP_REDIRECT else 1)
    assert all("on prog test (id 1) dev eth0" in line for line in said)


@pytest.mark.parametrize("style", STYLES)
def test_frames_go_back_out_of_the_card_and_are_polled_out_of_its_ring(pc, plug, tmp_path, style):
    card = plug(Nic, "eth0", style=style, queues=2 if style != "e1000e" else 1)
    card.set_load(load(rate=50_000.0, flows=16))
    card.xdp.attach(program(tmp_path, lambda frame: XDP_TX if frame.hash & 1 else XDP_PASS))
    run_for(pc, 50 * MS)
    found = check_nothing_vanished(card)
    assert min(found["xdp_tx"], found["delivered"]) > 500
    card.set_load(None)
    run_for(pc, 5 * MS)
    found = check_nothing_vanished(card)
    assert found["tx_sent"] == found["xdp_tx"]
    assert card.transmitted().packets == found["tx_sent"]


def test_frames_that_find_the_transmit_ring_full_are_counted_and_dropped(pc, plug, tmp_path):
    card = plug(Nic, "eth0", style="igb")
    card.set_load(load(rate=3_000_000.0, size=1500))  # of 1 Gbit/s
    card.xdp.attach(program(tmp_path, lambda frame: XDP_TX))
    run_for(pc, 20 * MS)
    found = check_nothing_vanished(card)
    assert found["tx_dropped_xdp_full"] == card.xdp.totals()["tx_full"] > 1_000
    assert found["tx_sent"] == pytest.approx(20 * 81, rel=0.05)


def test_frame_that_is_sent_back_takes_the_time_of_a_run_more(pc, plug, tmp_path):
    card = plug(Nic, "eth0", style="mlx5")
    card.xdp.attach(program(tmp_path, lambda frame: XDP_TX))
    passed = card.xdp.queues[card.queues[0]].run(pc.kernel.cpus[0], 3, 1_000)
    assert (passed.packets, passed.end_ns) == (0, 1_000 + 6 * pc.kernel.cost.xdp_ns)


def test_program_that_raises_aborts_and_is_told_ten_times_at_most(pc, card, tmp_path):
    path = tmp_path / "bad.py"
    path.write_text("def bad(frame):\n    return 1 // (frame.length - 256)\n")
    card.xdp.attach(load_program("bad.py:bad", tmp_path))
    run_for(pc, 5 * MS)
    assert check_nothing_vanished(card)["dropped_xdp_aborted"] > 300
    said = [str(record) for record in pc.kernel.log if "XDP program" in str(record)]
    assert len(said) == 10
    assert said[0].endswith(
        "mlx5_core 0000:00:02.0 eth0: XDP program bad: bad.py:2: "
        "ZeroDivisionError: integer division or modulo by zero; XDP_ABORTED"
    )


def test_no_program_any_more_is_as_if_there_had_been_none(pc, card, tmp_path):
    card.xdp.attach(program(tmp_path, lambda frame: XDP_DROP))
    run_for(pc, 5 * MS)
    card.xdp.detach()
    before = check_nothing_vanished(card)
    run_for(pc, 5 * MS)
    after = check_nothing_vanished(card)
    assert after["dropped_xdp_drop"] == before["dropped_xdp_drop"]
    assert after["delivered"] > before["delivered"] + 300


@pytest.mark.parametrize("style", ["igb", "mlx5", "ice", "vmxnet3"])
def test_these_drivers_lose_what_is_in_their_rings_when_a_program_comes(plug, tmp_path, style):
    card = plug(Nic, "eth0", style=style)
    card.queues[0].scheduled = True
    card.queues[0].receive(0)
    card.xdp.attach(program(tmp_path, lambda frame: XDP_PASS))
    assert results(card)["dropped_with_ring"] == 1
    assert card.is_up


def test_new_rings_lose_what_was_to_be_sent_back(pc, plug, tmp_path):
    card = plug(Nic, "eth0", style="mlx5")
    card.xdp.attach(program(tmp_path, lambda frame: XDP_TX))
    card.queues[0].receive(pc.kernel.timeline.now_ns)
    run_for(pc, 12_000)
    card.tx.ring(0).hang(0)
    card.queues[0].receive(pc.kernel.timeline.now_ns)
    run_for(pc, 50_000)
    card.xdp.detach()
    found = check_nothing_vanished(card)
    assert found["tx_dropped_with_ring"] > 0
    assert found["tx_in_flight"] == 0


def test_igb_keeps_them_when_one_program_replaces_another(plug, tmp_path):
    card = plug(Nic, "eth0", style="igb")
    card.xdp.attach(program(tmp_path, lambda frame: XDP_PASS))
    card.queues[0].scheduled = True
    card.queues[0].receive(0)
    card.xdp.attach(program(tmp_path, lambda frame: XDP_PASS))
    assert results(card)["dropped_with_ring"] == 0


def test_virtio_and_generic_xdp_lose_nothing(plug, tmp_path):
    for slot, style in enumerate(["virtio-net", "e1000e"]):
        card = plug(Nic, f"eth{slot}", style=style, bdf=f"00:{slot + 4:02x}.0")
        card.queues[0].scheduled = True
        card.queues[0].receive(0)
        card.xdp.attach(program(tmp_path, lambda frame: XDP_PASS))
        assert results(card)["in_flight"] == 1


@pytest.mark.parametrize(
    ("style", "mtu", "expected"),
    [("igb", 3046, 0), ("igb", 3047, errno.EINVAL), ("ice", 3047, errno.EOPNOTSUPP),
     ("mlx5", 3499, errno.EINVAL), ("virtio-net", 3507, errno.EOPNOTSUPP), ("e1000e", 9000, 0)],
)  # fmt: skip
def test_mtu_has_to_leave_room_in_the_page(plug, tmp_path, style, mtu, expected):
    card = plug(Nic, "eth0", style=style)
    card.change_mtu(mtu)
    assert refusal(card.xdp.attach, program(tmp_path, lambda frame: XDP_PASS)) == expected


def test_mtu_may_not_become_too_large_under_a_program(plug, tmp_path):
    card = plug(Nic, "eth0", style="mlx5")
    card.xdp.attach(program(tmp_path, lambda frame: XDP_PASS))
    with pytest.raises(OSError, match="too large") as error:
        card.change_mtu(9000)
    assert error.value.errno == errno.EINVAL
    card.xdp.detach()
    card.change_mtu(9000)


def test_native_and_generic_programs_exclude_each_other(plug, tmp_path):
    passing = program(tmp_path, lambda frame: XDP_PASS)
    card = plug(Nic, "eth0", style="mlx5")
    card.xdp.attach(passing, "generic")
    with pytest.raises(OSError, match="same time") as error:
        card.xdp.attach(passing)
    assert error.value.errno == errno.EEXIST
    old = plug(Nic, "eth1", style="e1000e", bdf="00:04.0")
    with pytest.raises(OSError, match="native") as error:
        old.xdp.attach(passing, "native")
    assert error.value.errno == errno.EOPNOTSUPP


def test_program_goes_with_the_driver_and_comes_with_it_if_the_machine_file_says_so(
    plug, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "drop.py").write_text("def drop(frame):\n    return 1\n")
    card = plug(Nic, "eth0", style="mlx5", xdp="./drop.py:drop")
    assert card.xdp.program.name == "drop"
    card.xdp.detach()
    card.remove()
    card.attach()
    assert card.xdp.program.name == "drop"
    other = plug(Nic, "eth1", style="mlx5", bdf="00:04.0")
    other.xdp.attach(card.xdp.program)
    other.remove()
    other.attach()
    assert other.xdp.program is None


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("drop.py", errno.EINVAL, "write it like ./drop.py:drop_small"),
        ("gone.py:f", errno.ENOENT, "there is no file"),
        ("drop.py:gone", errno.EINVAL, "drop.py has no function gone"),
        ("drop.py:number", errno.EINVAL, "drop.py has no function number"),
        ("drop.py:none", errno.EINVAL, "none must take one argument, the frame"),
        ("drop.py:waits", errno.EINVAL, "waits is async, but runs in interrupt context; use def"),
        ("syntax.py:f", errno.EINVAL, "syntax.py:2: SyntaxError"),
        ("raises.py:f", errno.EINVAL, "raises.py:1: ZeroDivisionError"),
        ("exits.py:f", errno.EINVAL, "exits.py:1: SystemExit"),
    ],
)
def test_file_without_such_a_program_is_refused(tmp_path, text, code, said):
    text_of = {
        "drop.py": "number = 1\ndef none(): pass\nasync def waits(frame): pass\n",
        "syntax.py": "\ndef f(:\n",
        "raises.py": "1 // 0\n",
        "exits.py": "raise SystemExit(3)\n",
    }
    for name, content in text_of.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(OSError, match=said) as error:
        load_program(text, tmp_path)
    assert error.value.errno == code
    assert not list(tmp_path.glob("__pycache__"))


def test_file_is_read_anew_each_time(tmp_path):
    path = tmp_path / "one.py"
    path.write_text("def f(frame): return 1\n")
    assert load_program("one.py:f", tmp_path).run(None) == 1
    path.write_text("def f(frame): return 2\n")
    assert load_program("one.py:f", tmp_path).run(None) == 2


actions = st.sampled_from([0, 1, 2, 3, 4, 9, None])
steps = st.one_of(
    st.tuples(st.just("run"), st.integers(1, 400)),
    st.tuples(st.just("attach"), st.lists(actions, min_size=1, max_size=5)),
    st.tuples(st.just("detach")),
    st.tuples(st.just("load"), st.integers(0, 30), st.integers(1, 8)),
    st.tuples(st.just("wait"), st.sampled_from([0, 20, 200])),
    st.tuples(st.just("updown"), st.booleans()),
    st.tuples(st.just("ring"), st.sampled_from([64, 128])),
    st.tuples(st.just("channels"), st.integers(1, 3)),
    st.tuples(st.just("threaded"), st.booleans()),
    st.tuples(st.just("rps"), st.integers(0, 3), st.integers(0, 7)),
    st.tuples(st.just("hotplug"), st.integers(1, 2), st.booleans()),
)


class Answers:
    """A program that gives these answers in turn."""

    def __init__(self, answers):
        self._answers = cycle(answers)

    def __call__(self, _frame):
        return next(self._answers)


def do(pc, card, step):
    match step:
        case ("run", us):
            run_for(pc, us * 1_000)
        case ("attach", answers):
            card.xdp.attach(XdpProgram(None, "f", Answers(answers)))
        case ("detach",):
            card.xdp.detach()
        case ("load", hundreds_khz, flows):
            card.set_load(load(rate=hundreds_khz * 100_000.0, flows=flows))
        case ("updown", up):
            (card.open if up else card.close)()
        case ("hotplug", cpu, up) if up != pc.kernel.is_online(cpu):
            (pc.hotplug.up if up else pc.hotplug.down)(cpu)
        case _:
            tune(card, step)


def tune(card, step):
    ethtool = card.ethtool
    match step:
        case ("wait", us) if "rx-usecs" in ethtool.coalesce:
            wanted = {"adaptive-rx": 0, "adaptive-tx": 0, "rx-usecs": us}
            known = {name: wanted[name] for name in wanted if name in ethtool.coalesce}
            ethtool.set_coalescing(known)
        case ("ring", size):
            card.set_ring_size(size)
        case ("channels", count):
            if ethtool.ops.channels == "combined" and count <= ethtool.most_channels:
                card.set_channels(count)
        case ("threaded", threaded):
            card.napi.threaded = threaded
            card.napi.apply()
        case ("rps", number, mask):
            card.napi.rps_cpus[number] = mask
            card.napi.apply()


@settings(max_examples=80, deadline=None)
@given(script=st.lists(steps, max_size=20), style=st.sampled_from(STYLES))
def test_frames_are_delivered_dropped_by_name_or_in_flight_at_every_instant(script, style):
    pc = new_pc(3)
    card = plugged(pc, Nic, "eth0", style=style, queues=2, rate="5 kHz")
    for step in [*script, ("updown", True), ("run", 500)]:
        do(pc, card, step)
        found = check_nothing_vanished(card)
        assert sum(card.xdp.totals().values()) <= found["offered"]
