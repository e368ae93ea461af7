"""Show the interrupt core's own view of lines and domains, and interrupt on command.

Follows kernel/irq/debugfs.c, irq_domain_debug_show() of kernel/irq/irqdomain.c,
x86_vector_debug_show() of arch/x86/kernel/apic/vector.c, and irq_matrix_debug_show() of
kernel/irq/matrix.c: sys/kernel/debug/irq.
"""

from collections.abc import Iterable

from pseudokern.fs.profile import PROFILES, Profile
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.domain import DomainFlag, IrqDomain
from pseudokern.irq.flags import ChipFlag, IrqData, IrqSetting, IrqState
from pseudokern.irq.irqchip import IrqChip
from pseudokern.irq.resend import irq_inject_interrupt
from pseudokern.kernel.cpumask import cpulist_format, cpus_of
from pseudokern.kernel.printk import encoded
from pseudokern.machine.machine import Machine
from pseudokern.x86.msi_chip import MsiChip
from pseudokern.x86.vector import VectorDomain

TRIGGER = b"trigger"
DEFAULT = "default"
LEVEL_INDENT = 4
FLAG_INDENT = 12
MOVE_PCNTXT_SETTING = 1 << 14  # before 6.15: the line can be moved at any time
MOVE_PCNTXT = 1 << 15
FIRST_MOVED_BIT = 27  # before 6.7 a bit of messages that cannot be masked came in between here

_SETTINGS = tuple(
    (f"_IRQ_{name}", getattr(IrqSetting, name))
    for name in ("NOPROBE", "NOREQUEST", "NOTHREAD", "NOAUTOEN", "NESTED_THREAD",
                 "PER_CPU_DEVID", "IS_POLLED", "DISABLE_UNLAZY", "HIDDEN")
)  # fmt: skip
_ISTATES = tuple(
    (f"IRQS_{name}", getattr(IrqState, name))
    for name in ("AUTODETECT", "SPURIOUS_DISABLED", "POLL_INPROGRESS", "ONESHOT", "REPLAY",
                 "WAITING", "PENDING", "SUSPENDED", "NMI")
)  # fmt: skip
_TRIGGERS = (
    ("IRQ_TYPE_EDGE_RISING", 1),
    ("IRQ_TYPE_EDGE_FALLING", 2),
    ("IRQ_TYPE_LEVEL_HIGH", 4),
    ("IRQ_TYPE_LEVEL_LOW", 8),
)
_DSTATES = (
    *_TRIGGERS,
    *(
        (f"IRQD_{name}", getattr(IrqData, name))
        for name in ("LEVEL", "ACTIVATED", "IRQ_STARTED", "IRQ_DISABLED", "IRQ_MASKED",
                     "IRQ_INPROGRESS", "PER_CPU", "NO_BALANCING", "SINGLE_TARGET")
    ),
    ("IRQD_MOVE_PCNTXT", MOVE_PCNTXT),
    *(
        (f"IRQD_{name}", getattr(IrqData, name))
        for name in ("AFFINITY_SET", "SETAFFINITY_PENDING", "AFFINITY_MANAGED",
                     "AFFINITY_ON_ACTIVATE", "MANAGED_SHUTDOWN", "CAN_RESERVE", "WAKEUP_STATE",
                     "WAKEUP_ARMED", "DEFAULT_TRIGGER_SET", "HANDLE_ENFORCE_IRQCTX",
                     "RESEND_WHEN_IN_PROGRESS")
    ),
)  # fmt: skip
_CHIP_FLAGS = tuple(
    (f"IRQCHIP_{name}", getattr(ChipFlag, name))
    for name in ("SET_TYPE_MASKED", "EOI_IF_HANDLED", "MASK_ON_SUSPEND", "ONOFFLINE_ENABLED",
                 "SKIP_SET_WAKE", "ONESHOT_SAFE", "EOI_THREADED", "SUPPORTS_LEVEL_MSI",
                 "SUPPORTS_NMI", "ENABLE_WAKEUP_ON_SUSPEND", "IMMUTABLE", "MOVE_DEFERRED")
)  # fmt: skip
_DOMAIN_FLAGS = (
    ("IRQ_DOMAIN_FLAG_HIERARCHY", DomainFlag.HIERARCHY),
    ("IRQ_DOMAIN_NAME_ALLOCATED", DomainFlag.NAME_ALLOCATED),
    ("IRQ_DOMAIN_FLAG_MSI", DomainFlag.MSI),
    ("IRQ_DOMAIN_FLAG_ISOLATED_MSI", DomainFlag.ISOLATED_MSI),
    ("IRQ_DOMAIN_FLAG_MSI_PARENT", DomainFlag.MSI_PARENT),
    ("IRQ_DOMAIN_FLAG_MSI_DEVICE", DomainFlag.MSI_DEVICE),
)


def show_irq(machine: Machine, desc: IrqDesc) -> bytes:
    """irqs/N: the state of a line, and its place in each domain from the device to the CPU."""
    profile = PROFILES[machine.description.kernel]
    settings, dstate = desc.settings, desc.dstate
    if _moves_at_once(desc) and not profile.deferred_chips:
        settings |= MOVE_PCNTXT_SETTING
        dstate |= MOVE_PCNTXT
    raw_dstate = dstate if profile.device_msi else _with_old_bits(dstate)
    return encoded(
        f"handler:  {getattr(desc.handle_irq, '__name__', '')}\n"
        f"device:   {_device_of(desc)}\n"
        f"status:   0x{settings:08x}\n{_bits(settings, _SETTINGS, 0)}"
        f"istate:   0x{desc.istate:08x}\n{_bits(desc.istate, _ISTATES, 0)}"
        f"ddepth:   {desc.depth}\n"
        f"wdepth:   {desc.wake_depth}\n"
        f"dstate:   0x{raw_dstate:08x}\n{_bits(dstate, _DSTATES, 0)}"
        f"node:     {desc.node}\n"
        f"affinity: {cpulist_format(desc.affinity)}\n"
        f"effectiv: {cpulist_format(desc.effective_affinity)}\n"
        f"pending:  {cpulist_format(desc.pending_mask)}\n" + _levels_of(machine, profile, desc)
    )


def store_irq(machine: Machine, data: bytes, desc: IrqDesc) -> None:
    """`trigger`, or what begins it, makes the line interrupt once; other text is ignored.

    EINVAL  a level line, one that is not active, an NMI
    EBUSY   the last one has not come yet
    """
    text = data[: len(TRIGGER)]
    if text == TRIGGER[: len(text)]:
        irq_inject_interrupt(desc)


def domain_names(machine: Machine) -> list[str]:
    profile = PROFILES[machine.description.kernel]
    names = {_name_of(profile, domain) for domain in machine.pc.domains.by_name.values()}
    return [DEFAULT, *sorted(names)]


def find_domain(machine: Machine, name: str) -> str | None:
    return name if name in domain_names(machine) else None


def show_domain(machine: Machine, name: str) -> bytes:
    """domains/NAME: one domain, and those behind it."""
    profile, domains = PROFILES[machine.description.kernel], machine.pc.domains
    if name == DEFAULT:
        found = [domains.default] if domains.default is not None else []
    else:
        found = [d for d in domains.by_name.values() if _name_of(profile, d) == name]
    if not found:
        return b""
    lines: list[str] = []
    indent = 0
    mapped = sum(domain.mapped for domain in found)
    for domain in found[0].levels():
        pad = " " * indent
        if indent:
            mapped = domain.mapped
            lines.append(f"{pad[LEVEL_INDENT - 1 :]}parent: {_name_of(profile, domain)}\n")
        flags = _domain_flags(profile, domain)
        lines.append(
            f"{pad}name:   {_name_of(profile, domain)}\n"
            f"{pad} size:   {domain.size}\n"
            f"{pad} mapped: {mapped}\n"
            f"{pad} flags:  0x{flags:08x}\n"
        )
        if profile.domain_flag_names:
            lines.append(_bits(flags, _DOMAIN_FLAGS, indent))
        if isinstance(domain, VectorDomain):
            lines.append(_matrix(domain, indent + 1))
        indent += LEVEL_INDENT
    return encoded("".join(lines))


def _levels_of(machine: Machine, profile: Profile, desc: IrqDesc) -> str:
    """irq_debug_show_data(), for each level."""
    if desc.domain is None:
        return f"domain:  \n hwirq:   0x{desc.hwirq:x}\n" + _chip(profile, desc.chip, "", 1)
    lines: list[str] = []
    indent = 0
    for domain in desc.domain.levels():
        pad = " " * indent
        if indent:
            lines.append(f"{pad[LEVEL_INDENT - 1 :]}parent:\n")
        hwirq = domain.hwirq_of(desc) if indent else profile.hwirq(desc)
        chip = domain.chip if indent else desc.chip
        name = "" if indent else profile.chip_name(desc)
        lines.append(f"{pad}domain:  {_name_of(profile, domain)}\n{pad} hwirq:   0x{hwirq:x}\n")
        lines.append(_chip(profile, chip, name, indent + 1))
        if isinstance(domain, VectorDomain):
            lines.append(_vector(machine, domain, desc, indent + 1))
        indent += LEVEL_INDENT
    return "".join(lines)


def _chip(profile: Profile, chip: IrqChip | None, name: str, indent: int) -> str:
    if chip is None:
        return "chip: None\n"
    flags = chip.flags if profile.deferred_chips else chip.flags & ~ChipFlag.MOVE_DEFERRED
    pad = " " * indent
    text = f"{pad}chip:    {name or chip.name}\n{pad} flags:   0x{flags:x}\n"
    return text + _bits(flags, _CHIP_FLAGS, indent)


def _vector(machine: Machine, domain: VectorDomain, desc: IrqDesc, indent: int) -> str:
    pad = " " * indent
    data = domain.data(desc)
    lines = [f"Vector: {data.vector:5}", f"Target: {data.cpu:5}"]
    if data.prev_vector:
        lines += [
            f"Previous vector: {data.prev_vector:5}",
            f"Previous target: {data.prev_cpu:5}",
        ]
    lines += [
        f"move_in_progress: {data.move_in_progress:d}",
        f"is_managed:       {data.is_managed:d}",
        f"can_reserve:      {data.can_reserve:d}",
        f"has_reserved:     {data.has_reserved:d}",
        f"cleanup_pending:  {data.awaits_cleanup:d}",
    ]
    return "".join(f"{pad}{line}\n" for line in lines)


def _matrix(domain: VectorDomain, indent: int) -> str:
    matrix = domain.matrix
    system = matrix.system_map
    lines = [
        f"Online bitmaps:   {matrix.online_maps:6}",
        f"Global available: {matrix.global_available:6}",
        f"Global reserved:  {matrix.global_reserved:6}",
        f"Total allocated:  {matrix.total_allocated:6}",
        f"System: {system.bit_count()}: {cpulist_format(system)}",
        f"{' ' * indent}| CPU | avl | man | mac | act | vectors",
    ]
    for cpu in cpus_of(domain.kernel.online):
        cpu_map = matrix.maps[cpu]
        lines.append(
            f"{' ' * indent} {cpu:4}  {cpu_map.available:4}  {cpu_map.managed:4}  "
            f"{cpu_map.managed_allocated:4} {cpu_map.allocated:4}  "
            f"{cpulist_format(cpu_map.alloc_map)}"
        )
    return "".join(f"{line}\n" for line in lines)


def _bits(state: int, names: Iterable[tuple[str, int]], indent: int) -> str:
    pad = " " * (indent + FLAG_INDENT)
    return "".join(f"{pad}{name}\n" for name, mask in names if state & mask)


def _moves_at_once(desc: IrqDesc) -> bool:
    return desc.chip.can_set_affinity and not desc.chip.flags & ChipFlag.MOVE_DEFERRED


def _with_old_bits(dstate: int) -> int:
    low = dstate & (1 << FIRST_MOVED_BIT) - 1
    return low | dstate >> FIRST_MOVED_BIT << FIRST_MOVED_BIT + 1


def _device_of(desc: IrqDesc) -> str:
    return desc.chip.bdf if isinstance(desc.chip, MsiChip) else "(null)"


def _name_of(profile: Profile, domain: IrqDomain) -> str:
    is_device = domain.flags & DomainFlag.MSI_DEVICE
    return "PCI-MSI-3" if is_device and not profile.device_msi else domain.name


def _domain_flags(profile: Profile, domain: IrqDomain) -> int:
    if profile.device_msi:
        return domain.flags
    # Before 6.2: bit 6 is the work-around for messages that cannot be masked.
    old = domain.flags & ~(DomainFlag.MSI_PARENT | DomainFlag.MSI_DEVICE)
    return old | 1 << 6 if domain.flags & DomainFlag.MSI else old
