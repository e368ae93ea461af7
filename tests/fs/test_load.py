"""Loads are begun, shown and ended by files, and features are set by one."""

import errno

import pytest

from pseudokern.fs.tree import Tree
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from tests.fs.whole_files import read, write

DEBUG = "/sys/kernel/debug/pseudokern"


@pytest.fixture
def tree():
    return Tree(Machine(load("laptop"), 0))


def test_drives_are_there_to_be_loaded(tree):
    names = [name for name, _ in tree.readdir(f"{DEBUG}/load")]
    assert "nvme0" in names
    assert "ttyS0" not in names
    assert names == [name for name, _ in tree.readdir(f"{DEBUG}/results")]


def test_load_is_begun_and_ended_by_its_file(tree):
    path = f"{DEBUG}/load/nvme0"
    assert read(tree, path) == "off\n"
    write(tree, path, "depth=2 read=50%\n")
    assert read(tree, path) == "depth=2 read=50% size=4KB\n"
    assert "in_flight 8\n" in read(tree, f"{DEBUG}/results/nvme0")
    write(tree, path, "off")
    assert read(tree, path) == "off\n"


@pytest.mark.parametrize("name", ["nvme0", "eth0"])
def test_line_of_a_high_rate_can_be_written_again(tree, name):
    path = f"{DEBUG}/load/{name}"
    write(tree, path, "rate=2.345678MHz")
    line = read(tree, path)
    assert line.startswith("rate=2345678/s ")
    write(tree, path, line)
    assert read(tree, path) == line
    write(tree, path, "off")


def test_mistake_is_einval(tree):
    with pytest.raises(OSError, match="depth") as error:
        write(tree, f"{DEBUG}/load/nvme0", "depht=3")
    assert error.value.errno == errno.EINVAL


def test_feature_is_set_by_its_number(tree):
    path = f"{DEBUG}/nvme/nvme0/features"
    assert "0x08 0x00000000 0x00000000\n" in read(tree, path)
    write(tree, path, "0x08 0x107")
    write(tree, path, "9 0x10002")
    assert "0x08 0x00000107 0x00000000\n" in read(tree, path)
    nines = [line for line in read(tree, path).splitlines() if line.startswith("0x09")]
    assert nines == [
        "0x09 0x00010000 0x00010000",
        "0x09 0x00000001 0x00000001",
        "0x09 0x00010002 0x00000002",
        "0x09 0x00000003 0x00000003",
        "0x09 0x00000004 0x00000004",
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0x08", errno.EINVAL),
        ("0x08 many", errno.EINVAL),
        ("0x08 0x100000000", errno.EINVAL),
        ("0xc0 1", errno.EINVAL),
        ("0x09 0x10009", errno.EINVAL),
        ("0x07 3", errno.EBUSY),
    ],
)
def test_feature_that_cannot_be_set_is_refused(tree, text, number):
    with pytest.raises(OSError, match=r"\S") as error:
        write(tree, f"{DEBUG}/nvme/nvme0/features", text)
    assert error.value.errno == number
