"""I/Os go to the queue of their CPU, end where Linux ends them, and none is lost unseen."""

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pseudokern.drivers.ahci import Ahci
from pseudokern.drivers.keys import Limits
from pseudokern.drivers.load import parse_load
from pseudokern.drivers.nvme import Nvme
from pseudokern.irq.manage import irq_set_affinity
from pseudokern.kernel.softirq import Softirq
from tests.drivers.plugging import plugged
from tests.machine_parts import new_pc, run_for

MS = 1_000_000
LIMITS = Limits(cpus=4, nodes=1, gsis=24)


def begin(device, text):
    device.set_load(parse_load(text, device.load_keys(), LIMITS))


def results(device):
    return {line.split()[0]: float(line.split()[1]) for line in device.show_results().splitlines()}


def interrupts(pc, name):
    (desc,) = [d for d in pc.irqs for action in d.actions if action.name == name]
    return desc.total


def blocks(pc):
    return sum(this.softirq_counts[Softirq.BLOCK] for this in pc.kernel.cpus)


@pytest.fixture
def nvme(pc):
    return plugged(pc, Nvme, "nvme0", queues=4)


def test_each_cpu_uses_the_queue_of_its_own_interrupt(pc, nvme):
    begin(nvme, "depth=4 cpus=1,3")
    run_for(pc, 10 * MS)
    counts = [interrupts(pc, f"nvme0q{number}") for number in range(5)]
    assert counts[0] == counts[1] == counts[3] == 0
    assert counts[2] > 100
    assert counts[4] > 100


def test_closed_loop_keeps_its_depth_on_each_cpu(pc, nvme):
    begin(nvme, "depth=8 cpus=0-2")
    run_for(pc, 10 * MS)
    assert nvme.io.get().disk.busy <= 24
    # 8 on each of 3 CPUs, each 80 us + 1 us for the data + about 4 us at the host
    assert results(nvme)["completed"] == pytest.approx(24 * 10_000 / 85, rel=0.1)


def test_open_loop_has_its_rate(pc, nvme):
    begin(nvme, "rate=100kHz")
    run_for(pc, 100 * MS)
    assert results(nvme)["offered"] == pytest.approx(10_000, rel=0.05)
    begin(nvme, "rate=10kHz arrivals=constant")
    before = results(nvme)["offered"]
    run_for(pc, 100 * MS)
    assert results(nvme)["offered"] - before == 1000


def test_load_ends_at_its_time(pc, nvme):
    begin(nvme, "depth=4 until=5ms")
    run_for(pc, 4 * MS)
    assert nvme.show_load() != "off\n"
    run_for(pc, 2 * MS)
    assert nvme.show_load() == "off\n"
    counts = results(nvme)
    assert counts["in_flight"] == 0
    run_for(pc, 5 * MS)
    assert results(nvme) == counts


def test_requests_beyond_the_tags_wait(pc, nvme):
    begin(nvme, "depth=2000 cpus=0")
    assert results(nvme)["in_flight"] == 1023
    assert results(nvme)["waiting"] == 977
    run_for(pc, 10 * MS)
    assert results(nvme)["completed"] > 10_000


def test_write_is_faster_than_a_read(pc, nvme):
    begin(nvme, "depth=1 read=100%")
    run_for(pc, 20 * MS)
    reads = nvme.io.totals.latency.percentile_ns(50)
    begin(nvme, "depth=1 read=0%")
    run_for(pc, 100 * MS)
    assert nvme.io.totals.latency.percentile_ns(50) < reads / 2


def test_one_interrupt_ends_all_that_waits_for_it(pc):
    nvme = plugged(pc, Nvme, "nvme0", queues=1, read_time="10 us")
    begin(nvme, "depth=256")
    run_for(pc, 10 * MS)
    assert interrupts(pc, "nvme0q1") < results(nvme)["completed"] / 2


def test_completion_on_the_submitter_raises_no_block(pc, nvme):
    begin(nvme, "depth=4")
    run_for(pc, 10 * MS)
    assert results(nvme)["completed"] > 1000
    assert blocks(pc) == 0
    assert sum(this.counts.call_function for this in pc.kernel.cpus) == 0


@pytest.mark.parametrize(
    ("rq_affinity", "share", "redirected"),
    [(0, False, False), (1, True, False), (1, False, True), (2, True, True)],
)
def test_rq_affinity_says_whether_the_submitter_completes(pc, rq_affinity, share, redirected):
    pc.kernel.share_cache = lambda _one, _other: share
    nvme = plugged(pc, Nvme, "nvme0", queues=1)
    disk = nvme.io.get().disk
    disk.queues.append(disk.queues[0])  # so that it is no drive with one queue
    disk.rq_affinity = rq_affinity
    (desc,) = [d for d in pc.irqs for action in d.actions if action.name == "nvme0q1"]
    where = desc.effective_affinity.bit_length() - 1
    other = (where + 1) % 4
    begin(nvme, f"depth=4 cpus={other}")
    run_for(pc, 10 * MS)
    submitter = pc.kernel.cpus[other]
    assert (submitter.softirq_counts[Softirq.BLOCK] > 100) == redirected
    assert (submitter.counts.call_function > 100) == redirected
    assert results(nvme)["completed"] > 400


def test_disk_with_one_queue_completes_in_block(pc):
    ahci = plugged(pc, Ahci, "sata0")
    begin(ahci, "depth=8 cpus=0")
    run_for(pc, 10 * MS)
    assert results(ahci)["completed"] > 300
    assert blocks(pc) > 100


def test_sata_disk_has_32_commands_at_a_time(pc):
    ahci = plugged(pc, Ahci, "sata0")
    begin(ahci, "depth=40 cpus=0")
    assert results(ahci)["in_flight"] == 32
    assert results(ahci)["waiting"] == 8


def test_poll_queue_has_no_vector_and_its_user_burns_cpu_time(pc):
    pc.nvme_poll_queues = 2
    nvme = plugged(pc, Nvme, "nvme0", queues=4)
    assert not any(action.name == "nvme0q3" for d in pc.irqs for action in d.actions)
    begin(nvme, "depth=2 cpus=1 polled=true")
    run_for(pc, 10 * MS)
    assert results(nvme)["completed"] > 200
    assert sum(desc.total for desc in pc.irqs if desc.actions) == 0
    assert pc.kernel.cpus[1].system_ns > 9 * MS
    assert pc.kernel.cpus[0].system_ns == 0


def test_polled_load_is_refused_without_poll_queues_and_the_old_one_goes_on(pc, nvme):
    begin(nvme, "depth=4")
    before = nvme.show_load()
    with pytest.raises(OSError, match=r"no poll queues; boot with nvme\.poll_queues") as error:
        begin(nvme, "depth=2 cpus=1 polled=true")
    assert error.value.errno == errno.EOPNOTSUPP
    assert nvme.show_load() == before


def test_poll_queues_of_one_drive_leave_the_interrupts_of_another(pc):
    polled = plugged(pc, Nvme, "nvme0", queues=4, poll_queues=2)
    other = plugged(pc, Nvme, "nvme1", queues=4, bdf="00:03.0")
    assert [polled.poll_queues, other.poll_queues] == [2, 0]
    names = {action.name for desc in pc.irqs for action in desc.actions}
    assert "nvme0q3" not in names
    assert "nvme1q3" in names


def test_removed_drive_loses_what_is_in_flight_by_name(pc, nvme):
    begin(nvme, "depth=8")
    run_for(pc, 10 * MS)
    in_flight = results(nvme)["in_flight"]
    assert in_flight > 20
    nvme.remove()
    counts = results(nvme)
    assert counts["lost_removed"] == in_flight
    assert counts["in_flight"] == 0
    run_for(pc, 10 * MS)
    assert results(nvme) == counts
    with pytest.raises(OSError, match="no driver") as error:
        begin(nvme, "depth=1")
    assert error.value.errno == errno.ENODEV
    nvme.attach()
    begin(nvme, "depth=8")
    run_for(pc, 10 * MS)
    assert results(nvme)["completed"] > counts["completed"] + 1000


def test_loaded_drive_without_messages_shares_its_line(pc):
    pc.pci.has_messages = False
    nvme = plugged(pc, Nvme, "nvme0", queues=4, gsi=20)
    begin(nvme, "depth=4")
    run_for(pc, 10 * MS)
    assert results(nvme)["completed"] > 1000
    assert pc.irqs[20].total > 100


@pytest.mark.parametrize("driver", [Nvme, Ahci])
def test_threaded_handler_ends_ios_in_its_thread(pc, driver):
    pc.irqs.force_irqthreads = True
    device = plugged(pc, driver, "dev0")
    begin(device, "depth=4 cpus=2")
    run_for(pc, 20 * MS)
    # 80 or 120 us for the drive, and some for the thread
    assert 500 < results(device)["completed"] < 1000
    assert not [record for record in pc.kernel.log if "nobody cared" in str(record)]
    assert blocks(pc) == (0 if driver is Nvme else pytest.approx(600, rel=0.3))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("depth=4 rate=1kHz", "depth or rate"),
        ("read=50%", "depth or rate"),
        ("depth=4 size=2MB", "use at most .1024 KB"),
        ("deph=4", "depth"),
        ("depth=many", "whole number"),
        ("depth=4 cpus=9", "CPUs 0-3"),
        ("what is this", "key=value"),
    ],
)
def test_senseless_load_is_refused_and_the_old_one_goes_on(pc, nvme, text, why):
    begin(nvme, "depth=4")
    before = nvme.show_load()
    with pytest.raises(OSError, match=why) as error:
        begin(nvme, text)
    assert error.value.errno == errno.EINVAL
    assert nvme.show_load() == before


def test_load_is_shown_as_it_can_be_written(pc):
    nvme = plugged(pc, Nvme, "nvme0", queues=4, poll_queues=1)
    for text in ("depth=4 read=70% size=8KB cpus=0-1 until=5000000ns", "rate=1000/s polled=true"):
        begin(nvme, text)
        shown = nvme.show_load()
        begin(nvme, shown)
        assert nvme.show_load() == shown
        assert set(text.split()) <= set(shown.split())


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("depth"), st.integers(1, 200)),
        st.tuples(st.just("rate"), st.integers(1, 400)),
        st.tuples(st.just("down"), st.integers(1, 3)),
        st.tuples(st.just("up"), st.integers(1, 3)),
        st.tuples(st.just("rq_affinity"), st.integers(0, 2)),
        st.tuples(st.just("affinity"), st.integers(0, 3)),
        st.tuples(st.just("rebind"), st.just(0)),
        st.tuples(st.just("off"), st.just(0)),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(
    driver=st.sampled_from([Nvme, Ahci]), queues=st.integers(1, 4), poll=st.integers(0, 2),
    share=st.booleans(), steps=STEPS, gates=st.booleans(), threads=st.booleans(),
)  # fmt: skip
def test_every_io_is_completed_in_flight_or_lost_by_name(
    driver, queues, poll, share, steps, gates, threads
):
    pc = new_pc(4, gates=gates)
    pc.irqs.force_irqthreads = threads
    pc.nvme_poll_queues = poll
    pc.kernel.share_cache = lambda _one, _other: share
    device = plugged(pc, driver, "dev0", **({"queues": queues} if driver is Nvme else {}))
    ended = [0]
    for what, number in [("depth", 4), *steps]:
        can_poll = device.io.get().disk.can_poll
        polled = "true" if number % 2 and can_poll else "false"
        match what:
            case "depth":
                begin(device, f"depth={number} read=60% polled={polled}")
            case "rate":
                begin(device, f"rate={number}kHz polled={polled}")
            case "down" if pc.kernel.is_online(number):
                pc.hotplug.down(number)
            case "up" if not pc.kernel.is_online(number):
                pc.hotplug.up(number)
            case "rq_affinity":
                device.io.get().disk.rq_affinity = number
            case "affinity" if pc.kernel.is_online(number) and driver is Ahci:
                irq_set_affinity(pc.irqs[device.function.irq], 1 << number)
            case "rebind":
                device.remove()
                device.attach()
            case "off":
                device.set_load(None)
        run_for(pc, MS // 2)
        counts, disk = results(device), device.io.get().disk
        assert counts["in_flight"] == disk.busy
        lost = counts["lost_again"] + counts["lost_removed"]
        left = counts["in_flight"] + counts["waiting"]
        assert counts["offered"] == counts["completed"] + lost + left
        assert sum(disk.statistics.inflight) == disk.busy
        ended.append(counts["completed"])
    assert ended == sorted(ended)
    device.set_load(None)
    run_for(pc, 400 * MS)
    assert results(device)["in_flight"] == results(device)["waiting"] == 0
