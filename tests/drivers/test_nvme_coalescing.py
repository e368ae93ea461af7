"""Feature 08h: interrupts fall with the threshold, and latency rises to the time."""

import pytest

from pseudokern.drivers.keys import Limits
from pseudokern.drivers.load import parse_load
from pseudokern.drivers.nvme import Nvme
from pseudokern.hw.nvme_features import (
    COALESCING_DISABLE,
    INTERRUPT_COALESCING,
    INTERRUPT_VECTOR_CONFIGURATION,
    NUMBER_OF_QUEUES,
    FeatureError,
)
from tests.drivers.plugging import plugged
from tests.machine_parts import new_pc, run_for

MS = 1_000_000
US = 1_000
RUN_MS = 200


def coalesce(nvme, completions, time_100us):
    nvme.features.set(INTERRUPT_COALESCING, time_100us << 8 | completions - 1)


def begin(nvme, text):
    nvme.set_load(parse_load(text, nvme.load_keys(), Limits(cpus=4, nodes=1, gsis=24)))


def measure(completions, time_100us, load="rate=40kHz cpus=0"):
    """Interrupts a second, and mean latency in us, of one queue with that coalescing."""
    pc = new_pc(4)
    nvme = plugged(pc, Nvme, "nvme0", queues=4)
    coalesce(nvme, completions, time_100us)
    begin(nvme, load)
    run_for(pc, RUN_MS * MS)
    total = sum(desc.total for desc in pc.irqs if desc.actions)
    return total * 1000 / RUN_MS, nvme.io.totals.latency.mean_ns / US


def test_interrupt_rate_falls_as_one_through_the_threshold():
    # At 40,000 I/Os a second 16 of them come in 400 us, long before 25 ms are over.
    rates = [measure(completions, 250)[0] for completions in (1, 2, 4, 8, 16)]
    assert rates[0] == pytest.approx(40_000, rel=0.05)
    for completions, rate in zip((2, 4, 8, 16), rates[1:], strict=True):
        assert rate == pytest.approx(40_000 / completions, rel=0.05)


def test_latency_rises_to_half_the_time_that_the_threshold_takes():
    # The first of n completions waits for n - 1 others, which come every 25 us; the last for none.
    plain = measure(1, 0)[1]
    for completions in (4, 16):
        waited = measure(completions, 250)[1] - plain
        assert waited == pytest.approx((completions - 1) * 25 / 2, rel=0.1)


def test_latency_of_a_lone_io_rises_to_the_time():
    plain = measure(8, 0, "depth=1 cpus=0")[1]
    waits = [measure(8, time, "depth=1 cpus=0")[1] - plain for time in (1, 2, 5, 10)]
    assert waits == pytest.approx([100, 200, 500, 1000], rel=0.02)


def test_interrupt_rate_falls_to_one_in_the_time_and_no_further():
    # 256 completions never come within 100 us, so each interrupt follows its first one by that:
    # 25 us until it comes, and 100 us of waiting.
    rate, _ = measure(256, 1)
    assert rate == pytest.approx(1_000_000 / 125, rel=0.05)


@pytest.mark.parametrize(("completions", "time_100us"), [(1, 10), (16, 0)])
def test_threshold_of_one_or_time_of_0_coalesces_nothing(completions, time_100us):
    assert measure(completions, time_100us) == measure(1, 0)


def test_vector_with_its_coalescing_disabled_interrupts_for_each_completion():
    pc = new_pc(4)
    nvme = plugged(pc, Nvme, "nvme0", queues=4)
    coalesce(nvme, 8, 250)
    nvme.features.set(INTERRUPT_VECTOR_CONFIGURATION, COALESCING_DISABLE | 2)
    begin(nvme, "rate=80kHz cpus=0-1")
    run_for(pc, 100 * MS)
    by_name = {desc.actions[0].name: desc.total for desc in pc.irqs if desc.actions}
    assert by_name["nvme0q2"] == pytest.approx(8 * by_name["nvme0q1"], rel=0.1)


def test_completions_that_wait_are_told_of_when_coalescing_ends():
    pc = new_pc(4)
    nvme = plugged(pc, Nvme, "nvme0", queues=4)
    coalesce(nvme, 256, 255)
    begin(nvme, "depth=8 cpus=0")
    run_for(pc, 5 * MS)
    assert nvme.io.totals.completed == 0
    coalesce(nvme, 1, 0)
    assert nvme.io.totals.completed == 8


def test_reset_controller_coalesces_nothing():
    pc = new_pc(4)
    nvme = plugged(pc, Nvme, "nvme0", queues=4)
    coalesce(nvme, 8, 10)
    assert nvme.features.get(INTERRUPT_COALESCING) == 0x0A07
    assert nvme.features.get(INTERRUPT_COALESCING, default=True) == 0
    nvme.remove()
    nvme.attach()
    assert nvme.features.get(INTERRUPT_COALESCING) == 0


def test_admin_vector_is_never_coalesced():
    pc = new_pc(4)
    features = plugged(pc, Nvme, "nvme0", queues=4).features
    assert features.get(INTERRUPT_VECTOR_CONFIGURATION, 0) == COALESCING_DISABLE
    assert features.get(INTERRUPT_VECTOR_CONFIGURATION, 1) == 1
    with pytest.raises(FeatureError, match="admin"):
        features.set(INTERRUPT_VECTOR_CONFIGURATION, 0)
    with pytest.raises(FeatureError, match="vector 5"):
        features.get(INTERRUPT_VECTOR_CONFIGURATION, 5)


def test_number_of_queues_is_told_and_fixed():
    pc = new_pc(4)
    features = plugged(pc, Nvme, "nvme0", queues=4).features
    assert features.get(NUMBER_OF_QUEUES) == 0x00030003
    with pytest.raises(FeatureError, match="have been made"):
        features.set(NUMBER_OF_QUEUES, 0)
