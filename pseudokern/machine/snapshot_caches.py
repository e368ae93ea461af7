"""Work out the caches: their sizes, their ways, and how many cores share one.

A machine file knows one kind of each level, and another one for efficient cores: the first CPU of
each kind stands for all.
"""

import re
from collections.abc import Iterator

from pseudokern.kernel.cpumask import CpuId, CpuMask
from pseudokern.machine.caches import WAYS, has_whole_sets
from pseudokern.machine.snapshot_board import Board, parse_cpus
from pseudokern.machine.snapshot_files import Recording

MOST_INDEX = 8
MOST_WAYS = 64
_NAMES = {("1", "Data"): "l1d", ("1", "Instruction"): "l1i", ("2", "Unified"): "l2"}
_NAMES |= {("3", "Unified"): "l3"}


def cache_table(recording: Recording, board: Board) -> dict[str, object]:
    """The keys of [cache], as far as they were recorded; none if no cache of CPU 0 was."""
    topology = board.topology
    table: dict[str, object] = {}
    for name, size_kb, ways, sharers in _caches(recording, CpuId(0)):
        table[name], table[f"{name}_ways"] = f"{size_kb} KB", ways
        if name in ("l2", "l3"):
            cores = _cores(sharers, board, largest=name == "l3")
            if cores < topology.all_cores:
                table[f"{name}_cores"] = cores
    if not table:
        return {}
    if topology.efficient_cores:
        slow = CpuId(topology.cores * topology.threads)
        for name, size_kb, _, _ in _caches(recording, slow):
            key = f"efficient_{name}"
            if key in WAYS and has_whole_sets(size_kb, WAYS[key]):
                table[key] = f"{size_kb} KB"
    return {name: "0 KB" for name in _NAMES.values() if name not in table} | table


def _caches(recording: Recording, cpu: CpuId) -> Iterator[tuple[str, int, int, CpuMask]]:
    """Name, size, ways and sharers of each cache of a CPU."""
    for index in range(MOST_INDEX):
        directory = f"sys/devices/system/cpu/cpu{cpu}/cache/index{index}"
        level, kind = recording.get(f"{directory}/level"), recording.get(f"{directory}/type")
        size = re.fullmatch("([0-9]{1,8})K", recording.get(f"{directory}/size"))
        ways = re.fullmatch("[0-9]{1,2}", recording.get(f"{directory}/ways_of_associativity"))
        name = _NAMES.get((level, kind))
        if name is None or size is None or ways is None:
            continue
        if 1 <= int(ways[0]) <= MOST_WAYS and has_whole_sets(int(size[1]), int(ways[0])):
            sharers = parse_cpus(recording.get(f"{directory}/shared_cpu_list"))
            yield name, int(size[1]), int(ways[0]), sharers


def _cores(sharers: CpuMask, board: Board, *, largest: bool) -> int:
    """How many neighbouring cores share what these CPUs do; those that are offline are not told."""
    every = range(1, board.topology.all_cores + 1)
    for cores in reversed(every) if largest else every:
        if board.topology.group_mask(CpuId(0), cores) & board.online == sharers:
            return cores
    return board.topology.all_cores if largest else 1
