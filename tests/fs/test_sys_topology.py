"""CPUs, nodes and caches in /sys agree with each other, whatever is switched on or off."""

import pytest

from pseudokern.fs.tree import Tree
from pseudokern.kernel.cpumask import cpulist_parse
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from tests.fs.whole_files import read

CPUS = "/sys/devices/system/cpu"
NODES = "/sys/devices/system/node"


@pytest.fixture
def tree(tmp_path):
    file = tmp_path / "machine.toml"
    file.write_text(
        """
[machine]
sockets = 2
cores = 4
threads = 2
nodes = 4
possible_cpus = 20
memory = "32 GB"
distance = 32
socket_distance = 12
"""
    )
    return Tree(Machine(load(file), 0))


def names(tree, path):
    return {name for name, _ in tree.readdir(path)}


def cpus(tree, path):
    return set(bits(cpulist_parse(read(tree, path).strip().encode(), 20)))


def bits(mask):
    return [cpu for cpu in range(mask.bit_length()) if mask >> cpu & 1]


def test_only_cpus_that_are_plugged_in_have_a_directory(tree):
    assert {name for name in names(tree, CPUS) if name[3:].isdigit()} == {
        f"cpu{cpu}" for cpu in range(16)
    }
    assert read(tree, f"{CPUS}/possible") == "0-19\n"
    with pytest.raises(FileNotFoundError):
        tree.getattr(f"{CPUS}/cpu16")


def test_cpu_that_is_off_has_neither_topology_nor_cache_and_nobody_shares_with_it(tree):
    tree.machine.pc.hotplug.down(9)

    assert {"topology", "cache"} & names(tree, f"{CPUS}/cpu9") == set()
    assert read(tree, f"{CPUS}/cpu1/topology/thread_siblings_list") == "1\n"
    assert read(tree, f"{CPUS}/cpu1/cache/index0/shared_cpu_list") == "1\n"
    assert read(tree, f"{CPUS}/cpu1/cache/index3/shared_cpu_list") == "0-3,8,10-11\n"
    assert read(tree, f"{NODES}/node0/cpulist") == "0-1,8\n"
    assert "node0" in names(tree, f"{CPUS}/cpu9")
    assert "cpu9" in names(tree, f"{NODES}/node0")

    tree.machine.pc.hotplug.up(9)
    assert read(tree, f"{CPUS}/cpu1/cache/index0/shared_cpu_list") == "1,9\n"


@pytest.mark.parametrize("off", [[], [3], [1, 8, 15]])
def test_links_masks_and_lists_of_cpus_nodes_and_caches_agree(tree, off):
    for cpu in off:
        tree.machine.pc.hotplug.down(cpu)
    online = cpus(tree, f"{CPUS}/online")
    assert online == set(range(16)) - set(off)
    assert set().union(*(cpus(tree, f"{NODES}/node{n}/cpulist") for n in range(4))) == online
    for cpu in online:
        (node,) = (name for name in names(tree, f"{CPUS}/cpu{cpu}") if name.startswith("node"))
        assert tree.readlink(f"{CPUS}/cpu{cpu}/{node}") == f"../../node/{node}"
        assert tree.readlink(f"{NODES}/{node}/cpu{cpu}") == f"../../cpu/cpu{cpu}"
        assert cpu in cpus(tree, f"{NODES}/{node}/cpulist")
        for index in range(4):
            shared = f"cache/index{index}/shared_cpu_list"
            sharers = cpus(tree, f"{CPUS}/cpu{cpu}/{shared}")
            assert cpu in sharers
            assert sharers <= online
            assert all(cpus(tree, f"{CPUS}/cpu{other}/{shared}") == sharers for other in sharers)


def test_node_says_how_far_the_others_are_and_how_much_memory_it_has(tree):
    assert read(tree, f"{NODES}/node1/distance") == "12 10 32 32\n"
    lines = read(tree, f"{NODES}/node1/meminfo").splitlines()
    assert lines[0] == "Node 1 MemTotal:        8388608 kB"
    assert lines[-1] == "Node 1 HugePages_Surp:      0"
    words = [line.split() for line in lines[:3]]
    total, free, used = (int(line[3]) for line in words)
    assert total == free + used == 8 << 20
