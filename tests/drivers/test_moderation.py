"""A queue waits with its interrupt for time or frames, whichever comes first."""

import pytest

from pseudokern.drivers.dim import RX_EQE, Dim, Rates
from pseudokern.drivers.itr import AdaptiveItr
from pseudokern.drivers.nic import Nic
from tests.drivers.plugging import at_once
from tests.machine_parts import MS, run_for

US = 1_000


def interrupts(pc, name):
    pc.fold_counts()
    return sum(d.total for d in pc.irqs for action in d.actions if action.name == name)


def frame(pc, nic, after_ns=0):
    run_for(pc, after_ns)
    nic.queues[0].receive(pc.kernel.timeline.now_ns)


@pytest.fixture
def mlx5(plug):
    return at_once(plug(Nic, "eth0", style="mlx5"))


def rows(pc):
    return interrupts(pc, "mlx5_comp0@pci:0000:00:02.0")


def test_frame_interrupts_at_once_if_it_shall_not_wait(pc, mlx5):
    frame(pc, mlx5)
    assert rows(pc) == 1


def test_50_us_pass_from_the_first_frame_to_the_interrupt(pc, mlx5):
    mlx5.ethtool.set_coalescing({"rx-usecs": 50, "rx-frames": 64})
    frame(pc, mlx5)
    frame(pc, mlx5, 20 * US)
    run_for(pc, 29 * US)
    assert rows(pc) == 0
    run_for(pc, 2 * US)
    assert rows(pc) == 1
    pc.fold_counts()
    run_for(pc, 10 * US)
    assert mlx5.received().packets == 2


def test_fourth_of_four_frames_does_not_wait_for_the_time(pc, mlx5):
    mlx5.ethtool.set_coalescing({"rx-usecs": 50, "rx-frames": 4})
    for _ in range(3):
        frame(pc, mlx5)
    run_for(pc, US)
    assert rows(pc) == 0
    frame(pc, mlx5)
    assert rows(pc) == 1
    run_for(pc, 100 * US)
    assert rows(pc) == 1


def test_intel_card_keeps_100_us_from_one_interrupt_to_the_next(pc, plug):
    igb = plug(Nic, "eth0", style="igb")
    igb.ethtool.set_coalescing({"rx-usecs": 100})
    frame(pc, igb, MS)
    assert interrupts(pc, "eth0-TxRx-0") == 1
    frame(pc, igb, 60 * US)
    run_for(pc, 39 * US)
    assert interrupts(pc, "eth0-TxRx-0") == 1
    run_for(pc, 2 * US)
    assert interrupts(pc, "eth0-TxRx-0") == 2


def test_a_card_that_waits_no_more_is_as_if_it_never_had(pc, plug):
    one = at_once(plug(Nic, "eth0", style="mlx5", rate="50 kHz"))
    one.ethtool.set_coalescing({"rx-usecs": 50, "rx-frames": 64})
    one.ethtool.set_coalescing({"rx-usecs": 0, "rx-frames": 1})
    run_for(pc, 20 * MS)
    assert interrupts(pc, "mlx5_comp0@pci:0000:00:02.0") == pytest.approx(1_000, rel=0.15)
    queue, (message, _) = one.queues[0], one.sources[0]
    assert queue.trigger is message.trigger


@pytest.mark.parametrize(("us", "expected_hz"), [(10, 66_000), (50, 18_200), (250, 3_940)])
def test_rate_of_interrupts_falls_to_one_for_each_wait(pc, plug, us, expected_hz):
    card = at_once(plug(Nic, "eth0", style="mlx5", rate="200 kHz"))
    card.ethtool.set_coalescing({"rx-usecs": us, "rx-frames": 0})
    run_for(pc, 200 * MS)
    assert rows(pc) * 5 == pytest.approx(expected_hz, rel=0.06)
    pc.fold_counts()
    assert card.received().packets * 5 == pytest.approx(200_000, rel=0.05)


def test_moderation_stays_when_the_interface_goes_down_and_up(pc, plug):
    card = at_once(plug(Nic, "eth0", style="mlx5", rate="200 kHz"))
    card.ethtool.set_coalescing({"rx-usecs": 100, "rx-frames": 0})
    card.close()
    card.open()
    run_for(pc, 100 * MS)
    assert rows(pc) * 10 == pytest.approx(9_500, rel=0.06)


@pytest.mark.parametrize(
    ("style", "us"), [("mlx5", 8), ("ice", 8), ("igb", 50), ("e1000e", 50), ("virtio-net", 0)]
)
def test_a_card_that_nobody_has_set_waits_as_its_driver_has_it_begin(pc, plug, style, us):
    card = plug(Nic, "eth0", style=style)
    assert sum(moderation.waiting.us for moderation in card.ethtool._moderations.values()) == us


def test_adaptive_moderation_waits_longer_under_load_than_without(pc, plug):
    busy = plug(Nic, "eth0", style="mlx5", rate="400 kHz")
    busy.ethtool.set_coalescing({"adaptive-rx": 1})
    run_for(pc, 500 * MS)
    assert rows(pc) < 100_000  # of 200,000 frames


def test_dynamic_itr_gives_few_small_frames_70_000_interrupts_a_second():
    itr = AdaptiveItr(conservative=False)
    itr.interrupted(2, 200)
    assert (itr.latency, itr.rate_hz) == ("lowest", 37_500)
    itr.interrupted(2, 200)
    itr.interrupted(2, 200)
    assert itr.rate_hz == 70_000


def test_conservative_itr_stays_at_20_000():
    itr = AdaptiveItr(conservative=True)
    for _ in range(5):
        itr.interrupted(2, 200)
    assert (itr.latency, itr.rate_hz) == ("lowest", 20_000)


def test_bulk_is_4_000_at_once():
    itr = AdaptiveItr(conservative=False)
    itr.interrupted(20, 30_000)
    assert (itr.latency, itr.rate_hz) == ("bulk", 4_000)
    itr.interrupted(0, 0)
    assert itr.latency == "bulk"
    itr.interrupted(3, 5_999)
    assert itr.latency == "low"


def test_dim_goes_on_as_long_as_more_bytes_move():
    dim = Dim(RX_EQE)
    assert dim.decide(Rates(1_000, 10, 10))
    assert (dim.index, dim.state) == (1, "right")
    assert dim.decide(Rates(1_200, 10, 10))
    assert dim.index == 2
    # Worse: it turns around.
    assert dim.decide(Rates(1_000, 10, 10))
    assert (dim.index, dim.state) == (1, "left")


def test_dim_parks_when_the_step_back_made_it_worse_again():
    dim = Dim(RX_EQE)
    for size in (1_000, 1_200, 1_500, 1_200):
        dim.decide(Rates(size, 10, 10))
    assert (dim.index, dim.state) == (2, "left")
    dim.decide(Rates(1_000, 10, 10))
    assert (dim.index, dim.state) == (3, "right")


def test_a_tenth_more_is_not_significant_and_fewer_interrupts_decide():
    dim = Dim(RX_EQE)
    dim.decide(Rates(1_000, 1_000, 100))
    dim.decide(Rates(1_109, 1_109, 80))
    assert (dim.index, dim.state) == (2, "right")


def test_dim_parks_at_the_edge():
    dim = Dim(RX_EQE)
    size = 1_000
    for _ in range(5):
        size = size * 2
        dim.decide(Rates(size, 10, 10))
    assert (dim.index, dim.state) == (4, "on top")
    assert dim.moderation == (256, 256)


@pytest.mark.parametrize("usecs", [0, 20, 200])
def test_a_frame_that_waits_interrupts_when_the_wait_is_changed(pc, mlx5, usecs):
    mlx5.ethtool.set_coalescing({"rx-usecs": 50, "rx-frames": 64})
    frame(pc, mlx5)
    run_for(pc, 10 * US)
    assert rows(pc) == 0
    mlx5.ethtool.set_coalescing({"rx-usecs": usecs})
    run_for(pc, US)
    assert rows(pc) == 1
    pc.fold_counts()
    run_for(pc, 10 * US)
    assert mlx5.received().packets == 1
