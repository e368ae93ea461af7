"""An XDP program is attached, read about and detached by the file of its card."""

import errno
import os

import pytest

from pseudokern.fs.open_file import Opening
from pseudokern.fs.tree import Tree
from pseudokern.fs.xdp import XdpProgramFile
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from pseudokern.machine.problems import DescriptionErrors
from tests.fs.whole_files import read, write

MACHINE = """
[machine]
cpus = 2

[[device]]
name = "eth0"
driver = "pseudokern.drivers.nic"
style = "mlx5"
rate = "100 kHz"
{key}
"""
PATH = "/sys/kernel/debug/pseudokern/xdp/eth0"
MS = 1_000_000


@pytest.fixture
def boot(tmp_path):
    (tmp_path / "drop.py").write_text("def drop(frame):\n    return 1\n")

    def booted(key=""):
        path = tmp_path / "one.toml"
        path.write_text(MACHINE.format(key=key))
        return Machine(load(path), 0)

    return booted


def pass_time(machine, ms):
    end_ns = machine.timeline.now_ns + ms * MS
    while not machine.timeline.run(end_ns, 100_000):
        continue


def test_program_is_attached_and_detached_while_frames_come(boot, tmp_path):
    machine = boot()
    tree = Tree(machine)
    assert read(tree, PATH) == "off\npass 0\ndrop 0\naborted 0\ntx 0\ntx_full 0\n"
    write(tree, PATH, "./drop.py:drop\n")
    pass_time(machine, 10)
    first, *counts = read(tree, PATH).splitlines()
    assert first == f"{tmp_path}/drop.py:drop native"
    dropped = int(counts[1].split()[1])
    assert dropped == pytest.approx(1_000, rel=0.2)
    assert counts[5] == f"rx-0 pass 0 drop {dropped} aborted 0 tx 0 tx_full 0"
    stats = read(tree, "/sys/kernel/debug/pseudokern/net/eth0/stats")
    assert f"rx_xdp_drop: {dropped}\n" in stats
    assert f"rx0_xdp_drop: {dropped}\n" in stats
    assert f"dropped_xdp_drop {dropped}\n" in read(tree, PATH.replace("xdp", "results"))
    write(tree, PATH, "off")
    pass_time(machine, 10)
    assert read(tree, PATH).startswith(f"off\npass 0\ndrop {dropped}\n")


def test_machine_without_a_program_keeps_its_short_ways_when_somebody_looks(boot):
    machine = boot()
    assert read(Tree(machine), PATH).startswith("off\n")
    assert any(desc.fast_counts is not None for desc in machine.irqs)


def test_program_of_the_machine_file_is_there_from_the_beginning(boot):
    machine = boot('xdp = "./drop.py:drop"')
    pass_time(machine, 10)
    assert "pass 0\n" in read(Tree(machine), PATH)
    assert "drop 0\n" not in read(Tree(machine), PATH)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("gone.py:f", errno.ENOENT, "there is no file"),
        ("./drop.py:gone", errno.EINVAL, "drop.py has no function gone"),
        ("./drop.py:drop offload", errno.EINVAL, "write FILE.py:FUNCTION"),
        ("", errno.EINVAL, "write FILE.py:FUNCTION"),
        ("'", errno.EINVAL, "No closing quotation"),
    ],
)
def test_what_is_no_program_is_refused_with_one_line_in_the_log(boot, text, code, said):
    machine = boot()
    before = len(list(machine.kernel.log))
    with pytest.raises(OSError, match=said) as error:
        write(Tree(machine), PATH, text)
    assert error.value.errno == code
    lines = [str(record) for record in machine.kernel.log][before:]
    assert len(lines) == 1
    assert f"mlx5_core 0000:00:02.0 eth0: XDP {text!r}: {said}" in lines[0]


def test_who_is_not_root_attaches_nothing_whatever_the_mode(boot):
    machine = boot()
    with pytest.raises(OSError, match="root") as error:
        XdpProgramFile(machine, Opening(os.O_WRONLY, by_root=False), machine.devices[0])
    assert error.value.errno == errno.EPERM


def test_mistake_in_the_machine_file_is_told_before_anything_boots(boot):
    with pytest.raises(DescriptionErrors) as error:
        boot('xdp = "./drop.py:dorp"')
    assert 'xdp is "./drop.py:dorp": drop.py has no function dorp' in str(error.value)
