"""A poll-mode program has the card from vfio-pci, and all of its CPUs."""

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pseudokern.drivers.burst_loop import BurstLoop
from pseudokern.drivers.keys import Limits
from pseudokern.drivers.load import parse_load
from pseudokern.fs.interrupts import records_interrupts
from pseudokern.fs.stat import _times_ns
from pseudokern.fs.sys_drivers import (
    interface_names,
    store_bind,
    store_driver_override,
    store_drivers_probe,
    store_unbind,
)
from pseudokern.fs.sys_net import show_dev
from pseudokern.machine.application_changes import change, make
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from tests.machine.test_applications import MS, SECOND_NS, cpu_times, problems, run_for

LIMITS = Limits(cpus=4, nodes=1, gsis=24)
BOARD = """
[machine]
cpus = 4
iommu = "{iommu}"
cmdline = "{cmdline}"

[[device]]
name = "eth0"
driver = "pseudokern.drivers.nic"
style = "ice"
queues = 2
{card}

[[load]]
user = "0%"

[[load]]
device = "eth0"
rate = "{rate}"
flows = 64
"""
DPDK = """
[[application]]
name = "dpdk"
kind = "poll-mode"
device = "eth0"
cpus = "3"
work = "100 ns"
"""


@pytest.fixture(scope="module")
def boot(tmp_path_factory):
    def boot_machine(applications, rate="100 kHz", iommu="intel", cmdline="", card=""):
        path = tmp_path_factory.mktemp("machine") / "machine.toml"
        text = BOARD.format(rate=rate, iommu=iommu, cmdline=cmdline, card=card)
        path.write_text(text + applications)
        return Machine(load(str(path)), 0)

    return boot_machine


def card_of(machine):
    return next(device for device in machine.devices if device.name == "eth0")


def texts(machine):
    return [record.text for record in machine.kernel.log]


def counts_of(machine):
    machine.pc.fold_counts()
    return machine.applications["dpdk"].counts()


def test_all_packets_are_served_without_an_interrupt_in_user_time(boot):
    machine = boot(DPDK)
    run_for(machine, SECOND_NS)
    counts = counts_of(machine)
    assert counts["offered"] == pytest.approx(100_000, rel=0.02)
    assert counts["served"] + counts["in_ring"] == counts["offered"]
    user, _, system, idle, _, irq, softirq = cpu_times(machine)[3][:7]
    assert user == pytest.approx(100, abs=2)
    assert idle == pytest.approx(100, abs=2)  # the second of the boot
    assert system == softirq == 0
    assert irq <= 1  # its ticks
    assert not any(desc.actions for desc in machine.irqs if "ice" in str(desc.actions))


def test_on_a_cpu_of_nohz_full_nothing_disturbs_it_at_all(boot):
    machine = boot(DPDK, cmdline="isolcpus=3 nohz_full=3")
    run_for(machine, 10 * MS)
    before = machine.kernel.cpus[3].counts.apic_timer
    run_for(machine, SECOND_NS)
    assert machine.kernel.cpus[3].counts.apic_timer == before


def test_the_card_is_nowhere_in_the_kernel_and_comes_back_when_the_program_has_ended(boot):
    machine = boot(DPDK)
    nic = card_of(machine)
    bdf = nic.function.bdf.encode()
    assert nic.function.driver == nic.function.driver_override == "vfio-pci"
    assert "eth0" not in interface_names(machine)
    assert b"eth0" not in show_dev(machine)
    assert b"ice" not in b"".join(records_interrupts(machine))
    with pytest.raises(OSError, match="dpdk has it open"):
        store_unbind(machine, bdf, "vfio-pci")
    change(machine, machine.applications["dpdk"], "off", LIMITS)
    store_unbind(machine, bdf, "vfio-pci")
    with pytest.raises(OSError, match="no device for ice"):
        store_bind(machine, bdf, "ice")
    store_driver_override(machine, b"\n", "", nic.function)
    store_drivers_probe(machine, bdf)
    assert nic.is_up
    run_for(machine, 100 * MS)
    assert b"ice-eth0-TxRx-0" in b"".join(records_interrupts(machine))
    machine.pc.fold_counts()
    assert nic.received().packets > 9_000


def test_with_a_link_interrupt_there_is_one_row_of_vfio(boot):
    machine = boot(DPDK + "link_interrupt = true\n")
    bdf = card_of(machine).function.bdf
    assert f"vfio-msix[0]({bdf})".encode() in b"".join(records_interrupts(machine))
    change(machine, machine.applications["dpdk"], "off", LIMITS)
    assert b"vfio" not in b"".join(records_interrupts(machine))


def test_without_an_iommu_the_program_cannot_start_and_the_card_stays_with_its_driver(boot):
    machine = boot(DPDK, iommu="none")
    assert not machine.applications
    (line,) = [text for text in texts(machine) if text.startswith("dpdk: cannot start")]
    assert 'say iommu = "intel", or boot with vfio.enable_unsafe_noiommu_mode=1' in line
    assert card_of(machine).is_up
    allowed = boot(DPDK, iommu="none", cmdline="vfio.enable_unsafe_noiommu_mode=Y")
    assert allowed.applications
    refused = boot(DPDK, cmdline="intremap=off")
    assert "allow_unsafe_interrupts" in next(
        text for text in texts(refused) if "cannot start" in text
    )


@pytest.mark.parametrize("iommu", ["intel", "none"])
def test_a_program_that_is_started_while_the_machine_runs_takes_the_card_or_is_refused(boot, iommu):
    machine = boot("", iommu=iommu)
    run_for(machine, 20 * MS)
    line = "name=dpdk kind=poll-mode device=eth0 cpus=3 work=100ns"
    if iommu == "none":
        with pytest.raises(OSError, match="needs an IOMMU") as error:
            make(machine, line, LIMITS)
        assert error.value.errno == errno.EINVAL
        assert not machine.applications
        assert card_of(machine).is_up
        return
    make(machine, line, LIMITS)
    run_for(machine, 100 * MS)
    counts = counts_of(machine)
    assert counts["offered"] == counts["served"] + counts["in_ring"] > 9_000
    change(machine, machine.applications["dpdk"], "remove", LIMITS)
    assert not machine.applications
    store_unbind(machine, card_of(machine).function.bdf.encode(), "vfio-pci")


def test_latency_is_less_than_a_microsecond_as_long_as_it_keeps_up(boot):
    machine = boot(DPDK, rate="1 MHz")
    run_for(machine, 200 * MS)
    assert machine.applications["dpdk"].latency.percentile_ns(99) < 1_000


def test_what_it_cannot_serve_is_dropped_by_the_card_and_waits_for_a_whole_ring(boot):
    machine = boot(DPDK.replace("100 ns", "500 ns"), rate="4 MHz")
    run_for(machine, 200 * MS)
    counts = counts_of(machine)
    each_ns = 500 + 30 + 20 / 32
    assert counts["served"] == pytest.approx(200 * MS / each_ns, rel=0.01)
    assert counts["in_ring"] == pytest.approx(1024, abs=64)
    assert counts["dropped_rx_dropped"] == counts["offered"] - counts["served"] - counts["in_ring"]
    latency = machine.applications["dpdk"].latency
    assert latency.percentile_ns(50) == pytest.approx(1024 * each_ns, rel=0.1)


def test_cores_poll_queues_in_turn_each_on_its_own_cpu(boot):
    machine = boot(DPDK.replace('"3"', '"1-3"') + "threads = 2\nqueues = 4\n")
    run_for(machine, 100 * MS)
    lcores = machine.applications["dpdk"].threads
    assert [lcore.cpu for lcore in lcores] == [1, 2]
    assert [len(lcore.loop.queues) for lcore in lcores] == [2, 2]
    counts_of(machine)
    assert all(queue.packets > 1_000 for queue in card_of(machine).queues)
    change(machine, machine.applications["dpdk"], "threads=1", LIMITS)
    run_for(machine, 100 * MS)
    counts = counts_of(machine)
    assert len(lcores[0].loop.queues) == 4
    assert counts["offered"] == counts["served"] + counts["in_ring"] > 19_000


def test_a_core_goes_on_with_the_queues_that_are_left_to_it(boot):
    machine = boot(DPDK.replace('"3"', '"1-3"') + "queues = 5\n", rate="300 kHz")
    dpdk = machine.applications["dpdk"]
    for threads in (1, 2, 1, 3, 2, 3, 1) * 4:
        change(machine, dpdk, f"threads={threads}", LIMITS)
        run_for(machine, 130_003)
    run_for(machine, 5 * MS)
    counts = counts_of(machine)
    assert counts["offered"] == counts["served"] + counts["in_ring"]
    assert counts["in_ring"] < 5


def test_another_program_on_its_cpu_takes_half_of_it_and_packets_wait(boot):
    machine = boot(DPDK, rate="1 MHz")
    run_for(machine, 100 * MS)
    make(machine, "name=other kind=server device=eth0", LIMITS)  # nothing comes there any more
    other = machine.applications["other"].threads[0]
    machine.kernel.sched.set_cpus_allowed(other, 0b1000)
    other.compute(user_ns=SECOND_NS)
    machine.kernel.sched.wake(other)
    run_for(machine, 300 * MS)
    counts = counts_of(machine)
    (lcore,) = machine.applications["dpdk"].threads
    assert other.utime_ns == pytest.approx(150 * MS, rel=0.1)
    assert lcore.utime_ns == pytest.approx(250 * MS, rel=0.1)
    assert counts["dropped_rx_dropped"] > 50_000  # 2 of 3 ms more than the ring holds
    assert counts["offered"] == sum(n for name, n in counts.items() if name != "offered")


def test_to_spin_costs_no_event_for_a_look_nor_for_a_packet(boot):
    machine = boot(DPDK, rate="1 MHz", cmdline="isolcpus=3 nohz_full=3")
    before = machine.timeline.events
    run_for(machine, SECOND_NS)
    assert counts_of(machine)["served"] > 990_000
    assert machine.timeline.events - before < 20_000
    machine = boot(DPDK, rate="0", cmdline="isolcpus=3 nohz_full=3")
    before = machine.timeline.events
    run_for(machine, SECOND_NS)
    assert machine.timeline.events - before < 500


def test_mistakes_are_told(boot):
    told = problems(boot, DPDK + '[[application]]\nname = "w"\nkind = "server"\ndevice = "eth0"\n')
    assert 'device is "eth0", which has a program already' in told
    assert "burst is 65, but must be at most 64" in problems(boot, DPDK + "burst = 65\n")


KEYS = st.fixed_dictionaries(
    {
        "threads": st.integers(1, 3),
        "queues": st.integers(1, 5),
        "burst": st.sampled_from([1, 4, 32, 64]),
        "descriptors": st.sampled_from([32, 64, 1024]),
        "poll": st.sampled_from(["0 ns", "7 ns", "20 ns", "1 us"]),
        "recv": st.sampled_from(["0 ns", "30 ns"]),
    }
)


def written(keys):
    return "".join(
        f'{k} = "{v}"\n' if isinstance(v, str) else f"{k} = {v}\n" for k, v in keys.items()
    )


@settings(max_examples=30, deadline=None)
@given(keys=KEYS, work=st.sampled_from(["0 ns", "100 ns", "2 us", "50 us"]), data=st.data())
def test_no_packet_is_lost_unseen_whatever_happens_to_the_cores(boot, keys, work, data):
    rate = data.draw(st.sampled_from(["0", "1 kHz", "300 kHz", "3 MHz"]))
    card = data.draw(st.sampled_from(["", 'rate = "20 kHz"\n']))
    text = DPDK.replace("100 ns", work).replace('"3"', '"1-3"') + written(keys)
    machine = boot(text, rate=rate, card=card)
    nic = card_of(machine)
    for _ in range(data.draw(st.integers(1, 6))):
        action = data.draw(st.sampled_from(["run", "down", "up", "threads", "load", "off", "on"]))
        cpu = data.draw(st.integers(1, 3))
        dpdk, is_online = machine.applications["dpdk"], machine.kernel.is_online(cpu)
        if action == "down" and is_online:
            machine.pc.hotplug.down(cpu)
        elif action == "up" and not is_online:
            machine.pc.hotplug.up(cpu)
        elif action == "threads" and dpdk.is_on:
            change(machine, dpdk, f"threads={cpu}", LIMITS)
        elif action == "load":
            words = f"rate={data.draw(st.integers(1, 4000))}kHz flows={cpu}"
            nic.set_load(parse_load(words, nic.load_keys(), LIMITS))
        elif action in ("on", "off"):
            change(machine, dpdk, action, LIMITS)
        run_for(machine, data.draw(st.integers(1, 3_000_000)))
        counts = counts_of(machine)
        assert counts["offered"] == sum(n for name, n in counts.items() if name != "offered")
        assert all(0 <= queue.waiting <= keys["descriptors"] for queue in nic.queues)
        for this in machine.kernel.cpus:
            if not this.offline_ns and machine.kernel.is_online(this.cpu):
                assert sum(_times_ns(machine, this)) == machine.timeline.now_ns


@settings(max_examples=15, deadline=None)
@given(keys=KEYS, looks=st.lists(st.integers(1, MS), max_size=5), rate=st.integers(1, 3_000))
def test_one_queue_is_polled_as_each_of_many_and_to_look_changes_nothing(boot, keys, looks, rate):
    text = DPDK + written({**keys, "threads": 1, "queues": 1})
    found = []
    for loop, times in ((BurstLoop.run_alone, looks), (BurstLoop.run_many, ())):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(BurstLoop, "run_alone", loop)
            machine = boot(text, rate=f"{rate} kHz", cmdline="isolcpus=3 nohz_full=3")
            end_ns = machine.timeline.now_ns + 6 * MS
            for look_ns in times:
                run_for(machine, look_ns)
                counts_of(machine)
            run_for(machine, end_ns - machine.timeline.now_ns)
            counts_of(machine)
            found.append(machine.applications["dpdk"].show_results())
    assert found[0] == found[1]
