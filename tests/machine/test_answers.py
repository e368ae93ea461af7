"""A server answers each packet by the card that it came from."""

import pytest

from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from tests.machine.test_applications import SECOND_NS, run_for

BOARD = """
[machine]
cpus = 4

[[device]]
name = "eth0"
driver = "pseudokern.drivers.nic"
style = "{style}"
queues = 2

[[load]]
user = "0%"

[[load]]
device = "eth0"
rate = "{rate}"
flows = 16

[[application]]
name = "web"
kind = "server"
device = "eth0"
threads = 2
cpus = "2-3"
pinned = "each"
answer = {size}
"""


@pytest.fixture
def boot(tmp_path):
    def boot_machine(style="mlx5", rate="20 kHz", size=200):
        path = tmp_path / "machine.toml"
        path.write_text(BOARD.format(style=style, rate=rate, size=size))
        return Machine(load(str(path)), 0)

    return boot_machine


def card_of(machine):
    return next(device for device in machine.devices if device.name == "eth0")


def results(machine):
    lines = machine.applications["web"].show_results().splitlines()
    return {line.split()[0]: line.split()[1] for line in lines}


@pytest.mark.parametrize("style", ["mlx5", "ice", "igb", "virtio-net", "vmxnet3"])
def test_each_packet_is_answered_with_so_many_bytes(boot, style):
    machine = boot(style)
    run_for(machine, SECOND_NS // 5)
    card_of(machine).set_load(None)
    run_for(machine, SECOND_NS // 100)
    served, nic = int(results(machine)["served"]), card_of(machine)
    assert served == pytest.approx(4000, rel=0.1)
    assert int(results(machine)["answers"]) == served
    assert sum(ring.cleaned for ring in nic.tx.rings) == served
    assert sum(ring.cleaned_bytes for ring in nic.tx.rings) == 200 * served


def system_ns(machine):
    """Of the program, without the wake-ups, of which interrupts for answers bring more."""
    threads = machine.applications["web"].threads
    switches = sum(task.voluntary_switches for task in threads)
    results(machine)  # brings all up to date
    return sum(task.stime_ns for task in threads) - switches * machine.kernel.cost.thread_ns


def test_an_answer_takes_system_time_of_its_thread(boot):
    machine = boot(size=0)
    run_for(machine, SECOND_NS // 5)
    silent_ns = system_ns(machine)
    machine = boot(size=64)
    run_for(machine, SECOND_NS // 5)
    cost, answers = machine.kernel.cost, int(results(machine)["answers"])
    each_ns = cost.send_ns + cost.xmit_ns
    assert system_ns(machine) - silent_ns == pytest.approx(answers * each_ns, rel=0.02)


def test_the_round_trip_is_longer_than_the_way_to_the_program(boot):
    machine = boot()
    run_for(machine, SECOND_NS // 5)
    found = results(machine)
    assert int(found["round_trip_p50_ns"]) > float(found["latency_p50"]) * 1000 + 2_000


def test_answers_leave_by_the_queue_of_the_threads_cpu(boot):
    machine = boot("ice")
    nic = card_of(machine)
    nic.tx.xps.set_cpus([(0, 0b0100), (1, 0b1000)])
    run_for(machine, SECOND_NS // 5)
    first, second = machine.applications["web"].threads
    assert nic.tx.rings[0].posted == first.socket.read
    assert nic.tx.rings[1].posted == second.socket.read


def test_xps_rxqs_goes_before_xps_cpus(boot):
    machine = boot("ice")
    nic = card_of(machine)
    nic.tx.xps.set_rxqs(1, 0b11)
    run_for(machine, SECOND_NS // 5)
    assert nic.tx.rings[0].posted == 0
    assert nic.tx.rings[1].posted > 3000


def test_a_server_sleeps_in_sendmsg_while_its_answers_cannot_leave(boot):
    machine = boot("igb", rate="200 kHz", size=9000)
    run_for(machine, SECOND_NS // 5)
    nic, threads = card_of(machine), machine.applications["web"].threads
    assert all(task.state == "S" and task.sndbuf.is_waiting for task in threads)
    assert sum(queue.qdisc.drops for queue in nic.tx.queues) == 0
    wire = SECOND_NS // 5 / (9020 * 8)
    assert sum(ring.cleaned for ring in nic.tx.rings) == pytest.approx(wire, rel=0.05)
    assert int(results(machine)["dropped_rcvbuf_errors"]) > 10_000
