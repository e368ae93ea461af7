"""Each driver takes the settings of coalescing that the real one takes, and refuses the others."""

import errno

import pytest

from pseudokern.drivers.dim import RX_EQE
from pseudokern.drivers.nic import Nic
from pseudokern.drivers.rate_moderation import usecs_for
from tests.drivers.test_xdp import load, refusal
from tests.machine_parts import MS, run_for

US = 1_000
S = 1_000_000_000
STATIC = {"adaptive-rx": 0, "adaptive-tx": 0}
MLX4 = {"pkt-rate-low": 400_000, "pkt-rate-high": 450_000, "rx-usecs-low": 0, "rx-usecs-high": 128}


def said(pc):
    return [str(record) for record in pc.kernel.log]


def interrupts(pc, card):
    pc.fold_counts()
    return sum(desc.total for _, desc in card.sources)


def a_second(pc, card, ms=100):
    before = interrupts(pc, card)
    run_for(pc, ms * MS)
    return (interrupts(pc, card) - before) * 1000 // ms


@pytest.mark.parametrize("side", ["rx", "tx"])
def test_ice_keeps_usecs_as_they_are_while_it_is_adaptive(pc, plug, side):
    ethtool = plug(Nic, "eth0", style="ice").ethtool
    ethtool.set_coalescing(STATIC)
    wanted = {f"{side}-usecs": 60, f"adaptive-{side}": 1}
    assert refusal(ethtool.set_coalescing, wanted) == errno.EINVAL
    assert said(pc)[-1].endswith(
        f"ice 0000:00:02.0 eth0: {side} interrupt throttling cannot be changed "
        f"if adaptive-{side} is enabled"
    )
    assert ethtool.coalescing()[f"adaptive-{side}"] == 0
    ethtool.set_coalescing({f"adaptive-{side}": 1})
    assert refusal(ethtool.set_coalescing, {f"{side}-usecs": 60}) == errno.EINVAL
    ethtool.set_coalescing({f"{side}-usecs": 60, f"adaptive-{side}": 0})
    assert ethtool.coalescing()[f"{side}-usecs"] == 60


@pytest.mark.parametrize(("us", "expected"), [(0, 0), (3, errno.EINVAL), (4, 0), (236, 0),
                                              (237, errno.EINVAL)])  # fmt: skip
def test_ice_limits_the_rate_of_a_vector_in_the_range_of_its_register(plug, us, expected):
    ethtool = plug(Nic, "eth0", style="ice").ethtool
    ethtool.set_coalescing(STATIC)
    assert refusal(ethtool.set_coalescing, {"rx-usecs-high": us}) == expected


def test_ice_changes_that_limit_only_while_nothing_is_adaptive(plug):
    ethtool = plug(Nic, "eth0", style="ice").ethtool
    ethtool.set_coalescing({**STATIC, "adaptive-tx": 1})
    assert refusal(ethtool.set_coalescing, {"rx-usecs-high": 20}) == errno.EINVAL


def test_ice_rounds_an_odd_time_down_says_so_and_shows_what_was_written(pc, plug):
    card = plug(Nic, "eth0", style="ice", rate="400 kHz")
    card.ethtool.set_coalescing({**STATIC, "rx-usecs": 51})
    assert said(pc)[-1].endswith(
        "User set rx-usecs to 51, device only supports even values. "
        "Rounding down and attempting to set rx-usecs to 50"
    )
    assert card.ethtool.coalescing()["rx-usecs"] == 51
    assert a_second(pc, card) == pytest.approx(S // (50 * US), abs=20)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"rx-usecs": 65_535}, 0),
        ({"rx-usecs": 65_536}, errno.ERANGE),
        ({"rx-usecs-high": 65_536}, errno.ERANGE),
        ({"tx-frames": 65_536}, errno.ERANGE),
        ({"tx-frames-irq": 0}, errno.EINVAL),
        ({"rx-usecs-irq": 1}, errno.EINVAL),
        ({"adaptive-tx": 1}, errno.EINVAL),
        ({"sample-interval": 3, "pkt-rate-low": 10, "pkt-rate-high": 20}, 0),
    ],
)
def test_mlx4_has_rates_and_no_times_of_an_interrupt_that_is_served(plug, wanted, expected):
    assert refusal(plug(Nic, "eth0", style="mlx4").ethtool.set_coalescing, wanted) == expected


def test_65535_is_the_default_again_for_mlx4_which_tells_what_is_too_much(pc, plug):
    ethtool = plug(Nic, "eth0", style="mlx4").ethtool
    ethtool.set_coalescing({"rx-usecs": 65_535, "rx-frames": 65_535})
    assert ethtool.coalescing().items() >= {"rx-usecs": 16, "rx-frames": 44}.items()
    refusal(ethtool.set_coalescing, {"rx-frames": 65_536})
    assert said(pc)[-1].endswith(
        "mlx4_core 0000:00:02.0 eth0: "
        "mlx4_en_set_coalesce: maximum coalesced frames supported is 65535"
    )


@pytest.mark.parametrize(
    ("rate", "frame_bytes", "expected"),
    [
        (399_999, 1500, 0), (400_000, 1500, 0), (425_000, 1500, 64), (450_000, 1500, 128),
        (450_001, 1500, 128), (2_000_000, 256, 0), (2_000_000, 257, 128),
    ],
)  # fmt: skip
def test_mlx4_waits_the_longer_the_more_frames_come_unless_they_are_small(
    rate, frame_bytes, expected
):
    assert usecs_for(rate, frame_bytes, 1, MLX4) == expected


def test_mlx4_looks_at_the_rate_of_a_queue_only_if_that_matters():
    settings = {**MLX4, "pkt-rate-low": 0, "pkt-rate-high": 10, "rx-usecs-low": 1}
    assert usecs_for(7_812, 1500, 1, settings) == 1
    assert usecs_for(7_813, 1500, 1, settings) == 128
    assert usecs_for(7_812, 1500, 8, settings) == 128


def test_rates_that_are_one_leave_no_room_in_between():
    assert usecs_for(400_000, 1500, 1, {**MLX4, "pkt-rate-high": 400_000}) == 0
    assert usecs_for(400_001, 1500, 1, {**MLX4, "pkt-rate-high": 400_000}) == 128


def test_mlx4_begins_with_16_us_and_follows_the_rate_after_half_a_second(pc, plug):
    card = plug(Nic, "eth0", style="mlx4")
    card.set_load(load(rate=600_000.0, size=1500))
    assert a_second(pc, card) == pytest.approx(S // (17 * US), rel=0.15)
    run_for(pc, 500 * MS)
    assert a_second(pc, card) == pytest.approx(S // (75 * US), rel=0.15)  # 44 frames come first
    card.ethtool.set_coalescing({"rx-frames": 0})
    card.set_load(load(rate=300_000.0, size=1500))
    run_for(pc, 500 * MS)
    assert a_second(pc, card) > 150_000


def test_small_frames_do_not_wait_on_mlx4(pc, plug):
    card = plug(Nic, "eth0", style="mlx4")
    card.set_load(load(rate=600_000.0, size=64))
    run_for(pc, 600 * MS)
    assert a_second(pc, card) > 200_000


def test_mlx4_waits_for_the_sample_interval_in_seconds(pc, plug):
    card = plug(Nic, "eth0", style="mlx4")
    card.ethtool.set_coalescing({"sample-interval": 2, "rx-frames": 0})
    card.set_load(load(rate=600_000.0, size=1500))
    run_for(pc, 2_300 * MS)  # what it has measured by then began long ago
    assert a_second(pc, card) > 200_000
    run_for(pc, 2_000 * MS)
    assert a_second(pc, card) == pytest.approx(7_000, rel=0.1)


def test_mlx4_that_is_not_adaptive_does_what_it_is_told_and_nothing_else(pc, plug):
    card = plug(Nic, "eth0", style="mlx4", queues=2)
    card.ethtool.set_coalescing({"adaptive-rx": 0, "rx-usecs": 50, "rx-frames": 0})
    run_for(pc, S)
    before = pc.kernel.timeline.events
    run_for(pc, 2 * S)
    assert pc.kernel.timeline.events == before
    card.set_load(load(rate=400_000.0, size=1500))
    assert a_second(pc, card) == pytest.approx(19_000, rel=0.05)


def test_mlx4_is_adaptive_again_after_it_was_down(pc, plug):
    card = plug(Nic, "eth0", style="mlx4")
    card.ethtool.set_coalescing({"rx-frames": 0})
    card.set_load(load(rate=600_000.0, size=1500))
    card.close()
    run_for(pc, S)
    card.open()
    run_for(pc, S)
    assert a_second(pc, card) == pytest.approx(7_000, rel=0.1)


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ({"rx-usecs": 65_546}, {"rx-usecs": 10}),
        ({"rx-frames": 32_769}, {"rx-frames": 1}),
        ({"tx-frames": 32_769}, {"tx-frames": 32_769}),
        ({"rx-usecs-irq": 7, "rx-frames-irq": 9}, {"rx-usecs-irq": 7, "rx-frames-irq": 9}),
        ({"stats-block-usecs": 600_000}, {"stats-block-usecs": 500_000}),
        ({"stats-block-usecs": 1}, {"stats-block-usecs": 250_000}),
        ({"stats-block-usecs": 9_000_000}, {"stats-block-usecs": 1_000_000}),
        ({"stats-block-usecs": 0}, {"stats-block-usecs": 0}),
    ],
)
def test_bnxt_refuses_no_number_and_shows_what_it_made_of_it(plug, wanted, shown):
    ethtool = plug(Nic, "eth0", style="bnxt").ethtool
    ethtool.set_coalescing(wanted)
    assert shown.items() <= ethtool.coalescing().items()


def test_bnxt_card_has_no_timers_that_every_frame_begins_anew(plug):
    ethtool = plug(Nic, "eth0", style="bnxt").ethtool
    assert refusal(ethtool.set_coalescing, {"cqe-mode-rx": 1}) == errno.EOPNOTSUPP
    assert ethtool.coalescing()["cqe-mode-rx"] == 0


def test_bnxt_looks_at_nothing_else_when_it_stops_to_be_adaptive(plug):
    ethtool = plug(Nic, "eth0", style="bnxt").ethtool
    ethtool.set_coalescing({"adaptive-rx": 1})
    ethtool.set_coalescing({"adaptive-rx": 0, "rx-usecs": 99})
    assert ethtool.coalescing().items() >= {"adaptive-rx": 0, "rx-usecs": 10}.items()


def test_bnxt_takes_its_interrupts_anew_for_another_period_of_statistics(plug):
    card = plug(Nic, "eth0", style="bnxt")
    card.queues[0].scheduled = True
    card.queues[0].receive(0)
    card.ethtool.set_coalescing({"rx-usecs": 20})
    assert card.received().discarded == 0
    card.ethtool.set_coalescing({"stats-block-usecs": 500_000})
    assert card.received().discarded == 1
    assert card.is_up


def test_bnxt_waits_for_10_us_or_15_frames_and_half_of_that_from_one_interrupt_to_the_next(
    pc, plug
):
    card = plug(Nic, "eth0", style="bnxt")
    card.set_load(load(rate=100_000.0))
    assert a_second(pc, card) == pytest.approx(S // (20 * US), rel=0.05)
    card.set_load(load(rate=2_000_000.0))
    assert a_second(pc, card) == pytest.approx(2_000_000 // 15, rel=0.1)
    card.ethtool.set_coalescing({"rx-usecs": 100, "rx-frames": 1})
    assert a_second(pc, card) == pytest.approx(S // (50 * US), rel=0.1)


def test_frames_that_come_while_bnxt_is_polled_wait_for_rx_usecs_irq_or_frames_irq(pc, plug):
    card = plug(Nic, "eth0", style="bnxt")
    card.ethtool.set_coalescing({"rx-usecs": 0, "rx-usecs-irq": 20, "rx-frames-irq": 4})
    queue, now_ns = card.queues[0], pc.kernel.timeline.now_ns
    feed = card.feed(0)
    feed.begin(iter([[now_ns + n * US for n in (1, 10, 11, 12, 13, 30, 31)]]))
    queue.scheduled = True
    run_for(pc, 5 * US)
    assert queue.poll(64) == 0  # it came after the poll began, too
    run_for(pc, 7 * US)
    assert queue.poll(64) == 4  # with the third of those that came after 10 us
    run_for(pc, 20 * US)
    assert queue.poll(64) == 0
    run_for(pc, 2 * US)
    assert queue.poll(64) == 3  # 20 us after the fifth


def test_what_is_not_written_when_the_poll_ends_interrupts_afterwards(pc, plug):
    card = plug(Nic, "eth0", style="bnxt")
    card.ethtool.set_coalescing({"rx-usecs": 10, "rx-usecs-irq": 1000, "rx-frames-irq": 30})
    queue, now_ns = card.queues[0], pc.kernel.timeline.now_ns
    card.feed(0).begin(iter([[now_ns + US, now_ns + 2 * US]]))
    queue.scheduled = True
    run_for(pc, 5 * US)
    assert queue.poll(64) == 0
    queue.scheduled = False
    assert interrupts(pc, card) == 0
    run_for(pc, 7 * US)
    assert interrupts(pc, card) == 1
    run_for(pc, 10 * US)
    pc.fold_counts()
    assert queue.packets == 2


def test_thread_that_polls_lets_bnxt_interrupt_if_frames_wait_while_it_is_served(pc, plug):
    card = plug(Nic, "eth0", style="bnxt")
    card.napi.threaded = True
    card.napi.apply()
    card.set_load(load(rate=3_000_000.0))
    run_for(pc, 20 * MS)
    before = a_second(pc, card)
    card.ethtool.set_coalescing({"rx-usecs-irq": 60, "rx-frames-irq": 31})
    assert a_second(pc, card) > 3 * before


def test_adaptive_bnxt_never_waits_for_more_frames_than_a_poll_takes(plug):
    card = plug(Nic, "eth0", style="bnxt")
    card.ethtool.set_coalescing({"adaptive-rx": 1})
    profile = card.ethtool._moderations[0, False].adaptive.profile
    assert profile == [(us, 64) for us, _ in RX_EQE]


@pytest.mark.parametrize(
    ("style", "names"),
    [
        ("mlx4", ["mlx4-async@pci:0000:00:02.0", "mlx4-1@0000:00:02.0", "mlx4-2@0000:00:02.0"]),
        ("bnxt", ["eth0-TxRx-0", "eth0-TxRx-1"]),
    ],
)
def test_vectors_have_the_names_of_the_driver(pc, plug, style, names):
    card = plug(Nic, "eth0", style=style, queues=2)
    assert [pc.irqs[irq].actions[0].name for irq in sorted(card.function.irqs)] == names


def test_mlx4_has_as_many_entries_for_hashes_as_a_power_of_two_of_queues(plug):
    card = plug(Nic, "eth0", style="mlx4", queues=3)
    assert card.ethtool.rss.table == [0, 1]


def test_mlx4_counts_receive_and_transmit_queues_and_keeps_its_vectors(pc, plug):
    card = plug(Nic, "eth0", style="mlx4", queues=4)
    before = sorted(card.function.irqs)
    card.ethtool.set_channels({"rx": 2, "tx": 2})
    assert card.ethtool.channels().items() >= {"rx": 2, "tx": 2, "rx-max": 4, "tx-max": 4}.items()
    assert sorted(card.function.irqs) == before
    for wanted in ({"combined": 2}, {"rx": 5, "tx": 5}, {"rx": 1}, {"rx": 0, "tx": 0}):
        assert refusal(card.ethtool.set_channels, wanted) == errno.EINVAL


def test_tx_frames_irq_is_what_a_poll_of_mlx4_cleans(pc, plug):
    card = plug(Nic, "eth0", style="mlx4")
    card.ethtool.set_coalescing({"tx-usecs": 1000, "tx-frames": 0, "tx-frames-irq": 10})
    card.tx.xdp_xmit(0, [64] * 50, pc.kernel.timeline.now_ns)
    run_for(pc, 500 * US)
    assert card.tx.ring(0).in_flight == 50
    card.tx._cleaners[0].clean(card.queues[0])
    assert card.tx.ring(0).in_flight == 40


def test_poll_of_bnxt_finds_what_has_left_after_tx_usecs_irq_or_by_frames_irq(pc, plug):
    card = plug(Nic, "eth0", style="bnxt")
    card.ethtool.set_coalescing(
        {"tx-usecs": 500, "tx-frames": 0, "tx-usecs-irq": 20, "tx-frames-irq": 3}
    )
    ring, queue = card.tx.ring(0), card.queues[0]
    card.tx.xdp_xmit(0, [64], pc.kernel.timeline.now_ns)
    run_for(pc, 10 * US)
    queue.poll(64)
    assert ring.in_flight == 1
    card.tx.xdp_xmit(0, [64] * 2, pc.kernel.timeline.now_ns)
    run_for(pc, 5 * US)
    queue.poll(64)
    assert ring.in_flight == 0  # the third
    card.tx.xdp_xmit(0, [64], pc.kernel.timeline.now_ns)
    run_for(pc, 10 * US)
    queue.poll(64)
    assert ring.in_flight == 1
    run_for(pc, 15 * US)
    queue.poll(64)
    assert ring.in_flight == 0  # 20 us after it had left
    card.tx.xdp_xmit(0, [64], pc.kernel.timeline.now_ns)
    before = interrupts(pc, card)
    run_for(pc, 510 * US)
    assert interrupts(pc, card) == before + 1
    assert ring.in_flight == 0
