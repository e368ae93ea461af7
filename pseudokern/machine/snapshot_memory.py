"""Work out how much memory the nodes have, and how far they are from each other.

A machine file knows one distance within a socket and one across, and nodes of the same size: the
first ones that were recorded stand for all.
"""

import re

from pseudokern.machine.snapshot_files import Recording
from pseudokern.machine.topology import Topology

NEAREST, FARTHEST = 11, 254
MOST_KB = 1 << 50
_NODES = "sys/devices/system/node"


def memory_table(recording: Recording, topology: Topology) -> dict[str, object]:
    """The keys memory, socket_distance and distance, as far as they were recorded."""
    table: dict[str, object] = {}
    total = re.match(
        r"Node 0 MemTotal: +([0-9]{1,15}) kB", recording.get(f"{_NODES}/node0/meminfo")
    )
    if total and 0 < int(total[1]) * topology.nodes < MOST_KB:
        table["memory"] = f"{int(total[1]) * topology.nodes} KB"
    words = recording.get(f"{_NODES}/node0/distance").split()
    if len(words) != topology.nodes or not all(re.fullmatch("[0-9]{2,3}", word) for word in words):
        return table
    distances = [int(word) for word in words]
    if not all(NEAREST <= distance <= FARTHEST for distance in distances[1:]):
        return table
    of_socket = max(1, topology.nodes // topology.sockets)
    if of_socket > 1:
        table["socket_distance"] = distances[1]
    if of_socket < topology.nodes:
        table["distance"] = distances[-1]
    return table
