"""Drives are found by class, and their queues are those of their interrupts."""

import posixpath

import pytest

from pseudokern.fs.tree import Tree
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from tests.fs.whole_files import ROOT, read


@pytest.fixture(scope="module")
def tree():
    return Tree(Machine(load("server-64"), 0))


def resolve(tree, link):
    """Where a link leads, from the directory that it is in."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(link), tree.readlink(link)))


@pytest.mark.parametrize("link", ["/sys/class/block/nvme2n1", "/sys/block/nvme2n1"])
def test_disk_leads_to_its_controller_and_that_to_its_function(tree, link):
    function = "/sys/devices/pci0000:b1/0000:b1:00.0"
    disk = resolve(tree, link)
    assert disk == f"{function}/nvme/nvme2/nvme2n1"
    controller = resolve(tree, f"{disk}/device")
    assert controller == resolve(tree, "/sys/class/nvme/nvme2")
    assert resolve(tree, f"{controller}/device") == function
    assert read(tree, f"{controller}/address") == "0000:b1:00.0\n"
    assert read(tree, f"{controller}/numa_node") == "1\n"
    assert read(tree, f"{controller}/queue_count") == "65\n"


def test_cpus_of_a_hardware_queue_are_those_of_its_interrupt(tree):
    queues = f"{resolve(tree, '/sys/block/nvme0n1')}/mq"
    lists = [read(tree, f"{queues}/{name}/cpu_list") for name, _ in tree.readdir(queues)]
    assert len(lists) == 64
    assert sorted(int(cpus) for cpus in lists) == list(range(64))
    irqs = [
        desc for desc in tree.machine.irqs if desc.actions and desc.actions[0].name == "nvme0q7"
    ]
    (desc,) = irqs
    assert read(tree, f"/proc/irq/{desc.irq}/smp_affinity_list") == read(
        tree, f"{queues}/6/cpu_list"
    )


def test_drive_without_driver_is_in_no_class():
    tree = Tree(Machine(load("server-64"), 0))
    file = tree.open("/sys/bus/pci/drivers/nvme/unbind", 1, ROOT)
    file.write(b"0000:b1:00.0", 0)
    assert [name for name, _ in tree.readdir("/sys/class/nvme")] == ["nvme0", "nvme1", "nvme3"]
