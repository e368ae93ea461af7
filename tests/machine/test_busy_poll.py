"""A program with SO_BUSY_POLL polls the card itself before it sleeps."""

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pseudokern.drivers.keys import Limits
from pseudokern.drivers.load import parse_load
from pseudokern.fs import sys_net, sysctl_net
from pseudokern.fs.stat import _times_ns
from pseudokern.irq.manage import irq_set_affinity
from pseudokern.machine.application_changes import change
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from tests.machine.test_applications import MS, SECOND_NS, WEB, cpu_times, run_for

LIMITS = Limits(cpus=4, nodes=1, gsis=24)
BOARD = """
[machine]
cpus = 4

[[device]]
name = "eth0"
driver = "pseudokern.drivers.nic"
style = "mlx5"
affinity = ["1"]
{card}

[[load]]
user = "0%"

[[load]]
device = "eth0"
rate = "{rate}"
flows = 16
"""
BUSY = WEB + 'cpus = "2"\nbusy_poll = "1 ms"\n'
PREFERRED = BUSY + "prefer_busy_poll = true\n"


@pytest.fixture(scope="module")
def boot(tmp_path_factory):
    def boot_machine(applications, rate="20 kHz", card=""):
        path = tmp_path_factory.mktemp("machine") / "machine.toml"
        path.write_text(BOARD.format(rate=rate, card=card) + applications)
        return Machine(load(str(path)), 0)

    return boot_machine


def card_of(machine):
    return next(device for device in machine.devices if device.name == "eth0")


def defer(machine, timeout_ns=2 * MS, polls=2):
    nic = card_of(machine)
    where = machine, None, None
    sys_net.store_gro_flush_timeout(machine, b"%d" % timeout_ns, *where[1:], nic)
    sys_net.store_napi_defer_hard_irqs(machine, b"%d" % polls, *where[1:], nic)


def interrupts(machine):
    machine.pc.fold_counts()
    return card_of(machine).sources[0][1].total


def test_a_busy_poller_has_its_packets_sooner_and_its_cpu_is_in_the_kernel_all_the_time(boot):
    asleep, busy = boot(WEB + 'cpus = "2"\n'), boot(BUSY)
    for machine in (asleep, busy):
        run_for(machine, SECOND_NS // 2)
    slow, fast = (machine.applications["web"].latency for machine in (asleep, busy))
    assert fast.percentile_ns(50) < slow.percentile_ns(50) / 3
    user, _, system, *_ = cpu_times(busy)[2]
    assert user + system == pytest.approx(50, abs=2)
    assert user == pytest.approx(2, abs=1)


def test_what_it_takes_is_counted_and_served(boot):
    machine = boot(BUSY)
    run_for(machine, SECOND_NS // 2)
    web = machine.applications["web"]
    polled = web.more_results()["busy_poll_rx_packets"]
    assert polled > 0.9 * web.counts()["offered"]
    assert f"busy_poll_rx_packets {polled}" in web.show_results()
    # The CPU of the poll is the one that softnet_stat counts them on.
    assert machine.kernel.cpus[2].rx_packets == pytest.approx(polled, abs=2)


def test_an_interrupt_that_was_on_when_the_loop_began_still_comes(boot):
    machine = boot(BUSY)
    run_for(machine, SECOND_NS // 2)
    web = machine.applications["web"]
    assert interrupts(machine) == pytest.approx(web.counts()["offered"], rel=0.1)


def test_preferred_with_deferred_interrupts_there_is_none_any_more(boot):
    machine = boot(PREFERRED)
    defer(machine)
    run_for(machine, 20 * MS)
    before, served = interrupts(machine), machine.applications["web"].counts()["served"]
    run_for(machine, SECOND_NS // 2)
    assert interrupts(machine) == before
    assert machine.applications["web"].counts()["served"] - served > 9_000


def test_when_the_program_stops_polling_the_timer_and_then_the_interrupt_take_over(boot):
    machine = boot(PREFERRED.replace("1 ms", "20 us"), rate="200 Hz")
    defer(machine, timeout_ns=50_000)
    run_for(machine, SECOND_NS // 2)
    counts = machine.applications["web"].counts()
    assert counts["served"] >= counts["offered"] - 1 > 80
    assert interrupts(machine) > 0.9 * counts["offered"]


def test_without_packets_for_so_long_it_sleeps(boot):
    machine = boot(BUSY.replace("1 ms", "50 us"), rate="1 kHz")
    run_for(machine, SECOND_NS)
    user, _, system, idle, *_ = cpu_times(machine)[2]
    assert user + system < 10
    assert idle > 185
    assert machine.applications["web"].tasks[0].voluntary_switches > 750


def test_busy_read_is_what_new_sockets_have_and_busy_poll_what_poll_has(boot):
    machine = boot(WEB + 'cpus = "2"\nbusy_poll = "1 us"\nwaits_in = "poll"\n')
    assert sysctl_net.show_busy_read(machine) == sysctl_net.show_busy_poll(machine) == b"0\n"
    run_for(machine, 100 * MS)
    assert not machine.applications["web"].more_results()
    sysctl_net.store_busy_poll(machine, b"50\n")
    run_for(machine, 100 * MS)
    assert machine.applications["web"].more_results()["busy_poll_rx_packets"] > 500
    with pytest.raises(OSError, match="busy_read") as error:
        sysctl_net.store_busy_read(machine, b"-1")
    assert error.value.errno == errno.EINVAL


def test_a_loop_ends_where_another_program_has_its_turn(boot):
    other = WEB.replace('"web"', '"other"').replace("eth0", "eth1")
    card = '[[device]]\nname = "eth1"\ndriver = "pseudokern.drivers.nic"\naffinity = ["3"]\n'
    second = '[[load]]\ndevice = "eth1"\nrate = "400 kHz"\n'
    machine = boot(second + BUSY + other + 'cpus = "2"\nrcvbuf = "8 MB"\n', card=card)
    run_for(machine, SECOND_NS // 4)
    machine.kernel.sched.update()
    for name in ("web", "other"):
        (task,) = machine.applications[name].tasks
        assert task.utime_ns + task.stime_ns == pytest.approx(SECOND_NS // 8, rel=0.15)
    assert machine.applications["web"].counts()["served"] > 4_500


def test_a_loop_is_a_few_events_for_each_packet_and_none_for_each_look(boot):
    machine = boot(BUSY, rate="1 kHz")
    run_for(machine, 100 * MS)
    before, served = machine.timeline.events, machine.applications["web"].counts()["served"]
    run_for(machine, SECOND_NS)
    served = machine.applications["web"].counts()["served"] - served
    assert machine.timeline.events - before < 20 * served


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_no_packet_is_lost_by_loops_that_come_and_go(boot, data):
    keys = f"threads = {data.draw(st.integers(1, 4))}\n"
    keys += f'busy_poll = "{data.draw(st.sampled_from([10, 100, 2000]))} us"\n'
    keys += f"busy_poll_budget = {data.draw(st.sampled_from([1, 8, 64]))}\n"
    keys += f"prefer_busy_poll = {data.draw(st.sampled_from(['true', 'false']))}\n"
    is_fed = data.draw(st.booleans())
    card = "" if is_fed else 'rate = "30 kHz"\n'
    rate = data.draw(st.sampled_from(["5 kHz", "100 kHz", "1 MHz", "4 MHz"])) if is_fed else "0"
    machine = boot(WEB + keys, rate=rate, card=card)
    nic = card_of(machine)
    for _ in range(data.draw(st.integers(1, 8))):
        action = data.draw(st.sampled_from(["run", "down", "up", "move", "defer", "flap", "load"]))
        cpu = data.draw(st.integers(1, 3))
        is_online = machine.kernel.is_online(cpu)
        if action == "down" and is_online:
            machine.pc.hotplug.down(cpu)
        elif action == "up" and not is_online:
            machine.pc.hotplug.up(cpu)
        elif action == "move" and is_online:
            irq_set_affinity(nic.sources[0][1], 1 << cpu)
        elif action == "defer":
            defer(
                machine, data.draw(st.sampled_from([0, 20_000, MS])), data.draw(st.integers(0, 3))
            )
        elif action == "flap":
            nic.close()
            nic.open()
        elif action == "load":
            words = f"rate={data.draw(st.integers(1, 900))}kHz flows=4"
            nic.set_load(parse_load(words, nic.load_keys(), None))
        run_for(machine, data.draw(st.integers(1, 3_000_000)))
        machine.pc.fold_counts()
        machine.kernel.sched.update()
        counts = machine.applications["web"].counts()
        assert counts["offered"] == sum(queue.packets for queue in nic.rings)
        assert counts["offered"] == sum(n for name, n in counts.items() if name != "offered")
        for this in machine.kernel.cpus:
            if not this.offline_ns and machine.kernel.is_online(this.cpu):
                assert sum(_times_ns(machine, this)) == machine.timeline.now_ns
    nic.set_load(None)
    nic.stop_traffic()
    run_for(machine, 200 * MS)
    counts = machine.applications["web"].counts()
    assert counts["in_sockets"] == counts["in_softirq"] == 0
    assert sum(queue.waiting for queue in nic.rings) == 0


def test_a_program_can_begin_to_poll_while_it_runs(boot):
    machine = boot(WEB + 'cpus = "2"\n')
    run_for(machine, 50 * MS)
    web = machine.applications["web"]
    assert not web.more_results()
    sysctl_net.store_busy_read(machine, b"100")
    change(machine, web, "threads=2", LIMITS)
    run_for(machine, 50 * MS)
    assert web.threads[0].loop.rx_packets == 0 < web.threads[1].loop.rx_packets
    change(machine, web, "busy_poll=50us", LIMITS)
    run_for(machine, 50 * MS)
    assert web.threads[0].loop.rx_packets > 0


@pytest.mark.parametrize("keys", ["", "prefer_busy_poll = true\n"])
def test_a_program_goes_on_with_a_card_that_was_away(boot, keys):
    machine = boot(BUSY + keys)
    defer(machine)
    nic, web = card_of(machine), machine.applications["web"]
    run_for(machine, 20 * MS)
    nic.remove()
    run_for(machine, 5 * MS)
    nic.attach()
    nic.open()
    before = web.counts()["served"]
    run_for(machine, 50 * MS)
    assert web.counts()["served"] - before > 900
    assert web.threads[0].loop.rx_packets > 1_000


def test_a_loop_cleans_what_the_program_has_answered(boot):
    machine = boot(BUSY + "answer = 64\n", rate="5 kHz")
    run_for(machine, 100 * MS)
    nic, web = card_of(machine), machine.applications["web"]
    sent = nic.transmitted().packets
    assert sent == pytest.approx(web.counts()["served"], abs=3)
    assert nic.tx.rings[0].in_flight <= 1


def test_a_loop_gets_the_queue_from_the_thread_that_polls_it(boot):
    machine = boot(BUSY, rate="20 kHz")
    nic = card_of(machine)
    nic.napi.threaded = True
    nic.napi.apply()
    run_for(machine, 100 * MS)
    web = machine.applications["web"]
    assert web.threads[0].loop.rx_packets > 0.8 * web.counts()["offered"]
