"""Why a write was refused can be read afterwards."""

import errno

import pytest

REFUSED = "/sys/kernel/debug/pseudokern/refused"


def test_reason_of_a_refused_write_is_kept_with_time_path_and_errno(boot):
    files = boot("laptop")
    assert files.read(REFUSED) == b""

    with pytest.raises(OSError, match="no online CPU") as caught:
        files.write("/proc/irq/29/smp_affinity", "0\n")
    assert caught.value.errno == errno.EINVAL
    line = files.read(REFUSED).decode()
    assert line.startswith("[    1.000000] /proc/irq/29/smp_affinity: EINVAL: ")
    assert line.count("\n") == 1


def test_accepted_writes_are_not_among_them(boot):
    files = boot("laptop")
    files.write("/proc/irq/29/smp_affinity", "3\n")
    assert files.read(REFUSED) == b""


def test_command_that_is_interrupted_is_kept_too(boot):
    files = boot("laptop")
    irqctl = files.tree.open("/sys/kernel/debug/pseudokern/irqctl", 1, files.root)
    work = irqctl.write(b"inject 1 5", 0)
    work.fail(OSError(errno.EINTR, "a signal came"))
    assert files.read(REFUSED).endswith(b"irqctl: EINTR: a signal came\n")


def test_the_last_64_are_kept(boot):
    files = boot("laptop")
    for number in range(70):
        with pytest.raises(OSError, match="no number"):
            files.write("/proc/irq/29/smp_affinity_list", f"x{number}\n")
    lines = files.read(REFUSED).decode().splitlines()
    assert len(lines) == 64
    assert "x6" in lines[0]
    assert "x69" in lines[-1]


def test_command_in_step_mode_returns_at_once_and_happens_as_time_passes(boot):
    files = boot("laptop")
    files.machine.clock.set_mode("step")
    before = files.rows()["1"]
    irqctl = files.tree.open("/sys/kernel/debug/pseudokern/irqctl", 1, files.root)
    assert irqctl.write(b"inject 1 5", 0) == 10
    assert files.rows()["1"] == before

    files.run_for(50_000_000)
    assert sum(files.rows()["1"]) >= sum(before) + 5


def test_command_after_the_end_of_time_is_refused(boot):
    files = boot("laptop")
    files.machine.clock.end_ns = files.machine.timeline.now_ns
    with pytest.raises(OSError, match="time ended") as caught:
        files.command("inject 1 5")
    assert caught.value.errno == errno.ETIME


@pytest.mark.parametrize(
    ("name", "like"),
    [("ring", "rx 512"), ("channels", "combined 2"), ("coalesce", "rx-usecs 50"),
     ("features", "rx-gro off"), ("pause", "rx off")],
)  # fmt: skip
def test_setting_of_a_card_says_how_its_own_file_is_written(boot, name, like):
    files = boot("laptop")
    with pytest.raises(OSError, match=f"like {like}$"):
        files.write(f"/sys/kernel/debug/pseudokern/net/eth0/{name}", "nonsense")
