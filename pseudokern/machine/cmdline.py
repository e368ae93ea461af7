"""Read the boot parameters that decide how interrupts are handled.

Follows lib/cmdline.c: next_arg(), kernel/sched/isolation.c, and the early_param()
and __setup() functions named below.

Nothing here fails: a kernel boots with whatever it is given, and says in its log what it could
not use (complaints). Parameters that count CPUs are read first, as early_param() does, because
CPU lists are checked against the result.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pseudokern.kernel.cpumask import CpuMask, cpulist_parse, first_cpu
from pseudokern.kernel.printk import Devkmsg, Level
from pseudokern.machine.option_numbers import get_option, memparse
from pseudokern.machine.topology import Topology

BOOT_CPU: CpuMask = 1

_FLAGS: Mapping[str, Mapping[str, Any]] = {
    "threadirqs": {"threadirqs": True},
    "noirqdebug": {"noirqdebug": True},
    "irqfixup": {"irqfixup": 1},
    "irqpoll": {"irqfixup": 2},
    "noapic": {"noapic": True},
    "nolapic": {"nolapic": True, "noapic": True},
    "disableapic": {"nolapic": True, "noapic": True},
    "nosmp": {"nosmp": True, "noapic": True},
    "nointremap": {"intremap": False},
    "nowatchdog": {"nowatchdog": True},
    "nosoftlockup": {"nosoftlockup": True},
    "quiet": {"console_loglevel": 4},
    "debug": {"console_loglevel": 10},
}
INTREMAP_OPTIONS = ("nosid", "no_x2apic_optout", "nopost", "posted_msi")
# What pci= may hold besides nomsi; none of it changes which interrupts there are.
_PCI_OPTIONS = frozenset(
    """
    assign-busses bfsort big_root_window bios cbiosize cbmemsize check_enable_amd_mmconf conf1
    conf2 config_acs disable_acs_redir earlydump ecrc hpbussize hpiosize hpmemsize hpmmioprefsize
    hpmmiosize ioapicreroute irqmask lastbus no_e820 noacpi noaer noari noats nobar nobfsort nobios
    nocrs nodomains noearly noioapicquirk noioapicreroute nommconf norom off pcie_bus_peer2peer
    pcie_bus_perf pcie_bus_safe pcie_bus_tune_off pcie_scan_all realloc resource_alignment rom
    routeirq skip_isa_align use_crs use_e820
    """.split()  # noqa: SIM905 - a list of a hundred strings is read by nobody
)
_WITH_CPU_LISTS = ("irqaffinity", "isolcpus", "nohz_full")
_WORD = re.compile(r'(?:"[^"]*"?|[^\s"])+')


class Complaint(NamedTuple):
    """A line for the kernel log; an early one comes before the CPUs are counted."""

    text: str
    level: Level = Level.WARNING
    early: bool = False


class BootParameters(NamedTuple):
    """What the words on the kernel's command line ask for."""

    irqaffinity: CpuMask | None = None
    """irqaffinity=LIST: the default affinity, always with the boot CPU; irq_affinity_setup()."""

    isolated: CpuMask = 0
    """isolcpus=[domain,]LIST: HK_TYPE_DOMAIN without these, so kept out of scheduling."""

    isolated_managed_irq: CpuMask = 0
    """isolcpus=managed_irq,LIST: spared by managed interrupts as far as possible."""

    nohz_full: CpuMask | None = None
    """nohz_full=LIST or isolcpus=nohz,LIST: no tick while a single task runs."""

    threadirqs: bool = False
    """Every handler that can be runs in a thread; setup_forced_irqthreads()."""

    noirqdebug: bool = False
    """Stuck lines are left alone; noirqdebug_setup()."""

    irqfixup: int = 0
    """1: irqfixup. 2: irqpoll, which also polls lines that were handled."""

    noapic: bool = False
    """No I/O APIC: device interrupts come through the 8259; parse_noapic()."""

    nolapic: bool = False
    """No local APIC either, and so one CPU; setup_nolapic()."""

    nosmp: bool = False
    """One CPU, and no I/O APIC; nosmp() and arch_disable_smp_support()."""

    nomsi: bool = False
    """pci=nomsi: devices fall back to their INTx pin; pci_no_msi()."""

    intremap: bool | None = None
    """intremap=on or off: interrupt remapping; None leaves it to the board."""

    intremap_options: frozenset[str] = frozenset()
    """The other words of intremap=: nosid, no_x2apic_optout, nopost, posted_msi."""

    maxcpus: int | None = None
    """maxcpus=N: start only as many; maxcpus()."""

    nr_cpus: int | None = None
    """nr_cpus=N: know only of as many; nrcpus()."""

    possible_cpus: int | None = None
    """possible_cpus=N: leave room for only as many."""

    log_buf_len: int = 0
    """log_buf_len=SIZE: room for so much kernel log, or more; log_buf_len_setup()."""

    console_loglevel: int = 7
    """loglevel=N, quiet (4), debug (10): the first number in /proc/sys/kernel/printk."""

    panic_timeout_s: int = 0
    """panic=N: after a panic, reboot in so many seconds, at once (below 0), or never (0)."""

    panic_on_oops: bool = False
    """oops=panic: a fault in the kernel is its end; oops_setup()."""

    nmi_watchdog: bool | None = None
    """nmi_watchdog=0 or 1: the hard lockup detector; None leaves it to the CPU."""

    nmi_watchdog_panics: bool = False
    """nmi_watchdog=panic: what it finds is the end; hardlockup_panic_setup()."""

    nowatchdog: bool = False
    """Neither the hard nor the soft lockup detector runs; nowatchdog_setup()."""

    nosoftlockup: bool = False
    """The soft lockup detector does not; nosoftlockup_setup()."""

    watchdog_thresh_s: int = 10
    """watchdog_thresh=N: seconds to a hard lockup; a soft one takes twice as long."""

    nvme_poll_queues: int = 0
    """nvme.poll_queues=N: so many queues of each NVMe drive have no interrupt."""

    others: tuple[str, ...] = ()
    """Words for other parts of the kernel, or for init."""

    ignore_loglevel: bool = False
    """Every record goes to the console; ignore_loglevel_setup()."""

    devkmsg: Devkmsg | None = None
    """printk.devkmsg=on, off or ratelimit: what programs may write; None leaves it to systemd."""

    complaints: tuple[Complaint, ...] = ()
    """Lines for the kernel log."""


def parse_cmdline(text: str, board: Topology) -> BootParameters:
    """Read a whole command line for a kernel on this board. A later word wins over an earlier."""
    parameters = BootParameters()
    words = _split(text)
    for name, value in words:
        parameters = _read_early(parameters, name, value)
    topology = booted(board, parameters)
    for name, value in words:
        parameters = _read_late(parameters, name, value, topology)
    nohz_full = parameters.nohz_full or 0
    if nohz_full & BOOT_CPU:
        text = "NO_HZ: Clearing 0 from nohz_full range for timekeeping"
        return _complain(parameters._replace(nohz_full=nohz_full & ~BOOT_CPU), text)
    return parameters


def booted(board: Topology, parameters: BootParameters) -> Topology:
    """The same board under a kernel with these parameters.

    Neither nr_cpus= nor possible_cpus= can make room for more CPUs than the board has. Without
    SMP or a local APIC the kernel knows CPU 0 only; disable_smp().
    """
    if parameters.nosmp or parameters.nolapic:
        return board._replace(nr_cpus=1, maxcpus=1)
    limits = [n for n in (parameters.nr_cpus, parameters.possible_cpus) if n is not None]
    return board._replace(nr_cpus=min(limits, default=None), maxcpus=parameters.maxcpus)


def _split(text: str) -> list[tuple[str, str | None]]:
    """Names and values. Double quotes keep blanks in; after "--" everything is for init."""
    words: list[tuple[str, str | None]] = []
    for word in _WORD.findall(text):
        if word == "--":
            break
        name, equals, value = word.strip('"').partition("=")
        words.append((name, value.strip('"') if equals else None))
    return words


def _read_early(parameters: BootParameters, name: str, value: str | None) -> BootParameters:
    plain = name.replace("-", "_")  # parameq() takes the two for the same
    if plain in _FLAGS:
        return parameters._replace(**_FLAGS[plain])
    match plain:
        case "maxcpus":
            count = get_option(value)
            if count == 0:
                return parameters._replace(**_FLAGS["nosmp"])
            return parameters._replace(maxcpus=count if count and count > 0 else None)
        case "nr_cpus":
            return parameters._replace(nr_cpus=_positive(value, parameters.nr_cpus))
        case "possible_cpus":
            return parameters._replace(possible_cpus=_positive(value, parameters.possible_cpus))
        case "intremap":
            return _intremap(parameters, value or "")
        case "pci":
            return _pci(parameters, value or "")
        case "log_buf_len" | "ignore_loglevel" | "loglevel" | "printk.devkmsg":
            return _read_log(parameters, plain, value)
        case "panic" | "oops" | "nmi_watchdog" | "watchdog_thresh":
            return _read_failure(parameters, plain, value or "")
        case _ if plain in _WITH_CPU_LISTS:
            return parameters
    word = name if value is None else f"{name}={value}"
    return parameters._replace(others=(*parameters.others, word))


def _intremap(parameters: BootParameters, value: str) -> BootParameters:
    """Words by what they begin with, as setup_irqremap() compares them."""
    for word in value.split(","):
        if word.startswith("on"):
            parameters = parameters._replace(intremap=True)
        elif word.startswith("off"):
            parameters = parameters._replace(intremap=False)
        else:
            known = {option for option in INTREMAP_OPTIONS if word.startswith(option)}
            options = parameters.intremap_options | known
            parameters = parameters._replace(intremap_options=options)
    return parameters


def _read_late(
    parameters: BootParameters, name: str, value: str | None, topology: Topology
) -> BootParameters:
    if value is None:
        return parameters
    match name.replace("-", "_"):
        case "irqaffinity":
            return parameters._replace(irqaffinity=_irqaffinity(value, topology))
        case "isolcpus":
            return _isolcpus(parameters, value, topology)
        case "nohz_full":
            return _isolate(parameters, value, topology, frozenset({"nohz"}))
        case "nvme.poll_queues":
            return _nvme_poll_queues(parameters, value, topology)
    return parameters


def is_set(words: Sequence[str], name: str) -> bool:
    """Whether a module's parameter of two values is given and on; param_set_bool()."""
    values = [
        value or "1" for word, _, value in (each.partition("=") for each in words) if word == name
    ]
    return bool(values) and values[-1][0] in "1yYtT"


def _nvme_poll_queues(parameters: BootParameters, value: str, topology: Topology) -> BootParameters:
    """A decimal number up to that of the possible CPUs; io_queue_count_set()."""
    number = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else -1
    if not 0 <= number <= topology.nr_cpu_ids:
        return _complain(parameters, f"nvme: `{value}' invalid for parameter `poll_queues'")
    return parameters._replace(nvme_poll_queues=number)


def _read_failure(parameters: BootParameters, name: str, value: str) -> BootParameters:
    """What to do when the kernel fails, and how to find out that it has."""
    match name:
        case "panic":
            return parameters._replace(panic_timeout_s=get_option(value) or 0)
        case "oops":
            return parameters._replace(panic_on_oops=parameters.panic_on_oops or value == "panic")
        case "watchdog_thresh":
            return parameters._replace(watchdog_thresh_s=get_option(value) or 0)
    # nmi_watchdog=panic, nopanic, 0, 1, with commas; hardlockup_panic_setup()
    for word in value.split(","):
        if word[:5] in ("panic", "nopan"):
            parameters = parameters._replace(nmi_watchdog_panics=word.startswith("panic"))
        elif word[:1] in ("0", "1"):
            parameters = parameters._replace(nmi_watchdog=word.startswith("1"))
    return parameters


def _read_log(parameters: BootParameters, name: str, value: str | None) -> BootParameters:
    """How much the kernel log holds, and who sees what of it."""
    match name:
        case "log_buf_len":
            return parameters._replace(log_buf_len=memparse(value))
        case "loglevel":
            level = get_option(value)
            if level is None:
                return _complain(parameters, "Malformed early option 'loglevel'", early=True)
            return parameters._replace(console_loglevel=level)
        case "ignore_loglevel":
            text = "printk: debug: ignoring loglevel setting."
            parameters = _complain(parameters, text, Level.INFO, early=True)
            return parameters._replace(ignore_loglevel=True)
    return _devkmsg(parameters, value)


def _pci(parameters: BootParameters, value: str) -> BootParameters:
    """Words with commas; pci_setup() and x86's pcibios_setup()."""
    for word in filter(None, value.split(",")):
        if word == "nomsi":
            parameters = parameters._replace(nomsi=True)
        elif word.partition("=")[0] not in _PCI_OPTIONS:
            text = f"PCI: Unknown option `{word}'"
            parameters = _complain(parameters, text, Level.ERR, early=True)
    return parameters


def _devkmsg(parameters: BootParameters, value: str | None) -> BootParameters:
    """By what the value begins with; control_devkmsg() and __control_devkmsg()."""
    found = [each for each in Devkmsg if (value or "").startswith(each.value)]
    if value is None:
        return parameters
    if not found:
        text = f"printk: invalid option string {value}"
        return _complain(parameters, text)
    return parameters._replace(devkmsg=found[0])


def _irqaffinity(value: str, topology: Topology) -> CpuMask:
    """What stands before a mistake counts, and the boot CPU always does."""
    mask = BOOT_CPU
    for region in value.split(","):
        try:
            mask |= cpulist_parse(region.encode(), topology.nr_cpu_ids)
        except OSError:
            break
    return mask


def _isolcpus(parameters: BootParameters, value: str, topology: Topology) -> BootParameters:
    """Flags, then a list; housekeeping_isolcpus_setup()."""
    flags: set[str] = set()
    while value[:1].isalpha():
        flag, _, value = value.partition(",")
        if flag in ("nohz", "domain", "managed_irq"):
            flags.add(flag)
        elif not flag.replace("_", "a").isalpha():
            return _complain(parameters, f"isolcpus: Invalid flag {flag}")
        else:
            text = f"isolcpus: Skipped unknown flag {flag}"
            parameters = _complain(parameters, text, Level.INFO)
    return _isolate(parameters, value, topology, frozenset(flags or {"domain"}))


def _isolate(
    parameters: BootParameters, cpulist: str, topology: Topology, flags: frozenset[str]
) -> BootParameters:
    """Set CPUs apart in each of the ways that flags name; housekeeping_setup()."""
    try:
        mask = cpulist_parse(cpulist.encode(), topology.nr_cpu_ids)
    except OSError:
        return _complain(parameters, "Housekeeping: nohz_full= or isolcpus= incorrect CPU range")
    earlier = {
        "domain": parameters.isolated,
        "managed_irq": parameters.isolated_managed_irq,
        "nohz": parameters.nohz_full or 0,
    }
    housekeeping = topology.present_mask & ~mask
    if not housekeeping or first_cpu(housekeeping) >= topology.online_mask.bit_length():
        mask &= ~BOOT_CPU
        if not any(earlier.values()):
            parameters = _complain(
                parameters, "Housekeeping: must include one present CPU, using boot CPU:0"
            )
    if not mask:
        return parameters
    if any(earlier[flag] not in (0, mask) for flag in flags):
        return _complain(parameters, "Housekeeping: nohz_full= must match isolcpus=")
    return parameters._replace(
        isolated=mask if "domain" in flags else parameters.isolated,
        isolated_managed_irq=mask if "managed_irq" in flags else parameters.isolated_managed_irq,
        nohz_full=mask if "nohz" in flags else parameters.nohz_full,
    )


def _complain(
    parameters: BootParameters, text: str, level: Level = Level.WARNING, *, early: bool = False
) -> BootParameters:
    complaint = Complaint(text, level, early)
    return parameters._replace(complaints=(*parameters.complaints, complaint))


def _positive(value: str | None, otherwise: int | None) -> int | None:
    number = get_option(value)
    return number if number is not None and number > 0 else otherwise
