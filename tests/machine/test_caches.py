"""Caches have the sizes of the machine file, and are shared by neighbouring cores."""

import pytest

from pseudokern.kernel.cpumask import cpulist_format
from pseudokern.machine.description import Overrides, load
from pseudokern.machine.machine import Machine
from pseudokern.machine.problems import DescriptionErrors

EPYC = """
[machine]
sockets = 2
cores = 16
threads = 2
nodes = 4
[cache]
l2 = "512 KB"
l2_ways = 8
l3 = "32 MB"
l3_ways = 16
l3_cores = 8
"""
ALDER_LAKE = """
[machine]
cores = 4
threads = 2
efficient_cores = 8
[cpu]
cache = "18 MB"
"""


@pytest.fixture
def caches(tmp_path):
    """What a CPU of a machine has: level, type, size, id and sharers of each."""

    def caches(text, cpu):
        file = tmp_path / "machine.toml"
        file.write_text(text)
        machine = Machine(load(file), 0)
        return [
            (kind.level, kind.type[0], kind.size_kb, number, cpulist_format(cpus))
            for kind, number, cpus in machine.caches.of(cpu)
        ]

    return caches


def test_eight_cores_of_a_socket_share_the_last_level(caches):
    assert caches(EPYC, 8) == [
        (1, "D", 48, 8, "8,40"),
        (1, "I", 32, 8, "8,40"),
        (2, "U", 512, 8, "8,40"),
        (3, "U", 32 << 10, 1, "8-15,40-47"),
    ]
    assert caches(EPYC, 63)[3] == (3, "U", 32 << 10, 3, "24-31,56-63")


def test_four_efficient_cores_share_a_second_level_and_all_cores_the_third(caches):
    assert caches(ALDER_LAKE, 3)[2:] == [(2, "U", 1280, 1, "2-3"), (3, "U", 18 << 10, 0, "0-15")]
    assert caches(ALDER_LAKE, 12) == [
        (1, "D", 32, 20, "12"),
        (1, "I", 64, 20, "12"),
        (2, "U", 2048, 5, "12-15"),
        (3, "U", 18 << 10, 0, "0-15"),
    ]


@pytest.mark.parametrize("text", [EPYC, ALDER_LAKE])
@pytest.mark.parametrize("cpus", [None, 6, 11])
def test_every_cache_has_an_id_of_its_own_and_its_sharers_agree(tmp_path, text, cpus):
    file = tmp_path / "machine.toml"
    file.write_text(text)
    machine = Machine(load(file, Overrides(cpus=cpus)), 0)
    found = {}
    for cpu in range(machine.kernel.nr_cpu_ids):
        for cache in machine.caches.of(cpu):
            key = (cache.kind.level, cache.kind.type, cache.id)
            assert cache.cpus >> cpu & 1
            assert found.setdefault(key, cache.cpus) == cache.cpus


def test_cache_of_size_0_is_not_there(caches):
    assert len(caches('[machine]\ncpus = 2\n[cache]\nl3 = "0 KB"\n', 0)) == 3


def test_mistakes_are_told_with_their_lines(tmp_path):
    file = tmp_path / "broken.toml"
    file.write_text(
        """
[machine]
cores = 6
dies = 4
efficient_cores = 2
sockets = 2
distance = 5
[cache]
l2 = "101 KB"
l3_cores = 7
l2_core = 2
"""
    )
    with pytest.raises(DescriptionErrors) as errors:
        load(file)
    assert [line.partition(":")[2] for line in str(errors.value).splitlines()] == [
        "4: [machine]: dies is 4, which does not divide 6 cores of a socket evenly; leave it out",
        "5: [machine]: efficient_cores go with one socket, one node and one die;"
        " leave out sockets, nodes and dies",
        "7: [machine]: distance is 5, but must be at least 10",
        "9: [cache]: l2 of 101 KB in 20 ways has no whole number of sets;"
        " change the size or the ways",
        "10: [cache]: l3_cores is 7, but a socket has 6 cores; leave it out",
        '11: [cache]: unknown key "l2_core"; did you mean "l2_cores"?',
    ]
