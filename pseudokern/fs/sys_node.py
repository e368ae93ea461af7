"""Show /sys/devices/system/node.

Follows drivers/base/node.c. Distances are those of firmware that gives none: 10 at home, 20 away.
"""

from collections.abc import Iterable

from pseudokern.kernel.cpumask import cpulist_format, cpumask_format
from pseudokern.machine.machine import Machine

LOCAL_DISTANCE = 10
REMOTE_DISTANCE = 20


def node_names(machine: Machine) -> Iterable[str]:
    return [f"node{node}" for node in range(machine.description.nodes)]


def find_node(machine: Machine, name: str) -> int | None:
    names = list(node_names(machine))
    return names.index(name) if name in names else None


def show_all(machine: Machine) -> bytes:
    """Nodes that exist: all have memory, and are online."""
    return _list((1 << machine.description.nodes) - 1)


def show_has_cpu(machine: Machine) -> bytes:
    nodes = range(machine.description.nodes)
    return _list(sum(1 << n for n in nodes if machine.kernel.cpumask_of_node(n)))


def show_none(_machine: Machine) -> bytes:
    return b"\n"


def show_cpulist(machine: Machine, node: int) -> bytes:
    return _list(machine.kernel.cpumask_of_node(node) & machine.kernel.online)


def show_cpumap(machine: Machine, node: int) -> bytes:
    kernel = machine.kernel
    mask = kernel.cpumask_of_node(node) & kernel.online
    return f"{cpumask_format(mask, kernel.nr_cpu_ids)}\n".encode()


def show_distance(machine: Machine, node: int) -> bytes:
    distances = [
        LOCAL_DISTANCE if other == node else REMOTE_DISTANCE
        for other in range(machine.description.nodes)
    ]
    return (" ".join(map(str, distances)) + "\n").encode()


def _list(mask: int) -> bytes:
    return f"{cpulist_format(mask)}\n".encode()
