"""Say in the kernel log what Linux says while it boots, as far as boot parameters change it.

Follows init/main.c (start_kernel), arch/x86/kernel/cpu/topology.c, arch/x86/kernel/smpboot.c,
kernel/smp.c, kernel/time/tick-sched.c (tick_nohz_init) and setup_log_buf() of
kernel/printk/printk.c.
"""

from collections.abc import Iterable

from pseudokern.hw.ioapic import PINS, VERSION
from pseudokern.kernel.cpumask import CpuId, cpulist_format, cpus_of
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.printk import LOG_BUF_LEN, LOG_CPU_MAX_BUF_LEN, Level
from pseudokern.machine.boot_words import unknown_words
from pseudokern.machine.cmdline import Complaint
from pseudokern.machine.description import Description

IOAPIC_BASE, IOAPIC_SIZE = 0xFEC00000, 0x1000
NR_CPUS = 8192  # CONFIG_NR_CPUS of distributions
# CPUs with a counter for the hard lockup detector: Intel's and AMD's names for it.
COUNTER_FLAGS = frozenset({"arch_perfmon", "perfctr_core"})
FIXUP_TEXTS = (
    (),
    ("Misrouted IRQ fixup support enabled.", "This may impact system performance."),
    (
        "Misrouted IRQ fixup and polling support enabled",
        "This may significantly impact system performance",
    ),
)


def print_setup(kernel: Kernel, description: Description) -> None:
    """What comes before the interrupt controllers: the command line and its consequences."""
    log, parameters, topology = kernel.log, description.parameters, description.topology
    log.printk(Level.NOTICE, f"Linux version {kernel.release}")
    log.printk(Level.INFO, f"Command line: {description.cmdline}")
    _complain(kernel, [each for each in parameters.complaints if each.early])
    if parameters.log_buf_len > LOG_BUF_LEN:
        _grow_log(kernel, parameters.log_buf_len)
    _print_ioapics(kernel, description)
    if description.kernel == "6.1":
        _count_cpus_6_1(kernel, description)
    else:
        _count_cpus(kernel, description)
    log.printk(
        Level.INFO,
        f"setup_percpu: NR_CPUS:{NR_CPUS} nr_cpumask_bits:{kernel.nr_cpu_ids} "
        f"nr_cpu_ids:{kernel.nr_cpu_ids} nr_node_ids:{topology.nodes}",
    )
    log.printk(Level.NOTICE, f"Kernel command line: {description.cmdline}")
    _complain(kernel, [each for each in parameters.complaints if not each.early])
    if parameters.noirqdebug:
        log.printk(Level.INFO, "IRQ lockup detection disabled")
    for line in FIXUP_TEXTS[parameters.irqfixup]:
        log.printk(Level.WARNING, line)
    if unknown := " ".join(unknown_words(parameters.others)):
        text = f'Unknown kernel command line parameters "{unknown}", will be passed to user space.'
        log.printk(Level.NOTICE, text)
    extra = (kernel.nr_cpu_ids - 1) * LOG_CPU_MAX_BUF_LEN
    if extra > LOG_BUF_LEN // 2 and parameters.log_buf_len <= LOG_BUF_LEN:
        each = f"individual max cpu contribution: {LOG_CPU_MAX_BUF_LEN} bytes"
        log.printk(Level.INFO, f"printk: log_buf_len {each}")
        log.printk(Level.INFO, f"printk: log_buf_len total cpu_extra contributions: {extra} bytes")
        log.printk(Level.INFO, f"printk: log_buf_len min size: {LOG_BUF_LEN} bytes")
        _grow_log(kernel, LOG_BUF_LEN + extra)


def print_ticks(kernel: Kernel) -> None:
    """Which CPUs need not tick; tick_nohz_init() and rcu_init_nohz()."""
    if kernel.nohz_full:
        cpus = cpulist_format(kernel.nohz_full)
        kernel.log.printk(Level.INFO, f"NO_HZ: Full dynticks CPUs: {cpus}.")
        kernel.log.printk(Level.INFO, f"rcu: \tOffload RCU callbacks from CPUs: {cpus}.")


def print_smp(kernel: Kernel, description: Description) -> None:
    """What comes after the controllers: the other CPUs."""
    log, parameters = kernel.log, description.parameters
    if parameters.nosmp:
        log.printk(Level.INFO, "APIC: SMP mode deactivated")
        log.printk(Level.INFO, "APIC: Switch to symmetric I/O mode setup in no SMP routine")
        log.printk(Level.INFO, "smpboot: SMP disabled")
    _print_watchdog(kernel, description)
    log.printk(Level.INFO, "smp: Bringing up secondary CPUs ...")
    online = list(cpus_of(kernel.online))
    if len(online) > 1:
        prefix = "" if description.kernel == "6.1" else "smpboot: "
        log.printk(Level.INFO, f"{prefix}x86: Booting SMP configuration:")
        for line in _announced(kernel, online[1:], description.topology.nodes):
            log.printk(Level.INFO, line)
    nodes = len({kernel.node_of(cpu) for cpu in online})
    log.printk(
        Level.INFO,
        f"smp: Brought up {nodes} node{'s' if nodes > 1 else ''}, "
        f"{len(online)} CPU{'s' if len(online) > 1 else ''}",
    )
    bogomips = f"{len(online) * description.cpu_model.bogomips:.2f}"
    what = f"Total of {len(online)} processors activated ({bogomips} BogoMIPS)"
    if not parameters.nosmp:
        log.printk(Level.INFO, f"smpboot: {what}")


def _complain(kernel: Kernel, complaints: Iterable[Complaint]) -> None:
    for complaint in complaints:
        kernel.log.printk(complaint.level, complaint.text)


def _grow_log(kernel: Kernel, size: int) -> None:
    free = LOG_BUF_LEN - kernel.log.used
    kernel.log.grow(size)
    kernel.log.printk(Level.INFO, f"printk: log_buf_len: {kernel.log.size} bytes")
    percent = free * 100 // LOG_BUF_LEN
    kernel.log.printk(Level.INFO, f"printk: early log buf free: {free}({percent}%)")


def _print_ioapics(kernel: Kernel, description: Description) -> None:
    """mp_register_ioapic(), and what firmware says of ISA lines that are not as usual."""
    for number in range(description.ioapics):
        first = number * PINS
        kernel.log.printk(
            Level.INFO,
            f"IOAPIC[{number}]: apic_id {number}, version {VERSION}, "
            f"address 0x{IOAPIC_BASE + number * IOAPIC_SIZE:x}, GSI {first}-{first + PINS - 1}",
        )
    if description.ioapics and not description.parameters.noapic:
        overrides = ["bus_irq 0 global_irq 2 dfl dfl"]
        overrides += [f"bus_irq {n} global_irq {n} high level" for n in description.level_isa]
        for text in overrides:
            kernel.log.printk(Level.INFO, f"ACPI: INT_SRC_OVR (bus 0 {text})")


def _count_cpus(kernel: Kernel, description: Description) -> None:
    """topology_apply_cmdline_limits_early() and topology_init_possible_cpus()."""
    log, parameters, topology = kernel.log, description.parameters, description.topology
    known = min(parameters.nr_cpus or NR_CPUS, NR_CPUS)
    limit = 1 if parameters.nosmp or parameters.nolapic else known
    limit = min(limit, parameters.possible_cpus or limit)
    if limit < known:
        log.printk(Level.INFO, f"CPU topo: Limiting to {limit} possible CPUs")
    present = list(cpus_of(topology.present_mask))
    rejected = topology.plugged_in - len(present)
    if rejected:
        text = f"CPU topo: CPU limit of {limit} reached. Ignoring further CPUs"
        log.printk(Level.WARNING, text)
    packages = len({topology.socket_of(cpu) for cpu in present})
    cores = len({(topology.socket_of(cpu), topology.core_of(cpu)) for cpu in present})
    first = topology.socket_of(present[0])
    here = [cpu for cpu in present if topology.socket_of(cpu) == first]
    log.printk(Level.INFO, f"CPU topo: Max. logical packages: {packages:3d}")
    log.printk(Level.INFO, f"CPU topo: Max. logical dies:     {packages:3d}")
    log.printk(Level.INFO, f"CPU topo: Max. dies per package: {1:3d}")
    threads = 1 << _count_order(len(present)) - _count_order(cores)
    log.printk(Level.INFO, f"CPU topo: Max. threads per core: {threads:3d}")
    in_package = len({topology.core_of(cpu) for cpu in here})
    log.printk(Level.INFO, f"CPU topo: Num. cores per package:   {in_package:3d}")
    log.printk(Level.INFO, f"CPU topo: Num. threads per package: {len(here):3d}")
    hotplug = topology.nr_cpu_ids - len(present)
    text = f"CPU topo: Allowing {len(present)} present CPUs plus {hotplug} hotplug CPUs"
    log.printk(Level.INFO, text)
    if rejected:
        log.printk(Level.INFO, f"CPU topo: Rejected CPUs {rejected}")


def _count_cpus_6_1(kernel: Kernel, description: Description) -> None:
    """generic_processor_info() and prefill_possible_map(), before Linux 6.9."""
    log, topology = kernel.log, description.topology
    limit = topology.nr_cpu_ids
    if description.parameters.nosmp and topology.plugged_in > limit:
        log.printk(
            Level.WARNING,
            f"smpboot: {topology.plugged_in} Processors exceeds max_cpus limit of 0",
        )
    elif topology.plugged_in > limit:
        for number in range(limit, topology.plugged_in):
            apic_id = topology.apic_id(CpuId(number))
            what = f"limit of {limit} reached. Processor {number}/0x{apic_id:x} ignored."
            log.printk(Level.WARNING, f"APIC: NR_CPUS/possible_cpus {what}")
        text = f"smpboot: {topology.plugged_in} Processors exceeds NR_CPUS limit of {limit}"
        log.printk(Level.WARNING, text)
    hotplug = limit - topology.present_mask.bit_count()
    log.printk(Level.INFO, f"smpboot: Allowing {limit} CPUs, {hotplug} hotplug CPUs")


def _announced(kernel: Kernel, cpus: list[CpuId], nodes: int) -> list[str]:
    """The CPUs as they come up, a line for each node; announce_cpu()."""
    width = len(str(kernel.nr_cpu_ids)) + 1
    node_width = len(str(nodes)) + 1
    lines: list[str] = []
    current = -1
    for cpu in cpus:
        if (node := kernel.node_of(cpu)) != current:
            current = node
            lines.append(f".... node {' ' * (node_width - len(str(node)))}#{node}, CPUs:  ")
        if cpu == 1:
            lines[-1] += " " * (width + 1)  # where the boot CPU would stand
        lines[-1] += f"{' ' * (width - len(str(cpu)))}#{cpu}"
    return lines


def _count_order(count: int) -> int:
    """The power of two that count fits into."""
    return (count - 1).bit_length()


def has_counter(description: Description) -> bool:
    """Whether the CPU has a counter that the hard lockup detector can use."""
    return not COUNTER_FLAGS.isdisjoint(description.cpu_model.flags.split())


def _print_watchdog(kernel: Kernel, description: Description) -> None:
    """lockup_detector_init(), and watchdog_hardlockup_probe() of kernel/watchdog_perf.c."""
    parameters = description.parameters
    if kernel.nohz_full:
        text = "watchdog: Disabling watchdog on nohz_full cores by default"
        kernel.log.printk(Level.INFO, text)
    if not has_counter(description):
        text = "NMI watchdog: Perf NMI watchdog permanently disabled"
        kernel.log.printk(Level.INFO, text)
    elif not parameters.nowatchdog and parameters.nmi_watchdog is not False:
        text = "NMI watchdog: Enabled. Permanently consumes one hw-PMU counter."
        kernel.log.printk(Level.INFO, text)
