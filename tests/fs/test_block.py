"""Disks count what really was read and written, and their queues can be set as Linux's."""

import errno

import pytest

from pseudokern.fs.tree import Tree
from pseudokern.kernel.softirq import Softirq
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from tests.fs.whole_files import read, write

DISK = "/sys/devices/pci0000:01/0000:01:00.0/nvme/nvme0/nvme0n1"
LOAD = "/sys/kernel/debug/pseudokern/load/nvme0"
MACHINE = """
[machine]
cpus = 4
sockets = {sockets}
cmdline = "{cmdline}"

[load]
user = 0

[[device]]
name = "nvme0"
driver = "pseudokern.drivers.nvme"
bdf = "01:00.0"
queues = {queues}
"""


@pytest.fixture
def boot(tmp_path):
    def boot_machine(queues=4, cmdline="", sockets=1):
        path = tmp_path / "disk.toml"
        path.write_text(MACHINE.format(queues=queues, cmdline=cmdline, sockets=sockets))
        return Tree(Machine(load(str(path)), 0))

    return boot_machine


def run_ms(tree, duration_ms):
    timeline = tree.machine.timeline
    until_ns = timeline.now_ns + duration_ms * 1_000_000
    while not timeline.run(until_ns, 1_000_000):
        continue


def numbers(tree):
    return [int(word) for word in read(tree, f"{DISK}/stat").split()]


def test_idle_disk_has_counted_nothing(boot):
    tree = boot()
    assert read(tree, f"{DISK}/stat") == " ".join(["       0"] * 17) + "\n"
    assert read(tree, f"{DISK}/inflight") == "       0        0\n"
    assert read(tree, "/proc/diskstats") == " 259       0 nvme0n1" + " 0" * 17 + "\n"


def test_counts_are_those_of_the_io_that_was_done(boot):
    tree = boot()
    write(tree, LOAD, "rate=20kHz arrivals=constant read=75% size=8KB")
    run_ms(tree, 1000)
    assert sum(map(int, read(tree, f"{DISK}/inflight").split())) == numbers(tree)[8]
    write(tree, LOAD, "off")
    run_ms(tree, 10)
    stat = numbers(tree)
    reads, writes = stat[0], stat[4]
    assert reads + writes == 20_000
    assert reads == pytest.approx(15_000, rel=0.03)
    assert (stat[2], stat[6]) == (reads * 16, writes * 16)
    assert stat[3] == pytest.approx(reads * 0.083, rel=0.05)  # ms: 80 us, 2 us for the data
    assert stat[7] == pytest.approx(writes * 0.023, rel=0.05)
    assert stat[8] == 0
    assert 600 < stat[9] < 900  # between two I/Os there is sometimes nothing under way
    assert stat[10] == pytest.approx(stat[3] + stat[7], abs=1)
    assert read(tree, "/proc/diskstats").split()[3:] == [str(number) for number in stat]


def test_disk_that_always_has_something_to_do_is_busy_all_the_time(boot):
    tree = boot()
    write(tree, LOAD, "depth=4")
    run_ms(tree, 1000)
    assert numbers(tree)[9] == pytest.approx(1000, abs=4)


def test_fewer_requests_are_under_way_after_a_write_to_nr_requests(boot):
    tree = boot()
    assert read(tree, f"{DISK}/queue/nr_requests") == "1023\n"
    write(tree, f"{DISK}/queue/nr_requests", "1")
    assert read(tree, f"{DISK}/queue/nr_requests") == "4\n"
    write(tree, LOAD, "depth=10 cpus=1")
    assert read(tree, f"{DISK}/inflight") == "       4        0\n"
    write(tree, f"{DISK}/queue/nr_requests", "8\n")
    assert read(tree, f"{DISK}/inflight") == "       8        0\n"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("nr_requests", "1024"),
        ("nr_requests", "many"),
        ("rq_affinity", "-1"),
        ("io_poll", "1"),
        ("scheduler", "bfq"),
    ],
)
def test_what_linux_refuses_is_einval(boot, file, text):
    tree = boot()
    with pytest.raises(OSError, match=file) as error:
        write(tree, f"{DISK}/queue/{file}", text)
    assert error.value.errno == errno.EINVAL


def block_softirqs(tree, rq_affinity):
    """Of CPUs 3 and 0, after CPU 0 has used a queue whose interrupt goes to CPU 3."""
    write(tree, f"{DISK}/queue/rq_affinity", str(rq_affinity))
    assert read(tree, f"{DISK}/queue/rq_affinity") == f"{rq_affinity}\n"
    (desc,) = [d for d in tree.machine.irqs if d.actions and d.actions[0].name == "nvme0q1"]
    assert desc.effective_affinity == 1 << 3
    write(tree, LOAD, "depth=4 cpus=0")
    run_ms(tree, 10)
    return [tree.machine.kernel.cpus[cpu].softirq_counts[Softirq.BLOCK] for cpu in (3, 0)]


@pytest.mark.parametrize(
    ("sockets", "rq_affinity", "moves"),
    [(1, 0, False), (1, 1, False), (1, 2, True), (2, 0, False), (2, 1, True), (2, 2, True)],
)
def test_io_ends_on_its_cpu_if_rq_affinity_and_the_cache_say_so(boot, sockets, rq_affinity, moves):
    tree = boot(queues=1, sockets=sockets)
    here, there = block_softirqs(tree, rq_affinity)
    assert (there > 50) == moves
    assert (here > 50) == (not moves)  # BLOCK on its own CPU: the drive has one queue


def test_any_other_rq_affinity_changes_nothing(boot):
    tree = boot()
    write(tree, f"{DISK}/queue/rq_affinity", "2")
    write(tree, f"{DISK}/queue/rq_affinity", "7")
    assert read(tree, f"{DISK}/queue/rq_affinity") == "2\n"


def test_poll_queues_are_hardware_queues_without_an_interrupt(boot):
    tree = boot(cmdline="nvme.poll_queues=2")
    assert [name for name, _ in tree.readdir(f"{DISK}/mq")] == ["0", "1", "2", "3"]
    lists = [read(tree, f"{DISK}/mq/{number}/cpu_list") for number in range(4)]
    assert lists == ["0, 1\n", "2, 3\n", "0, 1\n", "2, 3\n"]
    assert read(tree, f"{DISK}/queue/io_poll") == "1\n"
    write(tree, f"{DISK}/queue/io_poll", "0")
    assert read(tree, f"{DISK}/queue/io_poll") == "1\n"
    log = [str(record) for record in tree.machine.kernel.log]
    assert any("writes to the poll attribute are ignored." in line for line in log)
