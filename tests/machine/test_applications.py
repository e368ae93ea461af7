"""[[application]] tables start programs that read packets and wait for drives."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pseudokern.fs.proc_pid import show_stat as show_pid_stat
from pseudokern.fs.stat import NS_PER_TICK, _times_ns, show_stat
from pseudokern.irq.manage import irq_set_affinity
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from pseudokern.machine.problems import DescriptionErrors

SECOND_NS = 1_000_000_000
MS = 1_000_000
BOARD = """
[machine]
cpus = 4
{machine}

[[device]]
name = "eth0"
driver = "pseudokern.drivers.nic"
queues = 2
affinity = ["1", "2"]

[[device]]
name = "nvme0"
driver = "pseudokern.drivers.nvme"

[[load]]
user = "0%"

[[load]]
device = "eth0"
rate = "{rate}"
flows = 16
"""
WEB = """
[[application]]
name = "web"
kind = "server"
device = "eth0"
"""
DB = """
[[application]]
name = "db"
kind = "io"
device = "nvme0"
"""


@pytest.fixture(scope="module")
def boot(tmp_path_factory):
    def boot_machine(applications, rate="20 kHz", machine=""):
        path = tmp_path_factory.mktemp("machine") / "machine.toml"
        path.write_text(BOARD.format(rate=rate, machine=machine) + applications)
        return Machine(load(str(path)), 0)

    return boot_machine


def run_for(machine, duration_ns):
    until_ns = machine.timeline.now_ns + duration_ns
    while not machine.timeline.run(until_ns, 1_000_000):
        continue


def cpu_times(machine):
    """user nice system idle iowait irq softirq of each CPU, in ticks."""
    text = show_stat(machine).decode()
    return [list(map(int, row.split())) for row in re.findall(r"^cpu\d+ (.*)$", text, re.M)]


def problems(boot, applications):
    with pytest.raises(DescriptionErrors) as errors:
        boot(applications)
    return str(errors.value)


def test_every_packet_of_a_light_load_is_served(boot):
    machine = boot(WEB)
    run_for(machine, SECOND_NS)
    counts = machine.applications["web"].counts()
    assert counts["offered"] == pytest.approx(20_000, rel=0.05)
    assert counts["served"] == counts["offered"] - counts["in_sockets"] - counts["in_softirq"]
    assert counts["in_sockets"] < 10


def test_a_packet_takes_the_cpu_time_of_the_key(boot):
    machine = boot(WEB + 'work = "10 us"\nrecv = "5 us"\ncpus = "3"\n')
    run_for(machine, SECOND_NS)
    web = machine.applications["web"]
    machine.kernel.sched.update()
    assert web.tasks[0].utime_ns == pytest.approx(web.counts()["served"] * 10_000, rel=0.001)
    # Every packet was polled on another CPU of its node: recv and cache, and the wake-ups.
    system_ns = web.counts()["served"] * 5_250
    switches = web.tasks[0].voluntary_switches
    assert web.tasks[0].stime_ns == pytest.approx(system_ns + switches * 3_000, rel=0.001)


def test_packets_cost_more_to_read_on_another_node(boot):
    two_nodes = "sockets = 2"
    near = boot(WEB + 'cpus = "0"\n', machine=two_nodes)
    far = boot(WEB + 'cpus = "3"\n', machine=two_nodes)
    for machine in (near, far):
        for desc in machine.irqs:
            if desc.actions and "TxRx" in (desc.actions[0].name or ""):
                irq_set_affinity(desc, 0b10)
        run_for(machine, SECOND_NS)
    served = near.applications["web"].counts()["served"]
    more_ns = far.applications["web"].tasks[0].stime_ns - near.applications["web"].tasks[0].stime_ns
    assert more_ns == pytest.approx(served * (600 - 250), rel=0.15)


def test_what_a_server_cannot_serve_overflows_its_socket(boot):
    machine = boot(WEB + 'cpus = "3"\nwork = "19 us"\nrecv = "1 us"\n', rate="100 kHz")
    run_for(machine, SECOND_NS)
    counts = machine.applications["web"].counts()
    # 212,992 bytes hold 278 packets of 768; from one poll to the next a few of them are read.
    assert 274 <= counts["in_sockets"] <= 278
    assert counts["served"] == pytest.approx(SECOND_NS / 20_250, rel=0.02)
    assert counts["dropped_rcvbuf_errors"] == pytest.approx(50_600, rel=0.05)


def test_threads_with_incoming_cpu_read_only_what_their_cpu_has_polled(boot):
    pinned = 'threads = 2\ncpus = "1-2"\npinned = "each"\nsteering = "cpu"\n'
    machine = boot(WEB + pinned)
    run_for(machine, SECOND_NS)
    queues = next(d for d in machine.devices if d.name == "eth0").queues
    machine.pc.fold_counts()
    read = [task.socket.read for task in machine.applications["web"].threads]
    for queue, packets in zip(queues, read, strict=True):
        assert packets == pytest.approx(queue.packets, abs=3)
    assert [task.cpu for task in machine.applications["web"].tasks] == [1, 2]


def test_a_cpu_is_in_iowait_while_a_program_waits_there_for_a_drive(boot):
    machine = boot(DB + 'cpus = "3"\n', rate="0")
    run_for(machine, SECOND_NS)
    user, _, system, idle, iowait, *_ = cpu_times(machine)[3]
    assert iowait > 80
    assert user + system + iowait == pytest.approx(100, abs=4)
    assert idle == pytest.approx(100, abs=2)  # the second of the boot
    assert [times[4] for times in cpu_times(machine)[:3]] == [0, 0, 0]
    assert b"procs_blocked 1\n" in show_stat(machine)


def test_more_depth_is_more_ios_and_less_iowait(boot):
    done, waited = [], []
    for depth in (1, 16):
        machine = boot(DB + f'cpus = "3"\ndepth = {depth}\n', rate="0")
        run_for(machine, SECOND_NS)
        done.append(machine.applications["db"].counts()["served"])
        waited.append(cpu_times(machine)[3][4])
    assert done[1] > 4 * done[0]
    assert waited[1] < waited[0]


@pytest.mark.parametrize("more", ["", "sqpoll = true\n"])
def test_a_program_that_is_started_again_has_the_drive_that_is_back(boot, more):
    machine = boot(DB + "depth = 4\n" + more, rate="0")
    db = machine.applications["db"]
    nvme0 = next(device for device in machine.devices if device.name == "nvme0")
    run_for(machine, 10 * MS)
    nvme0.remove()
    run_for(machine, 10 * MS)
    waited = db.counts()
    assert (waited["in_flight"], waited["lost_removed"]) == (0, 4)
    db.stop()
    with pytest.raises(OSError, match="nvme0 has no driver; bind it first"):
        db.start()
    nvme0.attach()
    db.start()
    run_for(machine, 10 * MS)
    counts = db.counts()
    assert counts["served"] > waited["served"] + 100
    assert (counts["in_flight"], counts["lost_removed"]) == (4, 4)


def test_programs_are_processes_with_their_state_and_times(boot):
    machine = boot(DB + 'cpus = "3"\n', rate="0")
    run_for(machine, SECOND_NS)
    (task,) = machine.tasks.values()
    fields = show_pid_stat(machine, task).split()
    assert fields[1:4] == [b"(db)", b"D", b"1"]
    assert int(fields[13]) == task.utime_ns // NS_PER_TICK > 0
    assert int(fields[38]) == 3


def test_waiting_for_a_drive_counts_in_the_load_average(boot):
    machine = boot(DB, rate="0")
    run_for(machine, 6 * SECOND_NS)
    assert machine.load_average.averages[0] > 0


def test_the_same_machine_does_the_same_twice(boot):
    texts = []
    for _ in range(2):
        machine = boot(WEB + DB)
        run_for(machine, 300 * MS)
        texts.append([app.show_results() for app in machine.applications.values()])
    assert texts[0] == texts[1]


def test_a_cpu_with_too_many_packets_leaves_a_program_its_share(boot):
    """4 million packets a second come to the CPU, all that NAPI could poll if it had it alone.

    With a small buffer the program would sleep most of its turn: nothing is polled meanwhile.
    """
    machine = boot(WEB + 'cpus = "1"\nrcvbuf = "64 MB"\n', rate="8 MHz")
    for desc in machine.irqs:
        if desc.actions and "TxRx" in (desc.actions[0].name or ""):
            irq_set_affinity(desc, 0b10)
    run_for(machine, 200 * MS)
    machine.kernel.sched.update()
    (web,) = machine.applications["web"].tasks
    assert 0.25 < (web.utime_ns + web.stime_ns) / (200 * MS) < 0.55
    thread = next(t for t in machine.tasks.values() if t.comm == "ksoftirqd/1")
    assert thread.stime_ns == pytest.approx(web.utime_ns + web.stime_ns, rel=0.2)
    assert show_pid_stat(machine, thread).split()[1:4] == [b"(ksoftirqd/1)", b"R", b"2"]
    for this in machine.kernel.cpus:
        assert sum(_times_ns(machine, this)) == machine.timeline.now_ns


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_no_packet_is_lost_between_the_card_and_the_program(boot, data):
    threads = data.draw(st.integers(1, 4))
    keys = f"threads = {threads}\n"
    if data.draw(st.booleans()):
        keys += 'cpus = "1-3"\npinned = "each"\n'
    keys += f'steering = "{data.draw(st.sampled_from(["hash", "cpu"]))}"\n'
    keys += f'work = "{data.draw(st.integers(1, 40))} us"\n'
    keys += f'rcvbuf = "{data.draw(st.integers(3, 64))} KB"\n'
    machine = boot(WEB + keys + DB, rate=f"{data.draw(st.integers(1, 400) | st.just(8000))} kHz")
    nic = next(device for device in machine.devices if device.name == "eth0")
    for _ in range(data.draw(st.integers(1, 6))):
        action = data.draw(st.sampled_from(["run", "down", "up", "move"]))
        cpu = data.draw(st.integers(1, 3))
        is_online = machine.kernel.is_online(cpu)
        if action == "down" and is_online:
            machine.pc.hotplug.down(cpu)
        elif action == "up" and not is_online:
            machine.pc.hotplug.up(cpu)
        elif action == "move" and is_online:
            irq_set_affinity(nic.sources[0][1], 1 << cpu)
        run_for(machine, data.draw(st.integers(1, 3_000_000)))
        machine.pc.fold_counts()
        counts = machine.applications["web"].counts()
        delivered = sum(queue.packets for queue in nic.rings)
        assert counts["offered"] == delivered
        assert delivered == sum(count for name, count in counts.items() if name != "offered")
        machine.kernel.sched.update()
        for task in machine.tasks.values():
            assert task.left_ns >= 0
        db = machine.applications["db"].counts()
        assert db["offered"] == sum(count for name, count in db.items() if name != "offered")


@settings(max_examples=8, deadline=None)
@given(rate=st.integers(0, 300), until_ns=st.integers(1, 50 * MS))
def test_times_of_each_cpu_add_up_at_any_instant(boot, rate, until_ns):
    machine = boot(WEB + "threads = 2\n" + DB, rate=f"{rate} kHz")
    run_for(machine, until_ns)
    for this in machine.kernel.cpus:
        assert sum(_times_ns(machine, this)) == machine.timeline.now_ns


def test_a_mistake_is_told_with_what_to_do(boot):
    assert 'unknown key "wrok"; did you mean "work"?' in problems(boot, WEB + 'wrok = "1 us"\n')
    text = problems(boot, WEB.replace('"eth0"', '"nvme0"'))
    assert 'device is "nvme0", which is not a network card' in text
    text = problems(boot, WEB.replace('"eth0"', '"eth1"'))
    assert 'device is "eth1"; name a [[device]] of this machine' in text
    assert 'name is "web" again' in problems(boot, WEB + WEB)
    assert 'kind is "sever"' in problems(boot, WEB.replace("server", "sever"))
    assert 'rcvbuf is "0"; use at least "3 KB"' in problems(boot, WEB + 'rcvbuf = "0"\n')
    assert "cpus names CPU 7" in problems(boot, WEB + 'cpus = "7"\n')


def test_latency_to_the_application_is_from_the_wire_and_longer_than_to_napi(boot):
    machine = boot(WEB)
    run_for(machine, SECOND_NS // 4)
    (nic,) = (device for device in machine.devices if device.name == "eth0")
    (web,) = machine.applications.values()
    measured = 0
    for queue in nic.queues:
        latency = queue.feed.latency
        measured += latency.application.total
        for share in (50, 99):
            to_program = latency.application.percentile_ns(share)
            assert to_program > latency.napi.percentile_ns(share) > 0
    assert measured == web.counts()["served"] == web.latency.total > 4_000
