"""Work out the board from what was recorded: CPUs, their numbering, nodes, what /proc/cpuinfo says.

Whatever is not known is assumed, and said so. What a machine file cannot say (cores of different
kinds, nodes of different size) becomes one plain socket, and is said, too.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from pseudokern.kernel.cpumask import CpuId, CpuMask, cpulist_format, cpulist_parse, cpus_of
from pseudokern.machine.snapshot_files import Recording
from pseudokern.machine.snapshot_rows import MOST_CPUS
from pseudokern.machine.topology import ORDERS, Topology

_CPU_DIRECTORY = "sys/devices/system/cpu"
_NODE_DIRECTORY = "sys/devices/system/node"
MOST_CPUINFO_TEXT = 4096


@dataclass
class Board:
    """The topology that a machine file would give, and what was assumed about it."""

    topology: Topology
    online: CpuMask
    assumed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Place:
    """Where a CPU is, as recorded."""

    socket: int
    core: int
    siblings: CpuMask
    die: int = 0


def read_board(recording: Recording, columns: list[int]) -> Board:
    """columns: the CPUs that /proc/interrupts shows, which are those online."""
    assumed: list[str] = []
    online = sum(1 << cpu for cpu in columns)
    shown = _list(recording, "online") or _list(recording, "present") or online
    present = _list(recording, "present") | online
    known = bool(_list(recording, "present"))
    if shown != online and _list(recording, "online"):
        assumed.append(
            f"online: /sys says CPUs {cpulist_format(shown)}, but /proc/interrupts has columns for "
            f"{cpulist_format(online)}, which are taken"
        )
    count = max(present.bit_length(), 1)
    if not known:
        assumed.append(f"cpus: {count}, as many as /proc/interrupts shows")
    possible = max(_list(recording, "possible").bit_length(), count)
    nodes, node_masks = _nodes(recording, count, assumed)
    places = _places(recording, count)
    plain = Topology(cores=count, possible_cpus=min(possible, MOST_CPUS))
    topology = _fitting(places, node_masks, nodes, count, possible)
    if topology is not None:
        return Board(topology, online, assumed)
    if not places:
        counted = _counted(recording, count, nodes, possible)
        if counted is not None and _same_nodes(counted, node_masks):
            if counted.sockets * counted.threads > 1:
                assumed.append(
                    "order: /proc/cpuinfo of one CPU does not tell how they are numbered"
                )
            return Board(counted, online, assumed)
        what = "one socket, a core for each CPU; how they are arranged was not recorded"
    else:
        what = "one socket, a core for each CPU: the real arrangement cannot be written down here"
    assumed.append(f"cores: {what}")
    if nodes > 1 and count % nodes == 0:
        plain = Topology(cores=count, nodes=nodes, possible_cpus=plain.possible_cpus)
    if nodes != plain.nodes or not _same_nodes(plain, node_masks):
        assumed.append("nodes: CPUs are dealt out evenly, in order; the recording differs")
    return Board(plain, online, assumed)


def cpu_table(recording: Recording) -> dict[str, object]:
    """The keys of [cpu], as far as /proc/cpuinfo has them."""
    first = next(iter(_cpuinfo_blocks(recording)), "")
    values = {
        name.strip(): value.strip()
        for name, _, value in (line.partition(":") for line in first.splitlines())
    }
    table: dict[str, object] = {}
    for key, name in (
        ("vendor_id", "vendor_id"),
        ("model_name", "model name"),
        ("flags", "flags"),
        ("bugs", "bugs"),
        ("tlb_size", "TLB size"),
        ("power_management", "power management"),
    ):
        text = values.get(name, "")[:MOST_CPUINFO_TEXT]
        if name in values and text.isprintable():
            table[key] = text
    for key, name, most in (
        ("family", "cpu family", 4095),
        ("model", "model", 255),
        ("stepping", "stepping", 15),
        ("cpuid_level", "cpuid level", 255),
        ("clflush_size", "clflush size", 4096),
    ):
        text = values.get(name, "")
        if re.fullmatch(r"[0-9]{1,4}", text) and int(text) <= most:
            table[key] = int(text)
    if re.fullmatch(r"0x[0-9a-f]{1,8}", values.get("microcode", "")):
        table["microcode"] = values["microcode"]
    if re.fullmatch(r"[0-9]{1,5}\.[0-9]{1,3}", values.get("cpu MHz", "")):
        table["frequency"] = f"{values['cpu MHz']} MHz"
    if re.fullmatch(r"[0-9]{1,9} KB", values.get("cache size", "")):
        table["cache"] = values["cache size"]
    sizes = re.fullmatch(
        r"(\d\d) bits physical, (\d\d) bits virtual", values.get("address sizes", "")
    )
    if sizes and all(32 <= int(size) <= 57 for size in sizes.groups()):
        table["physical_bits"], table["virtual_bits"] = map(int, sizes.groups())
    return table


def _list(recording: Recording, name: str) -> CpuMask:
    return parse_cpus(recording.get(f"{_CPU_DIRECTORY}/{name}"))


def parse_cpus(text: str) -> CpuMask:
    """A list of CPUs that can be simulated; nothing if it is not one."""
    if not re.fullmatch(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*", text):
        return 0
    try:
        return cpulist_parse(text.encode(), MOST_CPUS)
    except OSError:
        return 0


def _places(recording: Recording, count: int) -> dict[int, _Place]:
    """Where the CPUs are of which it is known: those online, on a real machine."""
    places = {}
    for cpu in range(count):
        directory = f"{_CPU_DIRECTORY}/cpu{cpu}/topology"
        socket = recording.get(f"{directory}/physical_package_id")
        core = recording.get(f"{directory}/core_id")
        siblings = parse_cpus(recording.get(f"{directory}/thread_siblings_list"))
        if socket.isdigit() and core.isdigit() and siblings >> cpu & 1:
            die = recording.get(f"{directory}/die_id")
            places[cpu] = _Place(int(socket), int(core), siblings, int(die) if die.isdigit() else 0)
    return places or _places_of_cpuinfo(recording, count)


def _cpuinfo_blocks(recording: Recording) -> list[str]:
    """/proc/cpuinfo, CPU by CPU. The blank lines in between are lost where grep printed it."""
    blocks = re.split(r"^(?=processor\s*:)", recording.get("proc/cpuinfo"), flags=re.M)
    return [block for block in blocks if block.strip()]


def _places_of_cpuinfo(recording: Recording, count: int) -> dict[int, _Place]:
    found: dict[int, tuple[int, int]] = {}
    for block in _cpuinfo_blocks(recording):
        numbers = dict(
            re.findall(r"^(processor|physical id|core id)\s*: ([0-9]{1,6})$", block, re.M)
        )
        if len(numbers) == 3 and int(numbers["processor"]) < count:
            place = int(numbers["physical id"]), int(numbers["core id"])
            found[int(numbers["processor"])] = place
    if len(found) < 2 and count > 1:
        return {}  # the first CPU's, as people paste it, says nothing of the others
    return {
        cpu: _Place(*place, sum(1 << other for other, its in found.items() if its == place))
        for cpu, place in found.items()
    }


def _counted(recording: Recording, count: int, nodes: int, possible: int) -> Topology | None:
    """What /proc/cpuinfo of one CPU says of all: how many cores and threads its socket has."""
    numbers = dict(
        re.findall(r"^(siblings|cpu cores)\s*: ([0-9]{1,4})$", recording.get("proc/cpuinfo"), re.M)
    )
    siblings, cores = int(numbers.get("siblings", 0)), int(numbers.get("cpu cores", 0))
    if not siblings or not cores or siblings % cores or count % siblings or siblings // cores > 8:
        return None
    sockets = count // siblings
    if not (sockets % nodes == 0 or (nodes % sockets == 0 and sockets * cores % nodes == 0)):
        return None
    return Topology(sockets, cores, siblings // cores, nodes, possible)


def _fitting(
    places: dict[int, _Place],
    node_masks: dict[int, CpuMask],
    nodes: int,
    count: int,
    possible: int,
) -> Topology | None:
    """The topology of a machine file that has all CPUs where they were recorded; or None."""
    if not places:
        return None
    sockets = len({place.socket for place in places.values()})
    threads = max(place.siblings.bit_count() for place in places.values())
    if threads > 8:
        return None
    if sockets == nodes == 1 and count % threads == 0 and threads > 1:
        # A hybrid processor is numbered core by core, those with one thread last.
        paired = sum(place.siblings.bit_count() > 1 for place in places.values())
        cores = paired // threads
        board = Topology(1, cores, threads, 1, possible, efficient_cores=count - cores * threads)
        if board.efficient_cores and _same_places(board, places):
            return board
    if count % (sockets * threads):
        return None
    cores = count // (sockets * threads)
    if not (sockets % nodes == 0 or (nodes % sockets == 0 and sockets * cores % nodes == 0)):
        return None
    dies = max(len({(place.socket, place.die) for place in places.values()}) // sockets, 1)
    for order in ORDERS:
        board = Topology(
            sockets, cores, threads, nodes, possible, dies=1 if cores % dies else dies, order=order
        )
        if _same_places(board, places) and _same_nodes(board, node_masks):
            return board
    return None


def _same_places(board: Topology, places: dict[int, _Place]) -> bool:
    seen = sum(1 << cpu for cpu in places)
    numbers: dict[int, int] = {}  # recorded socket -> ours: real ones may begin anywhere
    for cpu, place in places.items():
        if board.siblings_mask(CpuId(cpu)) & seen != place.siblings & seen:
            return False
        if numbers.setdefault(place.socket, board.socket_of(CpuId(cpu))) != board.socket_of(
            CpuId(cpu)
        ):
            return False
    return len(set(numbers.values())) == len(numbers)


def _nodes(recording: Recording, count: int, assumed: list[str]) -> tuple[int, dict[int, CpuMask]]:
    """How many nodes, and the CPUs of each; offline ones are in none."""
    masks = {}
    for number in range(MOST_CPUS):
        text = recording.get(f"{_NODE_DIRECTORY}/node{number}/cpulist")
        if f"{_NODE_DIRECTORY}/node{number}/cpulist" not in recording.files:
            break
        masks[number] = parse_cpus(text)
    if not masks:
        assumed.append("nodes: what /sys/devices/system/node says was not recorded")
        return 1, {}
    used = {number: mask for number, mask in masks.items() if mask}
    if len(used) < len(masks):
        assumed.append("nodes: those without a CPU are left out")
    return max(len(used), 1), dict(enumerate(used.values()))


def _same_nodes(board: Topology, masks: dict[int, CpuMask]) -> bool:
    return all(
        board.node_of(cpu) == node for node, mask in masks.items() for cpu in _below(mask, board)
    )


def _below(mask: CpuMask, board: Topology) -> Iterable[CpuId]:
    return cpus_of(mask & (1 << board.plugged_in) - 1)
