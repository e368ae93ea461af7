"""Know the boot parameters of the rest of Linux, so that only unknown ones count as unknown.

Follows init/main.c: unknown_bootoption() and print_unknown_bootoptions(). The words are those of
Documentation/admin-guide/kernel-parameters.txt that a distribution's x86 kernel has a handler for.
A name with a dot belongs to a module, which may be loaded later, and is never complained about.
"""

from collections.abc import Sequence

_HANDLED_ELSEWHERE = """
acpi acpi_irq_balance acpi_irq_nobalance acpi_osi acpi_rsdp agp amd_iommu amd_pstate apic apm
apparmor audit audit_backlog_limit cgroup_disable cgroup_enable cgroup_no_v1 clocksource console
cpuidle_sysfs_switch crashkernel default_hugepagesz devtmpfs dis_ucode_ldr dyndbg earlycon
earlyprintk edd efi elevator elfcorehdr evm fips ftrace gart_fix_e820 gbpages highres hpet
hugepages hugepagesz hugetlb_cma ia32_emulation idle ima_policy init init_on_alloc init_on_free
initcall_blacklist initcall_debug initrd intel_idle intel_iommu intel_pstate io_delay iommu ip
ipv6 kgdboc kpti kvm_cma l1tf lapic libata lockdown log_mce lpj lsm mce mds mem
mem_sleep_default memhp_default_state memmap memtest mitigations mmio_stale_data
module_blacklist mtrr_gran_size netconsole netdev nfsroot no_console_suspend no_hash_pointers
no_hlt no_timer_check nocache noexec nohibernate nohlt nohpet nohz noinitrd nokaslr
nolapic_timer nomodeset nomodule nopat nopcid nopti nopv norandmaps noresume nosmap nosmep nosmt
nospectre_v1 nospectre_v2 notsc nousb nox2apic noxsave noxsaveopt noxsaves numa numa_balancing
page_alloc_shuffle page_owner page_poison pcie_aspm pcie_port_pm pcie_ports pm_debug_messages
preempt print_fatal_signals psi pti raid ramdisk_size randomize_kstack_offset rcu_nocb_poll
rcu_nocbs rd_start rdinit reboot relax_domain_level reserve resume resume_offset resumedelay
resumewait retbleed ro root rootdelay rootflags rootfstype rootwait rw sched_verbose schedstats
security selinux skew_tick slab_nomerge slub_debug smt spec_rstack_overflow
spec_store_bypass_disable spectre_v2 spectre_v2_user split_lock_detect srbds stacktrace
swapaccount swiotlb sysrq_always_enabled thermal topology transparent_hugepage tsc
tsc_init_debug tsx tsx_async_abort udbg_immortal unknown_nmi_panic usbcore vdso vga video
vsyscall workqueue x2apic_phys xen zswap
"""


def unknown_words(words: Sequence[str]) -> list[str]:
    """What is passed to init, in Linux's order: words without a value, then variables.

    words: those of the command line that no parameter of ours took. A variable that stands twice
    has its last value.
    """
    handled = set(_HANDLED_ELSEWHERE.split())
    arguments: list[str] = []
    variables: dict[str, str] = {}
    for word in words:
        name, equals, _ = word.partition("=")
        if "." in name or name.replace("-", "_") in handled:
            continue
        if equals:
            variables[name] = word
        else:
            arguments.append(word)
    return [*arguments, *variables.values()]
