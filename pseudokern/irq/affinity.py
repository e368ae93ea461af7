"""Spread the vectors of a device over the CPUs.

Follows kernel/irq/affinity.c (irq_create_affinity_masks) and lib/group_cpus.c
(group_cpus_evenly): nodes first, then cores with their siblings.
"""

from collections.abc import Callable

from pseudokern.kernel.cpumask import CpuId, CpuMask, cpus_of, first_cpu
from pseudokern.kernel.sort import heapsort


def group_cpus_evenly(
    groups: int,
    possible: CpuMask,
    present: CpuMask,
    node_of: Callable[[CpuId], int],
    siblings_of: Callable[[CpuId], CpuMask],
) -> list[CpuMask]:
    """Sort all possible CPUs into groups: the present ones first, then the others."""
    masks: list[CpuMask] = [0] * groups
    used = _spread(masks, 0, present, node_of, siblings_of)
    _spread(masks, 0 if used >= groups else used, possible & ~present, node_of, siblings_of)
    return masks


def create_affinity_masks(
    vectors: int, pre: int, post: int, default: CpuMask, spread: Callable[[int], list[CpuMask]]
) -> list[tuple[CpuMask, bool]]:
    """For each vector its mask and whether it is managed; pre and post ones are not."""
    managed = vectors - pre - post
    masks = [mask or default for mask in spread(managed)] if managed > 0 else []
    return [(default, False)] * pre + [(mask, True) for mask in masks] + [(default, False)] * post


def _spread(
    masks: list[CpuMask],
    start: int,
    cpus: CpuMask,
    node_of: Callable[[CpuId], int],
    siblings_of: Callable[[CpuId], CpuMask],
) -> int:
    """Put cpus into masks from group `start` on; return how many groups got some."""
    if not cpus:
        return 0
    by_node: dict[int, CpuMask] = {}
    for cpu in cpus_of(cpus):
        by_node[node_of(cpu)] = by_node.get(node_of(cpu), 0) | 1 << cpu
    current = start
    if len(masks) <= len(by_node):
        for node in sorted(by_node):
            masks[current] |= by_node[node]
            current = (current + 1) % len(masks)
        return len(masks)
    done = 0
    nodes = [by_node[node] for node in sorted(by_node)]
    for node_cpus, share in _share_groups(len(masks), nodes):
        per_group, extra = divmod(node_cpus.bit_count(), share)
        for number in range(share):
            taken = _take(node_cpus, per_group + (number < extra), siblings_of)
            node_cpus &= ~taken
            masks[current] |= taken
            current = (current + 1) % len(masks)
            done += 1
    return done


def _share_groups(groups: int, nodes: list[CpuMask]) -> list[tuple[CpuMask, int]]:
    """How many groups each node gets, nodes with fewer CPUs first: at least one each.

    Of two nodes with as many CPUs the second comes first: that is how the kernel's sort has it.
    """
    heapsort(nodes, key=int.bit_count)
    cpus_left = sum(mask.bit_count() for mask in nodes)
    groups_left = min(groups, cpus_left)
    shares = []
    for mask in nodes:
        share = max(1, groups_left * mask.bit_count() // cpus_left)
        shares.append((mask, share))
        groups_left -= share
        cpus_left -= mask.bit_count()
    return shares


def _take(cpus: CpuMask, count: int, siblings_of: Callable[[CpuId], CpuMask]) -> CpuMask:
    """count CPUs of cpus: the lowest, then its siblings, then the next lowest."""
    taken: CpuMask = 0
    while count > 0 and cpus:
        core = siblings_of(first_cpu(cpus)) & cpus | 1 << first_cpu(cpus)
        for cpu in cpus_of(core):
            if count == 0:
                break
            taken |= 1 << cpu
            cpus &= ~(1 << cpu)
            count -= 1
    return taken
