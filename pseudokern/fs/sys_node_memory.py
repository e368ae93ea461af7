"""Show what is in nodeN of /sys/devices/system/node beside its CPUs: memory.

Follows drivers/base/node.c. Programs of the machine are a load on its CPUs and have no memory; what
is used is what the kernel itself needs, a struct page of 64 bytes for each page of 4 KiB.
"""

from pseudokern.machine.machine import Machine

PAGES_PER_STRUCT_PAGE = 64
_KB = (
    "SwapCached", "Active", "Inactive", "Active(anon)", "Inactive(anon)", "Active(file)",
    "Inactive(file)", "Unevictable", "Mlocked", "Dirty", "Writeback", "FilePages", "Mapped",
    "AnonPages", "Shmem", "KernelStack", "PageTables", "SecPageTables", "NFS_Unstable", "Bounce",
    "WritebackTmp", "KReclaimable", "Slab", "SReclaimable", "SUnreclaim", "AnonHugePages",
    "ShmemHugePages", "ShmemPmdMapped", "FileHugePages", "FilePmdMapped", "Unaccepted",
)  # fmt: skip
_PAGES = ("HugePages_Total", "HugePages_Free", "HugePages_Surp")
_COUNTS = ("numa_hit", "numa_miss", "numa_foreign", "interleave_hit", "local_node", "other_node")


def show_meminfo(machine: Machine, node: int) -> bytes:
    total_kb = machine.description.memory_kb
    used_kb = total_kb // PAGES_PER_STRUCT_PAGE
    sizes = {"MemTotal": total_kb, "MemFree": total_kb - used_kb, "MemUsed": used_kb}
    lines = [f"Node {node} {name + ':':<15} {sizes.get(name, 0):>8} kB" for name in (*sizes, *_KB)]
    lines += [f"Node {node} {name + ':':<16} {0:>5}" for name in _PAGES]
    return ("\n".join(lines) + "\n").encode()


def show_numastat(_machine: Machine, _node: int) -> bytes:
    return "".join(f"{name} 0\n" for name in _COUNTS).encode()
