"""Read a machine file into a Description, or say everything that is wrong with it.

    [machine]    name, CPUs, nodes, I/O APICs, kernel, boot parameters, seed
    [cpu]        what /proc/cpuinfo says
    [cache]      caches, and how many cores share them
    [cost]       how long each part of an interrupt takes
    [load]       what ordinary programs do; [[load]]: what a device has to do, see loads.py
    [affinity]   where interrupts go; [effective_affinity] which CPU that is: affinities.py
    [[steal]]    what the host of a virtual machine takes of its CPUs: drivers/steal.py
    [[application]]  a program that works with a device: applications.py
    [[device]]   one each: name, driver, and the keys of that driver

Nothing is booted here, but drivers are imported: they own the keys of their devices.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pseudokern.drivers import registry
from pseudokern.drivers.keys import (
    MOST_IRQS,
    Choice,
    CpuList,
    Flag,
    Integer,
    Key,
    Limits,
    ListOf,
    Name,
    Size,
    Text,
    did_you_mean,
    plural,
    quoted,
)
from pseudokern.irq.desc import NR_IRQS_LEGACY
from pseudokern.kernel.cost import CostModel
from pseudokern.kernel.cpumask import CpuMask
from pseudokern.machine.cmdline import BootParameters, booted, parse_cmdline
from pseudokern.machine.devices import DeviceDescription, FindDriver, read_devices
from pseudokern.machine.parts import COST_KEYS, CPU_KEYS, LOAD_KEYS, CpuModel, Load, cost_model
from pseudokern.machine.source import FILE, Source, Spot, Table
from pseudokern.machine.topology import ORDERS, Topology

if TYPE_CHECKING:
    from pseudokern.machine.affinities import Affinities
    from pseudokern.machine.applications import ApplicationDescription
    from pseudokern.machine.loads import LoadDescription

KERNELS = ("6.1", "6.12", "6.18")
MOST_CPUS = 1024
PINS = 24  # of an I/O APIC: 82093AA and everything since

_CPUS = Integer(1, MOST_CPUS)
_DISTANCE = Integer(10, 254)
MEMORY_KB = 4 << 20  # of each CPU, if nobody says

# Every row of /proc/interrupts with a name instead of a number that x86 has, in the file's order.
ROW_LABELS = (
    "NMI", "LOC", "SPU", "PMI", "IWI", "RTR", "RES", "CAL", "TLB", "TRM", "THR", "DFR", "MCE",
    "MCP", "HYP", "HRE", "HVS", "ERR", "MIS", "PIN", "NPI", "PIW", "PMN",
)  # fmt: skip

MACHINE_KEYS: Mapping[str, Key] = {
    "name": Key(Name()),
    "base": Key(Text(), doc="another machine, of which this file says what is different"),
    "title": Key(Text(), default="", doc="one line for: pseudokern machines"),
    "cpus": Key(_CPUS, doc="all threads of all cores; alone it means one socket"),
    "sockets": Key(_CPUS),
    "cores": Key(_CPUS, doc="of a socket"),
    "threads": Key(Integer(1, 8), doc="of a core"),
    "nodes": Key(Integer(1, MOST_CPUS), doc="NUMA nodes; one for each socket if left out"),
    "dies": Key(_CPUS, doc="of a socket"),
    "efficient_cores": Key(_CPUS, doc="of a hybrid processor, beside its cores; one thread each"),
    "memory": Key(Size(), doc="of all nodes, each of which has the same"),
    "distance": Key(_DISTANCE, default=20, doc="from a node to one of another socket; 10: none"),
    "socket_distance": Key(_DISTANCE, default=20, doc="from a node to another of its socket"),
    "order": Key(
        Choice(*ORDERS), default=ORDERS[0], doc="how CPUs are numbered: the last word counts first"
    ),
    "possible_cpus": Key(_CPUS, doc="with those that could be plugged in"),
    "offline": Key(CpuList(), doc="CPUs that are switched off after boot"),
    "seed": Key(Integer(0, 2**63 - 1), default=0, doc="the same seed gives the same run"),
    "kernel": Key(Choice(*KERNELS), default="6.12"),
    "hz": Key(Choice(100, 250, 300, 1000), default=250, doc="CONFIG_HZ: timer ticks a second"),
    "cmdline": Key(Text(), default="", doc="boot parameters, as in /proc/cmdline"),
    "ioapics": Key(Integer(0, 64), default=1, doc="I/O APICs of 24 pins each; 0: the 8259 only"),
    "level_isa": Key(
        ListOf(Integer(1, 15)), default=[9], doc="ISA interrupts that firmware declares level"
    ),
    "iommu": Key(
        Choice("none", "intel"), default="none", doc="intel: a unit that can remap interrupts"
    ),
    "x2apic_optout": Key(Flag(), default=False, doc="firmware asks not to use x2APIC"),
    "pic": Key(Flag(), default=True, doc="the 8259 of a PC: interrupts 0-15 always exist"),
    "nr_irqs": Key(
        Integer(1, MOST_IRQS + 1), doc="how many the kernel says there are; else as it computes"
    ),
    "rows": Key(
        ListOf(Choice(*ROW_LABELS)),
        doc="rows of /proc/interrupts that have a name; else those of a PC",
    ),
}

_MACHINE = Spot("[machine]", "machine")
_CPU = Spot("[cpu]", "cpu")
_CACHE = Spot("[cache]", "cache")
_COST = Spot("[cost]", "cost")
_LOAD = Spot("[load]", "load")
_AFFINITIES = ("affinity", "effective_affinity")
_TABLES = (
    "machine",
    "cpu",
    "cache",
    "cost",
    "load",
    *_AFFINITIES,
    "steal",
    "application",
    "device",
)


class Description(NamedTuple):
    """A machine that can be booted.

    topology is what a kernel with these boot parameters sees of the board. memory_kb is that of
    a node, distances those to another node of the same socket, and of another.
    """

    name: str
    title: str
    seed: int
    kernel: str
    hz: int
    cmdline: str
    parameters: BootParameters
    topology: Topology
    offline: CpuMask
    ioapics: int
    pic: bool
    level_isa: tuple[int, ...]
    iommu: str
    x2apic_optout: bool
    memory_kb: int
    distances: tuple[int, int]
    nr_irqs: int | None
    rows: tuple[str, ...] | None
    affinities: "Affinities | None"
    cpu_model: CpuModel
    cache: Mapping[str, Any] | None
    cost: CostModel
    load: Load
    loads: "tuple[LoadDescription, ...]"
    steals: tuple[Mapping[str, Any], ...]
    applications: "tuple[ApplicationDescription, ...]"
    devices: tuple[DeviceDescription, ...]
    path: Path

    @property
    def nodes(self) -> int:
        """How many NUMA nodes."""
        return self.topology.nodes

    @property
    def gsis(self) -> int:
        """How many lines; the first message-signalled interrupt gets this number."""
        return self.ioapics * PINS or NR_IRQS_LEGACY

    @property
    def base_dir(self) -> Path:
        """What the drivers' file names are relative to."""
        return self.path.parent


class Overrides(NamedTuple):
    """What the command line says otherwise. None leaves it to the file; cmdline is appended."""

    seed: int | None = None
    kernel: str | None = None
    cpus: int | None = None
    cmdline: str = ""


AS_IN_THE_FILE = Overrides()


def load(
    machine: str | os.PathLike[str],
    overrides: Overrides = AS_IN_THE_FILE,
    find_driver: FindDriver = registry.find_driver,
) -> Description:
    """Read a preset by its name, or a file by its path.

    DescriptionErrors  holds every problem of the file, not only the first
    """
    source = Source.open(machine)
    _report_unknown_tables(source)
    everywhere = Limits(cpus=MOST_CPUS, nodes=MOST_CPUS, gsis=PINS)
    values = _read_table(source, _MACHINE, MACHINE_KEYS, everywhere)
    shape = _read_topology(source, values)
    board = shape if overrides.cpus is None else resized(shape, overrides.cpus)
    ioapics = values.get("ioapics", 1)
    gsis = max(ioapics, 1) * PINS
    limits = Limits(board.nr_cpu_ids, board.nodes, gsis, folder=source.path.parent)
    cpu = _read_table(source, _CPU, CPU_KEYS, limits)
    cache = _read_caches(source, shape, limits) if _CACHE.table in source.tables else None
    cost = _read_table(source, _COST, COST_KEYS, limits)
    usage = _read_table(source, _LOAD, LOAD_KEYS, limits) if not _has_loads(source) else None
    affinities = _read_affinities(source, limits)
    devices = read_devices(source, limits, find_driver)
    loads: tuple[LoadDescription, ...] = ()
    if usage is None:
        from pseudokern.machine.loads import read_loads  # most machines have none

        usage, loads = read_loads(source, limits, devices, find_driver)
    steals: tuple[Mapping[str, Any], ...] = ()
    if "steal" in source.tables:
        from pseudokern.machine.steals import read_steals  # most machines are real ones

        steals = read_steals(source, limits)
    applications: tuple[ApplicationDescription, ...] = ()
    if "application" in source.tables:
        from pseudokern.machine.applications import read_applications  # most machines have none

        applications = read_applications(source, limits, devices, find_driver)
    source.raise_if_any()
    cmdline = f"{values['cmdline']} {overrides.cmdline}".strip()
    parameters = parse_cmdline(cmdline, board)
    return Description(
        name=values["name"] or source.path.stem,
        title=values["title"],
        seed=values["seed"] if overrides.seed is None else overrides.seed,
        kernel=overrides.kernel or values["kernel"],
        hz=values["hz"],
        cmdline=cmdline,
        parameters=parameters,
        topology=booted(board, parameters),
        offline=values["offline"] or 0,
        ioapics=ioapics,
        pic=values["pic"],
        level_isa=values["level_isa"],
        iommu=values["iommu"],
        x2apic_optout=values["x2apic_optout"],
        memory_kb=(values["memory"] or MEMORY_KB * board.plugged_in) // board.nodes,
        distances=(values["socket_distance"], values["distance"]),
        nr_irqs=values["nr_irqs"],
        rows=values["rows"],
        affinities=affinities,
        cpu_model=CpuModel.from_table(cpu),
        cache=cache,
        cost=cost_model(cost),
        load=Load.from_table(usage),
        loads=loads,
        steals=steals,
        applications=applications,
        devices=devices,
        path=source.path.absolute(),
    )


def resized(board: Topology, cpus: int) -> Topology:
    """A board like this with another number of CPUs; one plain socket if the shape does not fit.

    It keeps its nodes, though some may be left without a CPU: devices are plugged in there.
    """
    cores, rest = divmod(cpus - board.efficient_cores, board.sockets * board.threads)
    if rest or cores < 1 or not _nodes_fit(board.sockets, cores, board.nodes):
        return Topology(cores=cpus, nodes=board.nodes)
    dies = board.dies if cores % board.dies == 0 else 1
    return board._replace(cores=cores, dies=dies, possible_cpus=0)


def _read_table(
    source: Source, spot: Spot, keys: Mapping[str, Key], limits: Limits
) -> dict[str, Any]:
    values = source.table(spot)
    source.report_unknown(spot, values, keys)
    return source.read(spot, values, keys, limits)


def _read_caches(source: Source, board: Topology, limits: Limits) -> dict[str, Any]:
    # Most machines have no such table, and start without it.
    from pseudokern.machine.caches import CACHE_KEYS, check_caches

    values = _read_table(source, _CACHE, CACHE_KEYS, limits)
    check_caches(source, _CACHE, values, board)
    return values


def _read_affinities(source: Source, limits: Limits) -> "Affinities | None":
    if not any(name in source.tables for name in _AFFINITIES):
        return None
    # Most machines have neither table, and each module costs a start half a millisecond.
    from pseudokern.machine.affinities import read_affinities

    return read_affinities(source, limits)


def _has_loads(source: Source) -> bool:
    return isinstance(source.tables.get(_LOAD.table), list)


def _report_unknown_tables(source: Source) -> None:
    for name, value in source.tables.items():
        if name in _TABLES:
            continue
        if name in MACHINE_KEYS and not isinstance(value, dict):
            source.report(FILE, name, f"{name} stands outside of a table", "put it below [machine]")
            continue
        noun = "table" if isinstance(value, dict | list) else "key"
        known = f"the tables are {', '.join(_TABLES)}"
        hint = did_you_mean(name, _TABLES) or known
        source.report(Spot("", name), "", f"unknown {noun} {quoted(name)}", hint)


def _read_topology(source: Source, values: Table) -> Topology:
    """The board as the [machine] table says, or a plausible one if that has a problem."""
    given = {key: value for key, value in values.items() if isinstance(value, int)}
    cpus = given.get("cpus")
    sockets = given.get("sockets", 1)
    threads = given.get("threads", 1)
    cores = given.get("cores") or max(
        1, ((cpus or 1) - given.get("efficient_cores", 0)) // (sockets * threads)
    )
    efficient = given.get("efficient_cores", 0)
    total = sockets * cores * threads + efficient
    if cpus is None and "cores" not in given:
        if "cpus" not in source.table(_MACHINE):
            source.report(_MACHINE, "", "cpus is missing", "say how many, like cpus = 4")
    elif cpus is not None and total != cpus:
        counts = {"socket": sockets, "core": cores, "thread": threads}
        shape = " x ".join(plural(count, noun) for noun, count in counts.items())
        if efficient:
            shape += f" and {plural(efficient, 'efficient core')}"
        hint = "leave out cpus, or make them agree"
        source.report(_MACHINE, "cpus", f"cpus is {cpus}, but {shape} make {total}", hint)
    if total > MOST_CPUS:
        source.report(_MACHINE, "cores", f"{total} CPUs are too many", f"at most {MOST_CPUS}")
        return Topology(cores=MOST_CPUS)
    nodes = given.get("nodes", sockets)
    if not _nodes_fit(sockets, cores, nodes):
        what = f"nodes is {nodes}, which does not divide {plural(sockets, 'socket')} of "
        source.report(_MACHINE, "nodes", f"{what}{plural(cores, 'core')} evenly", "leave it out")
        nodes = 1
    dies = given.get("dies", 1)
    if cores % dies:
        what = f"dies is {dies}, which does not divide {plural(cores, 'core')} of a socket evenly"
        source.report(_MACHINE, "dies", what, "leave it out")
        dies = 1
    if efficient and (sockets, nodes, dies) != (1, 1, 1):
        what = "efficient_cores go with one socket, one node and one die"
        source.report(_MACHINE, "efficient_cores", what, "leave out sockets, nodes and dies")
        efficient = 0
    possible = given.get("possible_cpus", 0)
    if 0 < possible < total:
        what = f"possible_cpus is {possible}, but there are {total} CPUs already"
        source.report(_MACHINE, "possible_cpus", what, "leave it out")
    given_order = values.get("order")
    order = str(given_order) if given_order in ORDERS else ORDERS[0]
    return Topology(
        sockets,
        cores,
        threads,
        nodes,
        max(possible, total),
        dies=dies,
        efficient_cores=efficient,
        order=order,
    )


def _nodes_fit(sockets: int, cores: int, nodes: int) -> bool:
    """Does each node get the same number of whole cores, and no socket a part of two nodes?"""
    if cores == 0:
        return False
    return sockets % nodes == 0 or (nodes % sockets == 0 and sockets * cores % nodes == 0)
