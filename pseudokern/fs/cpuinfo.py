"""Write /proc/cpuinfo.

Follows arch/x86/kernel/cpu/proc.c: show_cpuinfo().
"""

from pseudokern.kernel.cpumask import CpuId, cpus_of
from pseudokern.machine.machine import Machine


def records_cpuinfo(machine: Machine) -> list[bytes]:
    """One record for each online CPU."""
    return [_show(machine, cpu) for cpu in cpus_of(machine.kernel.online)]


def _show(machine: Machine, cpu: CpuId) -> bytes:
    model, topology = machine.description.cpu_model, machine.description.topology
    siblings = topology.core_siblings_mask(cpu) & machine.kernel.online
    apic_id = topology.apic_id(cpu)
    virtual = f"{model.virtual_bits} bits virtual"
    fields = [
        ("processor", cpu),
        ("vendor_id", model.vendor_id),
        ("cpu family", model.family),
        ("model", model.model),
        ("model name", model.model_name),
        ("stepping", model.stepping),
        ("microcode", f"{model.microcode:#x}"),
        ("cpu MHz", f"{model.mhz:.3f}"),
        ("cache size", f"{model.cache_kb} KB"),
        ("physical id", topology.socket_of(cpu)),
        ("siblings", siblings.bit_count()),
        ("core id", topology.core_of(cpu)),
        ("cpu cores", len({topology.core_of(other) for other in cpus_of(siblings)})),
        ("apicid", apic_id),
        ("initial apicid", apic_id),
        ("fpu", "yes"),
        ("fpu_exception", "yes"),
        ("cpuid level", model.cpuid_level),
        ("wp", "yes"),
        ("flags", model.flags),
        ("bugs", model.bugs),
        ("bogomips", f"{model.bogomips:.2f}"),
    ]
    if model.tlb_size:
        fields.append(("TLB size", model.tlb_size))
    fields += [
        ("clflush size", model.clflush_size),
        ("cache_alignment", model.clflush_size),
        ("address sizes", f"{model.physical_bits} bits physical, {virtual}"),
    ]
    lines = [f"{name}{_tabs(name)}: {value}" for name, value in fields]
    lines.append(f"power management: {model.power_management}".rstrip())
    return ("\n".join(lines) + "\n\n").encode()


def _tabs(name: str) -> str:
    """Tabs up to column 16."""
    return "\t" * max(1, 2 - len(name) // 8)
