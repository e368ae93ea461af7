"""Show /sys/devices/system/node.

Follows drivers/base/node.c. The distances are 10 at home, and else those of the machine file; where
firmware says nothing of them Linux takes 20.
"""

from collections.abc import Iterable

from pseudokern.kernel.cpumask import CpuId, cpulist_format, cpumask_format, cpus_of
from pseudokern.machine.machine import Machine

LOCAL_DISTANCE = 10


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
    near, far = machine.description.distances
    of_socket = max(1, machine.description.nodes // machine.description.topology.sockets)
    distances = [
        LOCAL_DISTANCE
        if other == node
        else near
        if other // of_socket == node // of_socket
        else far
        for other in range(machine.description.nodes)
    ]
    return (" ".join(map(str, distances)) + "\n").encode()


def own_node_names(machine: Machine, cpu: CpuId) -> Iterable[str]:
    """The one node that a CPU is in, for the link from its directory."""
    return [f"node{machine.kernel.node_of(cpu)}"]


def find_own_node(machine: Machine, name: str, cpu: CpuId) -> int | None:
    node = machine.kernel.node_of(cpu)
    return node if name == f"node{node}" else None


def link_to_node(_machine: Machine, _cpu: CpuId, node: int) -> str:
    return f"../../node/node{node}"


def cpu_names(machine: Machine, node: int) -> Iterable[str]:
    """The CPUs of a node that are plugged in, whether they are on or off."""
    kernel = machine.kernel
    return [f"cpu{cpu}" for cpu in cpus_of(kernel.cpumask_of_node(node) & kernel.present)]


def find_cpu(machine: Machine, name: str, node: int) -> str | None:
    return name if name in cpu_names(machine, node) else None


def link_to_cpu(_machine: Machine, _node: int, name: str) -> str:
    return f"../../cpu/{name}"


def _list(mask: int) -> bytes:
    return f"{cpulist_format(mask)}\n".encode()
