"""Applications are changed, made and taken away through files, while the machine runs."""

import errno

import pytest

from pseudokern.fs.stat import _times_ns
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from tests.fs.conftest import Files

MS = 1_000_000
SECOND_NS = 1_000_000_000
DEBUG = "/sys/kernel/debug/pseudokern"
BOARD = """
[machine]
cpus = 4

[[device]]
name = "eth0"
driver = "pseudokern.drivers.nic"
queues = 2
affinity = ["0", "1"]

[[device]]
name = "nvme0"
driver = "pseudokern.drivers.nvme"

[[load]]
user = "10%"

[[load]]
device = "eth0"
rate = "20 kHz"
flows = 16
"""
WEB = """
[[application]]
name = "web"
kind = "server"
device = "eth0"
cpus = "2"
work = "5 us"
"""


@pytest.fixture
def boot(tmp_path):
    def boot_machine(applications=""):
        path = tmp_path / "machine.toml"
        path.write_text(BOARD + applications)
        return Files(Machine(load(str(path)), 0))

    return boot_machine


def line(files, name="web"):
    return files.read(f"{DEBUG}/applications/{name}").decode().strip()


def write(files, text, name="web"):
    files.write(f"{DEBUG}/applications/{name}", text + "\n")


def refusal(files, text, name="web"):
    """The errno, and what the kernel log says."""
    with pytest.raises(OSError, match=r"\w") as error:
        write(files, text, name)
    return error.value.errno, str(list(files.machine.kernel.log)[-1])


def results(files, name="web"):
    text = files.read(f"{DEBUG}/application_results/{name}").decode()
    rows = [row.split() for row in text.splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 2}


def web(files):
    return files.machine.applications["web"]


def test_a_line_shows_every_key_and_can_be_written_as_it_is(boot):
    files = boot(WEB)
    text = line(files)
    assert text.startswith("kind=server device=eth0 threads=1 cpus=2 pinned=no nice=0 ")
    assert "work=5us" in text
    write(files, text)
    assert line(files) == text


def test_changing_cpus_moves_the_threads_that_there_are(boot):
    files = boot(WEB)
    files.run_for(20 * MS)
    (task,) = web(files).tasks
    write(files, "cpus=3")
    files.run_for(20 * MS)
    assert web(files).tasks == [task]
    assert task.cpu == 3
    assert b"Cpus_allowed_list:\t3\n" in files.read(f"/proc/{task.pid}/status")
    assert "cpus=3" in line(files)


def test_nice_and_policy_change_while_it_runs_and_show_in_proc(boot):
    files = boot(WEB)
    (task,) = web(files).tasks
    assert files.read(f"/proc/{task.pid}/stat").split()[17:19] == [b"20", b"0"]
    write(files, "nice=7")
    assert files.read(f"/proc/{task.pid}/stat").split()[17:19] == [b"27", b"7"]
    write(files, "policy=rr priority=40")
    fields = files.read(f"/proc/{task.pid}/stat").split()
    assert (fields[17], fields[39], fields[40]) == (b"-41", b"40", b"2")
    write(files, "policy=other priority=0 nice=0")
    assert files.read(f"/proc/{task.pid}/stat").split()[17:19] == [b"20", b"0"]


def test_more_work_for_each_packet_is_more_cpu_time_from_then_on(boot):
    files = boot(WEB)
    files.run_for(SECOND_NS // 4)
    (task,) = web(files).tasks
    files.machine.kernel.sched.update()
    first_ns, served = task.utime_ns, results(files)["served"]
    write(files, "work=15us")
    files.run_for(SECOND_NS // 4)
    more = results(files)["served"] - served
    assert (task.utime_ns - first_ns) / more == pytest.approx(15_000, rel=0.01)


def test_threads_are_added_and_the_last_ones_end(boot):
    files = boot(WEB)
    before = int(files.read("/proc/stat").split(b"processes ")[1].split()[0])
    write(files, "threads=3 cpus=1-3")
    files.run_for(50 * MS)
    pids = [task.pid for task in web(files).tasks]
    assert len(pids) == 3
    write(files, "threads=1")
    files.run_for(50 * MS)
    assert [task.pid for task in web(files).tasks] == pids[:1]
    with pytest.raises(OSError, match="Errno 2"):
        files.read(f"/proc/{pids[2]}/stat")
    assert int(files.read("/proc/stat").split(b"processes ")[1].split()[0]) == before + 2
    counts = results(files)
    others = sum(count for name, count in counts.items() if name != "offered")
    assert counts["offered"] == others


def test_a_program_that_is_off_is_changed_and_stays_off(boot):
    files = boot(WEB)
    write(files, "off")
    write(files, "work=9us")
    assert line(files).startswith("off kind=server ")
    assert "work=9us" in line(files)
    write(files, "on cpus=1")
    assert files.machine.applications["web"].threads[0].cpus_allowed == 0b10


def test_cpus_of_which_none_is_online_are_refused(boot):
    files = boot(WEB)
    files.machine.pc.hotplug.down(3)
    with pytest.raises(OSError, match="cpus=3: none of them is online") as refused:
        write(files, "cpus=3")
    assert refused.value.errno == errno.EINVAL
    write(files, "cpus=2-3")


def test_off_ends_the_threads_and_on_starts_new_ones(boot):
    files = boot(WEB)
    files.run_for(50 * MS)
    write(files, "off")
    assert line(files).startswith("off kind=server ")
    served = results(files)["served"]
    files.run_for(50 * MS)
    assert web(files).tasks == []
    assert results(files)["served"] == served > 0
    write(files, "on")
    files.run_for(50 * MS)
    assert results(files)["served"] > served


def test_a_program_that_is_removed_leaves_no_file_and_its_card_to_others(boot):
    files = boot(WEB)
    files.run_for(20 * MS)
    assert refusal(files, "name=two kind=server device=eth0", "new")[0] == errno.EBUSY
    write(files, "remove")
    with pytest.raises(OSError, match="Errno 2"):
        line(files)
    write(files, "name=two kind=server device=eth0 cpus=3", "new")
    files.run_for(20 * MS)
    assert results(files, "two")["served"] > 0


def test_a_program_can_be_made_on_a_machine_that_had_none(boot):
    files = boot()
    files.run_for(100 * MS)
    write(files, "name=db kind=io device=nvme0 cpus=2-3", "new")
    files.run_for(100 * MS)
    assert results(files, "db")["served"] > 500
    assert line(files, "db").startswith("kind=io device=nvme0 threads=1 cpus=2-3 ")
    for this in files.machine.kernel.cpus:
        times_ns = _times_ns(files.machine, this)
        assert sum(times_ns) == files.machine.timeline.now_ns
        assert times_ns[0] > 0  # what [load] lets run goes on as well


@pytest.mark.parametrize(
    ("text", "number", "why"),
    [
        ("wrok=1us", errno.EINVAL, "unknown key 'wrok'; did you mean \"work\"?"),
        ("work", errno.EINVAL, "write it like key=value"),
        ("cpus=9", errno.EINVAL, "cpus names CPU 9"),
        ("nice=20", errno.EINVAL, "nice is 20, but must be at most 19"),
        ("policy=fifo", errno.EINVAL, "priority is 0, but policy is \"fifo\"; choose one from 1"),
        ("priority=3", errno.EINVAL, "priority is 3, but policy is \"other\"; leave it out"),
        ("device=nvme0", errno.EINVAL, "device stays eth0; write remove"),
    ],
)  # fmt: skip
def test_a_mistake_changes_nothing_and_the_log_says_what_to_write(boot, text, number, why):
    files = boot(WEB)
    before = line(files)
    told_number, told = refusal(files, text)
    assert told_number == number
    assert "applications/web: " in told
    assert why in told
    assert line(files) == before


def test_a_new_program_needs_a_name_a_kind_and_a_device_that_suits(boot):
    files = boot(WEB)
    assert "name is missing" in refusal(files, "kind=io device=nvme0", "new")[1]
    assert "kind is missing" in refusal(files, "name=db device=nvme0", "new")[1]
    assert "not a drive" in refusal(files, "name=db kind=io device=eth0", "new")[1]
    number, told = refusal(files, "name=web kind=server device=eth0", "new")
    assert number == errno.EEXIST
    assert "write to applications/web" in told
    assert list(files.machine.applications) == ["web"]
    for size, why in (("0", 'use at least "1 KB"'), ("2MB", 'use at most "1024 KB"')):
        assert why in refusal(files, f"name=db kind=io device=nvme0 size={size}", "new")[1]


def test_a_key_that_stays_is_told_as_it_is_written(boot):
    files = boot()
    write(files, "name=db kind=io device=nvme0 sqpoll=true", "new")
    assert "sqpoll stays true; write remove" in refusal(files, "sqpoll=false", "db")[1]


def test_a_drive_ends_the_ios_of_a_program_that_is_off(boot):
    files = boot()
    write(files, "name=db kind=io device=nvme0 depth=16 cpus=2", "new")
    files.run_for(10 * MS)
    write(files, "off", "db")
    assert b"procs_blocked 0\n" in files.read("/proc/stat")
    files.run_for(10 * MS)
    counts = results(files, "db")
    assert counts["in_flight"] == 0
    assert counts["offered"] == counts["served"] + counts["ended"]
