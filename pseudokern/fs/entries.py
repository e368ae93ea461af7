"""List every file and directory of the mount, with who shows it and who takes what is written.

A path component in braces stands for a collection: {irq} for every interrupt that has a directory
in /proc/irq. show and store get the machine and then what the braces stand for, in order. show
returns the text, or a list of records where it matters how reads cut it (seq_file.py).
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple, TypeAlias

from pseudokern.fs import (
    debug,
    ports,
    proc_irq,
    proc_pid,
    sys_cpu,
    sys_irq,
    sys_node,
    sys_pci,
    sysctl_printk,
)
from pseudokern.fs.cpuinfo import records_cpuinfo
from pseudokern.fs.interrupts import records_interrupts
from pseudokern.fs.kmsg import KmsgFile
from pseudokern.fs.open_file import OpenFile
from pseudokern.fs.profile import PROFILES
from pseudokern.fs.softirqs import show_softirqs
from pseudokern.fs.stat import show_stat, show_uptime
from pseudokern.irq.desc import IrqDesc
from pseudokern.kernel.cpumask import CpuId, cpus_of
from pseudokern.machine.machine import Machine
from pseudokern.machine.topology import Topology

Shown: TypeAlias = bytes | list[bytes]
Show: TypeAlias = Callable[..., Shown]
Store: TypeAlias = Callable[..., Any]  # None, or a Completion of what was begun
Mode: TypeAlias = int | Callable[..., int]


class Entry(NamedTuple):
    """A file. mode may depend on the object, and so may whether there is one: exists."""

    path: str
    mode: Mode
    show: Show | None
    store: Store | None = None
    exists: Callable[..., bool] | None = None


class Special(NamedTuple):
    """A file with an open(machine, opening, ...) of its own."""

    path: str
    mode: int
    open: Callable[..., OpenFile]


class Link(NamedTuple):
    """A symbolic link; target(machine, ...) says where to."""

    path: str
    target: Callable[..., str]
    exists: Callable[..., bool] | None = None


class Folder(NamedTuple):
    """A directory of which more is to be said than follows from the paths of its files."""

    path: str
    mode: int
    exists: Callable[..., bool] | None = None


class Collection(NamedTuple):
    """What a component in braces stands for.

    names(machine, ...)       the names in the directory
    find(machine, name, ...)  the object of that name, or None
    """

    names: Callable[..., Iterable[str]]
    find: Callable[..., object | None]


def _later(module: str, function: str) -> Callable[..., Any]:
    """A function of a module of fs that is imported when it is needed: boot has no time for it."""

    def call(*arguments: object) -> Any:
        return getattr(import_module(f"pseudokern.fs.{module}"), function)(*arguments)

    return call


def _find_proc_irq(machine: Machine, name: str) -> IrqDesc | None:
    desc = _find_irq(machine, name)
    return desc if desc is not None and desc.proc_mode else None


def _find_irq(machine: Machine, name: str) -> IrqDesc | None:
    number = _number(name)
    return None if number is None else machine.irqs.get(number)


def _find_action(_machine: Machine, name: str, desc: IrqDesc) -> str | None:
    return name if any(action.proc_name == name for action in desc.actions) else None


def _find_cpu(machine: Machine, name: str) -> CpuId | None:
    number = _number(name.removeprefix("cpu")) if name.startswith("cpu") else None
    return CpuId(number) if number is not None and machine.kernel.present >> number & 1 else None


def _number(name: str) -> Any:
    """A number as the kernel writes it: no sign, no leading zero."""
    return int(name) if name.isascii() and name.isdigit() and str(int(name)) == name else None


def _debug_irq(name: str) -> Callable[..., Any]:
    """A function of debug_irq. Imported at its first use: boot shall not wait for it."""

    def call(*args: object) -> Any:
        from pseudokern.fs import debug_irq

        return getattr(debug_irq, name)(*args)

    return call


COLLECTIONS = {
    "{irq}": Collection(
        lambda machine: [str(desc.irq) for desc in machine.irqs if desc.proc_mode], _find_proc_irq
    ),
    "{any irq}": Collection(lambda machine: [str(desc.irq) for desc in machine.irqs], _find_irq),
    "{domain}": Collection(_debug_irq("domain_names"), _debug_irq("find_domain")),
    "{pid}": Collection(
        lambda machine: [*map(str, machine.irqs.kthreads.by_pid), *map(str, machine.tasks)],
        lambda machine, name: (
            machine.irqs.kthreads.by_pid.get(number := _number(name)) or machine.tasks.get(number)
        ),
    ),
    "{tid}": Collection(proc_pid.thread_ids, proc_pid.find_thread),
    "{action}": Collection(
        lambda _machine, desc: [a.proc_name for a in desc.actions if a.proc_name is not None],
        _find_action,
    ),
    "{cpu}": Collection(
        lambda machine: [f"cpu{cpu}" for cpu in cpus_of(machine.kernel.present)], _find_cpu
    ),
    "{cache}": Collection(_later("sys_cache", "cache_names"), _later("sys_cache", "find_cache")),
    "{node}": Collection(sys_node.node_names, sys_node.find_node),
    "{own node}": Collection(sys_node.own_node_names, sys_node.find_own_node),
    "{cpu of node}": Collection(sys_node.cpu_names, sys_node.find_cpu),
    "{bdf}": Collection(
        lambda machine: sorted(machine.pc.pci.functions),
        lambda machine, name: machine.pc.pci.functions.get(name),
    ),
    "{pci root}": Collection(
        lambda machine: sorted({sys_pci.root_of(f) for f in machine.pc.pci.functions.values()}),
        lambda machine, name: (
            name
            if name in {sys_pci.root_of(f) for f in machine.pc.pci.functions.values()}
            else None
        ),
    ),
    "{function}": Collection(
        lambda machine, root: sorted(
            f.bdf for f in machine.pc.pci.functions.values() if sys_pci.root_of(f) == root
        ),
        lambda machine, name, root: (
            function
            if (function := machine.pc.pci.functions.get(name))
            and sys_pci.root_of(function) == root
            else None
        ),
    ),
    "{msi irq}": Collection(
        lambda _machine, _root, function: [str(irq) for irq in function.irqs],
        lambda _machine, name, _root, function: (
            number if (number := _number(name)) in function.irqs else None
        ),
    ),
    "{module}": Collection(_later("modules", "module_names"), _later("modules", "find_module")),
    "{parameter}": Collection(
        _later("modules", "parameter_names"), _later("modules", "find_parameter")
    ),
    "{pci driver}": Collection(
        _later("sys_drivers", "driver_names"), _later("sys_drivers", "find_driver")
    ),
    "{bound}": Collection(
        _later("sys_drivers", "bound_names"), _later("sys_drivers", "find_bound")
    ),
    "{interface}": Collection(
        _later("sys_drivers", "interface_names"), _later("sys_drivers", "find_interface")
    ),
    "{controller}": Collection(
        _later("sys_nvme", "controller_names"), _later("sys_nvme", "find_controller")
    ),
    "{disk}": Collection(_later("sys_nvme", "disk_names"), _later("sys_nvme", "find_disk")),
    "{own controller}": Collection(
        _later("sys_nvme", "own_controller_names"), _later("sys_nvme", "find_own_controller")
    ),
    "{own disk}": Collection(
        _later("sys_nvme", "own_disk_names"), _later("sys_nvme", "find_own_disk")
    ),
    "{hardware queue}": Collection(
        _later("sys_nvme", "queue_names"), _later("sys_nvme", "find_queue")
    ),
    "{application}": Collection(
        _later("application", "application_names"), _later("application", "find_application")
    ),
    "{fair server}": Collection(
        _later("fair_server", "server_names"), _later("fair_server", "find_server")
    ),
    "{loaded}": Collection(_later("load", "loaded_names"), _later("load", "find_loaded")),
    "{card}": Collection(_later("xdp", "card_names"), _later("xdp", "find_card")),
    "{rx queue}": Collection(
        _later("sys_net", "rx_queue_names"), _later("sys_net", "find_rx_queue")
    ),
    "{tx queue}": Collection(
        _later("sys_net_tx", "tx_queue_names"), _later("sys_net_tx", "find_tx_queue")
    ),
    "{statistic}": Collection(
        _later("sys_net", "statistic_names"), _later("sys_net", "find_statistic")
    ),
    "{own interface}": Collection(
        _later("sys_drivers", "own_interface_names"), _later("sys_drivers", "find_own_interface")
    ),
}

_IRQ = "proc/irq/{irq}"
_PID = "proc/{pid}"
_SYS_IRQ = "sys/kernel/irq/{any irq}"
_CPUS = "sys/devices/system/cpu"
_NODES = "sys/devices/system/node"
_TOPOLOGY = f"{_CPUS}/{{cpu}}/topology"
_PCI = "sys/devices/{pci root}/{function}"
_NET = f"{_PCI}/net/{{own interface}}"
_NVME = f"{_PCI}/nvme/{{own controller}}"
_DISK = f"{_NVME}/{{own disk}}"
_NVME_FILES = ("address", "numa_node", "queue_count", "state", "transport")
_PCI_DRIVER = "sys/bus/pci/drivers/{pci driver}"
_MODULE = "sys/module/{module}"
_DEBUG = "sys/kernel/debug/pseudokern"
_DEBUG_IRQ = "sys/kernel/debug/irq"


_CACHE = f"{_CPUS}/{{cpu}}/cache/{{cache}}"
_CACHE_FILES = (
    "coherency_line_size", "id", "level", "number_of_sets", "physical_line_partition",
    "shared_cpu_list", "shared_cpu_map", "size", "type", "ways_of_associativity",
)  # fmt: skip


def _topology_masks() -> Iterable[Entry]:
    for name, mask in (
        ("core_cpus", Topology.siblings_mask),
        ("core_siblings", Topology.core_siblings_mask),
        ("die_cpus", Topology.die_mask),
        ("package_cpus", Topology.core_siblings_mask),
        ("thread_siblings", Topology.siblings_mask),
    ):
        yield Entry(f"{_TOPOLOGY}/{name}", 0o444, sys_cpu.topology_mask(mask))
        yield Entry(f"{_TOPOLOGY}/{name}_list", 0o444, sys_cpu.topology_list(mask))


def _tx_queue_files() -> Iterable[Entry]:
    queue = f"{_NET}/queues/{{tx queue}}"
    limits = f"{queue}/byte_queue_limits"
    for folder, name, mode in (
        (limits, "hold_time", 0o644), (limits, "inflight", 0o444), (limits, "limit", 0o644),
        (limits, "limit_max", 0o644), (limits, "limit_min", 0o644),
        (queue, "traffic_class", 0o444), (queue, "tx_maxrate", 0o644),
        (queue, "tx_timeout", 0o444), (queue, "xps_cpus", 0o644), (queue, "xps_rxqs", 0o644),
    ):  # fmt: skip
        store = _later("sys_net_tx", f"store_{name}") if mode == 0o644 else None
        yield Entry(f"{folder}/{name}", mode, _later("sys_net_tx", f"show_{name}"), store)
    yield Entry(
        f"{_NET}/tx_queue_len",
        0o644,
        _later("sys_net_tx", "show_tx_queue_len"),
        _later("sys_net_tx", "store_tx_queue_len"),
        _later("sys_net", "has_queues"),
    )


def _sysctls(module: str, *names: str, place: str = "kernel") -> Iterable[Entry]:
    for name in names:
        show = _later(module, f"show_{name}")
        store = _later(module, f"store_{name}")
        yield Entry(f"proc/sys/{place}/{name}", 0o644, show, store)


ENTRIES: Sequence[Entry | Special | Link | Folder] = (
    Entry("proc/interrupts", 0o444, records_interrupts),
    Entry("proc/softirqs", 0o444, show_softirqs),
    Entry("proc/stat", 0o444, show_stat),
    Entry("proc/net/dev", 0o444, _later("sys_net", "show_dev")),
    Entry("proc/net/softnet_stat", 0o444, _later("sys_net", "show_softnet_stat")),
    Entry("proc/cpuinfo", 0o444, records_cpuinfo),
    Entry("proc/diskstats", 0o444, _later("block", "show_diskstats")),
    Entry("proc/uptime", 0o444, show_uptime),
    Entry("proc/loadavg", 0o444, _later("loadavg", "show_loadavg")),
    Entry("proc/cmdline", 0o444, lambda machine: f"{machine.description.cmdline}\n".encode()),
    Entry(
        "proc/version",
        0o444,
        lambda machine: (
            f"Linux version {PROFILES[machine.description.kernel].release} (simulated)\n".encode()
        ),
    ),
    Entry("proc/sys/kernel/printk", 0o644, sysctl_printk.show_printk, sysctl_printk.store_printk),
    Entry(
        "proc/sys/kernel/printk_devkmsg",
        0o644,
        sysctl_printk.show_devkmsg,
        sysctl_printk.store_devkmsg,
    ),
    Entry("proc/sys/kernel/tainted", 0o644, sysctl_printk.show_tainted),
    *_sysctls("sysctl_net", "netdev_budget", "netdev_budget_usecs", place="net/core"),
    *_sysctls("sysctl_net", "dev_weight", "netdev_max_backlog", place="net/core"),
    *_sysctls("sysctl_net", "busy_poll", "busy_read", place="net/core"),
    *_sysctls("sysctl_kernel", "printk_ratelimit", "printk_ratelimit_burst"),
    *_sysctls("sysctl_kernel", "panic", "panic_on_oops", "panic_on_warn"),
    *_sysctls("sysctl_kernel", "unknown_nmi_panic", "panic_on_io_nmi"),
    *_sysctls("sysctl_kernel", "panic_on_unrecovered_nmi"),
    *_sysctls("sysctl_sched", "sched_rt_period_us", "sched_rt_runtime_us", "sched_rr_timeslice_ms"),
    *_sysctls("sysctl_watchdog", "watchdog", "soft_watchdog", "nmi_watchdog"),
    *_sysctls("sysctl_watchdog", "watchdog_thresh", "watchdog_cpumask"),
    *_sysctls("sysctl_watchdog", "softlockup_panic", "hardlockup_panic"),
    Entry(
        "proc/irq/default_smp_affinity",
        0o644,
        proc_irq.show_default_smp_affinity,
        proc_irq.store_default_smp_affinity,
    ),
    Entry(
        f"{_IRQ}/smp_affinity",
        proc_irq.smp_affinity_mode,
        proc_irq.show_smp_affinity,
        proc_irq.store_smp_affinity,
    ),
    Entry(
        f"{_IRQ}/smp_affinity_list",
        proc_irq.smp_affinity_mode,
        proc_irq.show_smp_affinity_list,
        proc_irq.store_smp_affinity_list,
    ),
    Entry(f"{_IRQ}/effective_affinity", 0o444, proc_irq.show_effective_affinity),
    Entry(f"{_IRQ}/effective_affinity_list", 0o444, proc_irq.show_effective_affinity_list),
    Entry(f"{_IRQ}/affinity_hint", 0o444, proc_irq.show_affinity_hint),
    Entry(f"{_IRQ}/node", 0o444, proc_irq.show_node),
    Entry(f"{_IRQ}/spurious", 0o444, proc_irq.show_spurious),
    Folder(f"{_IRQ}/{{action}}", 0o555),
    Entry(f"{_PID}/cmdline", 0o444, proc_pid.show_cmdline),
    Entry(f"{_PID}/comm", 0o644, proc_pid.show_comm),
    Entry(f"{_PID}/stat", 0o444, proc_pid.show_stat),
    Entry(f"{_PID}/status", 0o444, proc_pid.show_status),
    Entry(f"{_PID}/task/{{tid}}/comm", 0o644, proc_pid.show_thread_comm),
    Entry(f"{_PID}/task/{{tid}}/stat", 0o444, proc_pid.show_thread_stat),
    Entry(f"{_PID}/task/{{tid}}/status", 0o444, proc_pid.show_thread_status),
    Entry(f"{_SYS_IRQ}/actions", 0o444, sys_irq.show_actions),
    Entry(f"{_SYS_IRQ}/chip_name", 0o444, sys_irq.show_chip_name),
    Entry(f"{_SYS_IRQ}/hwirq", 0o444, sys_irq.show_hwirq),
    Entry(f"{_SYS_IRQ}/name", 0o444, sys_irq.show_name),
    Entry(f"{_SYS_IRQ}/per_cpu_count", 0o444, sys_irq.show_per_cpu_count),
    Entry(f"{_SYS_IRQ}/type", 0o444, sys_irq.show_type),
    Entry(f"{_SYS_IRQ}/wakeup", 0o444, sys_irq.show_wakeup),
    Entry(f"{_CPUS}/online", 0o444, sys_cpu.show_online),
    Entry(f"{_CPUS}/offline", 0o444, sys_cpu.show_offline),
    Entry(f"{_CPUS}/possible", 0o444, sys_cpu.show_possible),
    Entry(f"{_CPUS}/present", 0o444, sys_cpu.show_present),
    Entry(f"{_CPUS}/isolated", 0o444, sys_cpu.show_isolated),
    Entry(f"{_CPUS}/nohz_full", 0o444, sys_cpu.show_nohz_full),
    Entry(f"{_CPUS}/kernel_max", 0o444, sys_cpu.show_kernel_max),
    Entry(
        f"{_CPUS}/{{cpu}}/online",
        0o644,
        sys_cpu.show_cpu_online,
        sys_cpu.store_cpu_online,
        sys_cpu.can_go_down,
    ),
    Folder(_TOPOLOGY, 0o755, sys_cpu.is_online),
    Entry(f"{_TOPOLOGY}/core_id", 0o444, sys_cpu.topology_number(Topology.core_of)),
    Entry(f"{_TOPOLOGY}/die_id", 0o444, sys_cpu.topology_number(Topology.die_of)),
    Entry(f"{_TOPOLOGY}/physical_package_id", 0o444, sys_cpu.topology_number(Topology.socket_of)),
    *_topology_masks(),
    Folder(f"{_CPUS}/{{cpu}}/cache", 0o755, sys_cpu.is_online),
    *(
        Entry(f"{_CACHE}/{name}", 0o444, _later("sys_cache", f"show_{name}"))
        for name in _CACHE_FILES
    ),
    Link(f"{_CPUS}/{{cpu}}/{{own node}}", sys_node.link_to_node),
    Link(f"{_CPUS}/{{cpu}}/subsystem", lambda _machine, _cpu: "../../../../bus/cpu"),
    Folder("sys/bus/cpu", 0o755),
    Entry("sys/devices/cpu_core/cpus", 0o444, sys_cpu.show_core_cpus, exists=sys_cpu.is_hybrid),
    Entry("sys/devices/cpu_atom/cpus", 0o444, sys_cpu.show_atom_cpus, exists=sys_cpu.is_hybrid),
    Entry(f"{_NODES}/has_cpu", 0o444, sys_node.show_has_cpu),
    Entry(f"{_NODES}/has_generic_initiator", 0o444, sys_node.show_none),
    Entry(f"{_NODES}/has_memory", 0o444, sys_node.show_all),
    Entry(f"{_NODES}/has_normal_memory", 0o444, sys_node.show_all),
    Entry(f"{_NODES}/online", 0o444, sys_node.show_all),
    Entry(f"{_NODES}/possible", 0o444, sys_node.show_all),
    Entry(f"{_NODES}/{{node}}/cpulist", 0o444, sys_node.show_cpulist),
    Entry(f"{_NODES}/{{node}}/cpumap", 0o444, sys_node.show_cpumap),
    Entry(f"{_NODES}/{{node}}/distance", 0o444, sys_node.show_distance),
    Entry(f"{_NODES}/{{node}}/meminfo", 0o444, _later("sys_node_memory", "show_meminfo")),
    Entry(f"{_NODES}/{{node}}/numastat", 0o444, _later("sys_node_memory", "show_numastat")),
    Link(f"{_NODES}/{{node}}/{{cpu of node}}", sys_node.link_to_cpu),
    Link("sys/bus/pci/devices/{bdf}", sys_pci.link_to_function),
    Entry(f"{_PCI}/irq", 0o444, sys_pci.show_irq),
    Entry(f"{_PCI}/class", 0o444, sys_pci.show_class),
    Entry(f"{_PCI}/vendor", 0o444, sys_pci.show_vendor),
    Entry(f"{_PCI}/device", 0o444, sys_pci.show_device),
    Entry(f"{_PCI}/subsystem_vendor", 0o444, sys_pci.show_subsystem_vendor),
    Entry(f"{_PCI}/subsystem_device", 0o444, sys_pci.show_subsystem_device),
    Entry(f"{_PCI}/revision", 0o444, sys_pci.show_revision),
    Entry(f"{_PCI}/enable", 0o644, sys_pci.show_enable),
    Special(f"{_PCI}/config", 0o444, _later("sys_pci_config", "ConfigFile")),
    Entry(f"{_PCI}/resource", 0o444, _later("sys_pci_config", "show_resource")),
    Entry(f"{_PCI}/modalias", 0o444, sys_pci.show_modalias),
    Link(f"{_PCI}/subsystem", sys_pci.link_to_bus),
    Entry(f"{_PCI}/msi_bus", 0o644, sys_pci.show_msi_bus),
    Entry(f"{_PCI}/numa_node", 0o644, sys_pci.show_numa_node),
    Entry(f"{_PCI}/local_cpus", 0o444, sys_pci.show_local_cpus),
    Entry(f"{_PCI}/local_cpulist", 0o444, sys_pci.show_local_cpulist),
    Folder(f"{_PCI}/msi_irqs", 0o755, sys_pci.has_messages),
    Entry(f"{_PCI}/msi_irqs/{{msi irq}}", 0o444, sys_pci.show_msi_irq),
    Link(
        f"{_PCI}/driver",
        _later("sys_drivers", "link_to_driver"),
        _later("sys_drivers", "has_driver"),
    ),
    Folder(f"{_PCI}/net", 0o755, _later("sys_drivers", "has_interface")),
    Link(f"{_NET}/device", _later("sys_drivers", "link_to_device")),
    Entry(
        f"{_NET}/flags",
        0o644,
        _later("sys_drivers", "show_flags"),
        _later("sys_drivers", "store_flags"),
    ),
    Entry(f"{_NET}/operstate", 0o444, _later("sys_drivers", "show_operstate")),
    *(
        Entry(f"{_NET}/{name}", 0o444, _later("sys_net", f"show_{name}"))
        for name in ("address", "broadcast", "carrier", "duplex", "ifindex", "speed", "type")
    ),
    Entry(f"{_NET}/mtu", 0o644, _later("sys_net", "show_mtu"), _later("sys_net", "store_mtu")),
    *(
        Entry(
            f"{_NET}/{name}",
            0o644,
            _later("sys_net", f"show_{name}"),
            _later("sys_net", f"store_{name}"),
            _later("sys_net", "has_queues"),
        )
        for name in ("gro_flush_timeout", "napi_defer_hard_irqs", "threaded")
    ),
    Folder(f"{_NET}/queues", 0o755, _later("sys_net", "has_queues")),
    Entry(
        f"{_NET}/queues/{{rx queue}}/rps_cpus",
        0o644,
        _later("sys_net", "show_rps_cpus"),
        _later("sys_net", "store_rps_cpus"),
    ),
    *_tx_queue_files(),
    Entry(f"{_NET}/statistics/{{statistic}}", 0o444, _later("sys_net", "show_statistic")),
    Link("sys/class/net/{interface}", _later("sys_drivers", "link_to_interface")),
    Folder(f"{_PCI}/nvme", 0o755, _later("sys_nvme", "has_controller")),
    *(Entry(f"{_NVME}/{name}", 0o444, _later("sys_nvme", f"show_{name}")) for name in _NVME_FILES),
    Link(f"{_NVME}/device", _later("sys_nvme", "link_to_function")),
    Link(f"{_DISK}/device", _later("sys_nvme", "link_to_own_controller")),
    Entry(f"{_DISK}/mq/{{hardware queue}}/cpu_list", 0o444, _later("sys_nvme", "show_cpu_list")),
    Entry(f"{_DISK}/mq/{{hardware queue}}/nr_tags", 0o444, _later("block", "show_nr_tags")),
    Entry(
        f"{_DISK}/mq/{{hardware queue}}/nr_reserved_tags",
        0o444,
        _later("block", "show_nr_reserved_tags"),
    ),
    *(
        Entry(f"{_DISK}/{name}", 0o444, _later("block", f"show_{name}"))
        for name in ("dev", "inflight", "stat")
    ),
    *(
        Entry(f"{_DISK}/queue/{name}", 0o444, _later("block", f"show_{name}"))
        for name in (
            "hw_sector_size",
            "io_poll_delay",
            "logical_block_size",
            "physical_block_size",
            "rotational",
        )
    ),
    *(
        Entry(
            f"{_DISK}/queue/{name}",
            0o644,
            _later("block", f"show_{name}"),
            _later("block", f"store_{name}"),
        )
        for name in ("io_poll", "nr_requests", "rq_affinity", "scheduler")
    ),
    Link("sys/class/nvme/{controller}", _later("sys_nvme", "link_to_controller")),
    Link("sys/class/block/{disk}", _later("sys_nvme", "link_from_class_to_disk")),
    Link("sys/block/{disk}", _later("sys_nvme", "link_to_disk")),
    Entry(f"{_PCI_DRIVER}/bind", 0o200, None, _later("sys_drivers", "store_bind")),
    Entry(f"{_PCI_DRIVER}/unbind", 0o200, None, _later("sys_drivers", "store_unbind")),
    Entry("sys/bus/pci/drivers_probe", 0o200, None, _later("sys_drivers", "store_drivers_probe")),
    Entry(
        f"{_PCI}/driver_override",
        0o644,
        _later("sys_drivers", "show_driver_override"),
        _later("sys_drivers", "store_driver_override"),
    ),
    Link(f"{_PCI_DRIVER}/{{bound}}", _later("sys_drivers", "link_to_bound")),
    Entry("proc/modules", 0o444, _later("modules", "show_modules")),
    Folder("sys/module", 0o755),
    Entry(f"{_MODULE}/coresize", 0o444, _later("modules", "show_coresize")),
    Entry(f"{_MODULE}/initstate", 0o444, _later("modules", "show_initstate")),
    Entry(f"{_MODULE}/refcnt", 0o444, _later("modules", "show_refcnt")),
    Entry(f"{_MODULE}/taint", 0o444, _later("modules", "show_taint")),
    Folder(f"{_MODULE}/parameters", 0o755, _later("modules", "has_parameters")),
    Entry(
        f"{_MODULE}/parameters/{{parameter}}",
        _later("modules", "parameter_mode"),
        _later("modules", "show_parameter"),
        _later("modules", "store_parameter"),
    ),
    Special("dev/kmsg", 0o644, KmsgFile),
    Folder("sys/fs/cgroup", 0o755),
    Folder("sys/kernel/tracing", 0o700),
    Folder("sys/kernel/debug", 0o700),
    Entry(f"{_DEBUG_IRQ}/domains/{{domain}}", 0o444, _debug_irq("show_domain")),
    Entry(f"{_DEBUG_IRQ}/irqs/{{any irq}}", 0o644, _debug_irq("show_irq"), _debug_irq("store_irq")),
    Entry(f"{_DEBUG}/clock/advance", 0o200, None, debug.store_advance),
    Entry(f"{_DEBUG}/clock/mode", 0o600, debug.show_mode, debug.store_mode),
    Entry(f"{_DEBUG}/clock/now_ns", 0o400, debug.show_now_ns),
    Entry(f"{_DEBUG}/clock/speed", 0o600, debug.show_speed, debug.store_speed),
    *(
        Entry(f"{_DEBUG}/faults/{name}", 0o600, debug.show_fault(name), debug.store_fault(name))
        for name in debug.FAULTS
    ),
    Entry(
        f"{_DEBUG}/faults/exception",
        0o600,
        _later("provoke", "show_exception"),
        _later("provoke", "store_exception"),
    ),
    Entry(
        f"{_DEBUG}/faults/fail_atomic",
        0o600,
        _later("provoke", "show_fail_atomic"),
        _later("provoke", "store_fail_atomic"),
    ),
    Entry(
        f"{_DEBUG}/faults/tx_hang",
        0o600,
        _later("tx_hang", "show_tx_hang"),
        _later("tx_hang", "store_tx_hang"),
    ),
    Entry(f"{_DEBUG}/idt", 0o400, _later("provoke", "show_idt")),
    Entry(f"{_DEBUG}/faults/nmi", 0o200, None, _later("provoke", "store_nmi")),
    *(
        Entry(
            f"{_DEBUG}/net/{{interface}}/{name}",
            0o600,
            _later("ethtool", f"show_{name}"),
            _later("ethtool", f"store_{name}"),
            partial(_later("ethtool", "knows"), name),
        )
        for name in (
            "channels",
            "coalesce",
            "coalesce_queues",
            "features",
            "hash_fields",
            "pause",
            "ring",
            "rxfh",
        )
    ),
    *(
        Entry(
            f"{_DEBUG}/net/{{interface}}/{name}",
            0o400,
            _later("ethtool", f"show_{name}"),
            exists=partial(_later("ethtool", "knows"), name),
        )
        for name in ("driver", "link", "stats")
    ),
    Entry(
        f"{_DEBUG}/net/{{interface}}/qdisc",
        0o400,
        _later("sys_net_tx", "show_qdisc"),
        exists=_later("sys_net_tx", "knows_qdisc"),
    ),
    Folder("sys/kernel/debug/sched", 0o755, _later("fair_server", "are_there")),
    *(
        Entry(
            f"sys/kernel/debug/sched/fair_server/{{fair server}}/{name}",
            0o644,
            _later("fair_server", f"show_{name}"),
            _later("fair_server", f"store_{name}"),
        )
        for name in ("period", "runtime")
    ),
    Entry(f"{_DEBUG}/halt", 0o200, None, debug.store_halt),
    Special(f"{_DEBUG}/irqctl", 0o600, debug.IrqctlFile),
    Entry(f"{_DEBUG}/klog", 0o400, debug.show_klog),
    Entry(
        f"{_DEBUG}/load/{{loaded}}",
        0o600,
        _later("load", "show_load"),
        _later("load", "store_load"),
    ),
    Entry(f"{_DEBUG}/losses", 0o400, debug.show_losses),
    Special(f"{_DEBUG}/modules/load", 0o200, _later("modules", "LoadFile")),
    Special(f"{_DEBUG}/modules/unload", 0o200, _later("modules", "UnloadFile")),
    Entry(f"{_DEBUG}/refused", 0o400, debug.show_refused),
    Entry(
        f"{_DEBUG}/nvme/{{controller}}/features",
        0o600,
        _later("nvme_features", "show_features"),
        _later("nvme_features", "store_features"),
    ),
    *(
        Entry(
            f"{_DEBUG}/nvme/{{controller}}/{name}", 0o400, _later("nvme_identify", f"show_{name}")
        )
        for name in ("identify", "identify_controller")
    ),
    Entry(
        f"{_DEBUG}/applications/{{application}}",
        0o600,
        _later("application", "show_application"),
        _later("application", "store_application"),
    ),
    Entry(
        f"{_DEBUG}/applications/new",
        0o600,
        _later("application", "show_new"),
        _later("application", "store_new"),
    ),
    Entry(
        f"{_DEBUG}/application_results/{{application}}",
        0o400,
        _later("application", "show_results"),
    ),
    Entry(f"{_DEBUG}/results/{{loaded}}", 0o400, _later("load", "show_results")),
    Entry(f"{_DEBUG}/ports", 0o600, ports.show_ports, ports.store_ports, ports.has_ports),
    Entry(f"{_DEBUG}/steal", 0o600, _later("steal", "show_steal"), _later("steal", "store_steal")),
    Entry(f"{_DEBUG}/vcpu", 0o600, debug.show_vcpu, debug.store_vcpu),
    Special(f"{_DEBUG}/xdp/{{card}}", 0o600, _later("xdp", "XdpProgramFile")),
)
