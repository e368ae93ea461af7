"""What an XDP program lets pass reaches the programs of the machine, and nothing else does."""

import pytest

from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine

MS = 1_000_000
MACHINE = """
[machine]
cpus = 4

[[device]]
name = "eth0"
driver = "pseudokern.drivers.nic"
style = "mlx5"
queues = 2
affinity = ["1", "2"]
xdp = "./half.py:{program}"

[[load]]
user = "0%"

[[load]]
device = "eth0"
rate = "20 kHz"
flows = 32

[[application]]
name = "web"
kind = "server"
device = "eth0"
threads = 2
"""
PROGRAMS = """
from pseudokern.drivers.xdp import XDP_DROP, XDP_PASS, XDP_TX


def half(frame):
    return XDP_PASS if frame.hash >> 31 else XDP_DROP


def back(frame):
    return XDP_PASS if frame.hash >> 31 else XDP_TX
"""


@pytest.fixture
def boot(tmp_path):
    (tmp_path / "half.py").write_text(PROGRAMS)

    def booted(program):
        path = tmp_path / "machine.toml"
        path.write_text(MACHINE.format(program=program))
        machine = Machine(load(path), 0)
        end_ns = machine.timeline.now_ns + 500 * MS
        while not machine.timeline.run(end_ns, 100_000):
            continue
        return machine, machine.devices[0], machine.applications["web"]

    return booted


@pytest.mark.parametrize("program", ["half", "back"])
def test_thread_whose_flows_do_not_pass_reads_nothing(boot, program):
    _, nic, web = boot(program)
    first, second = (task.socket for task in web.threads)
    assert first.read + first.waiting == 0
    assert second.read > 3_000
    assert web.counts()["offered"] == nic.xdp.totals()["pass"]


def test_packets_that_pass_are_as_old_as_they_are(boot):
    _, nic, web = boot("half")
    latency = [queue.feed.latency.application for queue in nic.queues]
    assert sum(histogram.total for histogram in latency) == web.threads[1].socket.read
    assert max(histogram.most_ns for histogram in latency) < 5 * MS
    assert min(histogram.percentile_ns(50) for histogram in latency if histogram.total) > 1_000
