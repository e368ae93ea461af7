"""Boot a machine from its description. The order of boot is on this one screen."""

import traceback
from functools import cached_property
from typing import TYPE_CHECKING

from pseudokern.drivers.device import Device
from pseudokern.drivers.programs import Programs
from pseudokern.drivers.registry import find_driver
from pseudokern.drivers.test_lines import TestLines
from pseudokern.hw.vector import ApicId
from pseudokern.kernel.behaviour import BEHAVIOURS
from pseudokern.kernel.cpumask import CpuId, cpus_of
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.loadavg import LoadAverage
from pseudokern.kernel.printk import Level
from pseudokern.machine import boot_log
from pseudokern.machine.cmdline import is_set
from pseudokern.machine.description import Description
from pseudokern.machine.refusals import Refusals
from pseudokern.sim.alarm import Alarm
from pseudokern.sim.clock import Clock
from pseudokern.sim.completion import Completion
from pseudokern.sim.timeline import Timeline
from pseudokern.x86.pc import Pc

if TYPE_CHECKING:
    from pseudokern.drivers.application import AnyApplication
    from pseudokern.drivers.steal import Steal
    from pseudokern.kernel.sched_task import SchedTask
    from pseudokern.kernel.watchdog import Watchdog
    from pseudokern.machine.caches import Caches
    from pseudokern.module.table import Modules
    from pseudokern.x86.dmar import Iommu
    from pseudokern.x86.faults import Faults
    from pseudokern.x86.vcpu import VirtualCpus

BOOT_NS = 1_000_000_000  # until /sbin/init runs
DEFAULT_BOOT_TIME_S = 1_700_000_000  # when nobody says: the same in every run
WATCHDOG_PERIOD_NS = 400_000_000  # for each second of the threshold
EVENTS_AT_ONCE = 100_000


# Parameters of vfio's modules, by what they allow (drivers/vfio.py).
_VFIO_UNSAFE = {
    "noiommu": "vfio.enable_unsafe_noiommu_mode",
    "unsafe interrupts": "vfio_iommu_type1.allow_unsafe_interrupts",
}


class Machine:
    """A machine that has booted; its time stands still until somebody runs its timeline.

    applications  the programs that work with its devices, by name
    programs     what else its CPUs are busy with, once it is there
    clock        how its time follows real time, for whoever runs it
    provoker     what carries out commands to provoke exceptions, once there was one
    halting      done when somebody asked for the machine to be shut down
    refusals     why the last writes from outside were refused
    boot_time_s  when it was switched on, in seconds since 1970
    """

    def __init__(self, description: Description, seed: int) -> None:
        self.description = description
        self.timeline = Timeline()
        topology = description.topology
        self.kernel = Kernel(
            timeline=self.timeline,
            seed=seed,
            nr_cpu_ids=topology.nr_cpu_ids,
            present=topology.present_mask,
            online=topology.online_mask,
            hz=description.hz,
            cost=description.cost,
            node_of=topology.node_of,
            behaviour=BEHAVIOURS[description.kernel],
        )
        self.kernel.share_cache = self._share_cache
        self._print_banner()
        self.pc = Pc(
            self.kernel,
            apic_ids=[ApicId(topology.apic_id(CpuId(n))) for n in range(topology.nr_cpu_ids)],
            ioapics=description.ioapics,
            has_pic=description.pic,
            level_isa=frozenset(description.level_isa),
            siblings_of=topology.siblings_mask,
            default_affinity=description.parameters.irqaffinity,
            noapic=description.parameters.noapic,
            iommu=_iommu(description),
        )
        self.irqs = self.pc.irqs
        self.devices: list[Device] = []
        self.applications: dict[str, AnyApplication] = {}
        self.programs: Programs | None = None
        self.clock = Clock(self.timeline)
        self.kernel.on_panic = self._stop
        self.provoker: object | None = None
        self.halting = Completion()
        self.refusals = Refusals(lambda: self.timeline.now_ns)
        self.boot_time_s = DEFAULT_BOOT_TIME_S
        self._boot()

    @property
    def tasks(self) -> "dict[int, SchedTask]":
        """The tasks that share its CPUs, by PID: of its applications, and kernel threads."""
        if self.kernel.sched is None:
            return {}
        found = {task.pid: task for each in self.applications.values() for task in each.tasks}
        return found | self.kernel.sched.kernel_tasks

    @cached_property
    def modules(self) -> "Modules":
        """The loaded modules; few machines ever have one."""
        from pseudokern.module.table import Modules

        return Modules(self.pc, self.irqs.kthreads)

    @cached_property
    def faults(self) -> "Faults":
        """What can be broken on command; few machines ever are."""
        from pseudokern.x86.faults import Faults

        return Faults(self.pc)

    @cached_property
    def caches(self) -> "Caches":
        """The caches of its CPUs, which boot does not need."""
        from pseudokern.machine.caches import Caches

        description = self.description
        cache_kb = description.cpu_model.cache_kb
        return Caches(description.cache, cache_kb, description.topology)

    def _share_cache(self, one: CpuId, other: CpuId) -> bool:
        """They have one last cache, and are of one speed."""
        caches, topology = self.caches.of(one), self.description.topology
        together = bool(caches) and bool(caches[-1].cpus >> other & 1)
        return together and topology.is_efficient(one) == topology.is_efficient(other)

    @cached_property
    def watchdog(self) -> "Watchdog":
        """The lockup detectors. They begin to look when the machine has been up for a while."""
        from pseudokern.machine.lockup import new_watchdog

        return new_watchdog(self, BOOT_NS)

    def restart_watchdog(self) -> None:
        """Have the watchdog begin again with the settings that it has now."""
        self._watch_alarm.set(self.watchdog.restart())

    def _watch(self) -> None:
        self._watch_alarm.set(self.watchdog.look())

    @cached_property
    def steal(self) -> "Steal":
        """What a host takes of its CPUs; few machines are virtual ones."""
        from pseudokern.drivers.steal import Steal

        return Steal(self.pc)

    @cached_property
    def vcpus(self) -> "VirtualCpus":
        """Virtual CPUs that have devices of this machine; few machines are hosts."""
        from pseudokern.x86.vcpu import VirtualCpus

        return VirtualCpus(self.pc)

    def _boot(self) -> None:
        self._set_boot_parameters()
        boot_log.print_ticks(self.kernel)
        boot_log.print_smp(self.kernel, self.description)
        affinities = self.description.affinities
        if affinities is not None:
            affinities.prepare(self.irqs)
        for entry in self.description.devices:
            driver = find_driver(entry.driver, self.description.base_dir)
            self.devices.append(driver(self.pc, entry.name, entry.options))
        for device in sorted(self.devices, key=lambda device: str(device.options.get("bdf", ""))):
            device.plug()
        self._probe(before_proc=True)
        self.irqs.init_irq_proc()
        self.pc.init_iommu()
        self._run_to_init()
        self._probe(before_proc=False)
        for device in self.devices:
            self._open(device)
        if self.description.loads:
            from pseudokern.machine.loads import begin_loads  # most machines have none

            begin_loads(self)
        if self.description.applications:
            from pseudokern.machine.applications import start_applications  # most have none

            start_applications(self)
        self.test_lines = TestLines(self.pc, self.devices)
        load = self.description.load
        self.programs = Programs(
            self.pc,
            user=load.user,
            burst_ns=load.burst_ns,
            wakeups=load.wakeups,
            tlb_hz=load.tlb_hz,
            call_hz=load.call_hz,
        )
        for options in self.description.steals:
            self.steal.set(options)
        self._watch_alarm = Alarm(self.timeline, self._watch)
        thresh_s = self.description.parameters.watchdog_thresh_s
        if thresh_s and not self.description.parameters.nowatchdog:
            self._watch_alarm.set(BOOT_NS + thresh_s * WATCHDOG_PERIOD_NS)
        self.load_average = LoadAverage(self.kernel)
        if affinities is not None:
            affinities.widen(self.irqs)
        for cpu in cpus_of(self.description.offline & self.kernel.online & ~1):
            self.pc.hotplug.down(cpu)
        if affinities is not None:
            affinities.apply(self.irqs)

    def _stop(self) -> None:
        """The kernel has panicked: time stands still, what is there can be read."""
        self.timeline.stop()
        self.clock.stop()

    def _set_boot_parameters(self) -> None:
        parameters, irqs = self.description.parameters, self.irqs
        irqs.force_irqthreads = parameters.threadirqs
        irqs.noirqdebug = parameters.noirqdebug
        irqs.irqfixup = parameters.irqfixup
        self.kernel.panic_on_oops = int(parameters.panic_on_oops)
        self.kernel.panic_timeout_s = parameters.panic_timeout_s
        self.pc.entry.apic_debug = "apic=debug" in parameters.others
        irqs.nr_irqs = self.description.nr_irqs or irqs.nr_irqs
        self.pc.pci.has_messages = not parameters.nomsi
        self.pc.nvme_poll_queues = parameters.nvme_poll_queues
        self.pc.vfio_allows = frozenset(
            what for what, word in _VFIO_UNSAFE.items() if is_set(parameters.others, word)
        )
        kernel = self.kernel
        kernel.isolated = parameters.isolated
        kernel.isolated_managed_irq = parameters.isolated_managed_irq
        kernel.nohz_full = parameters.nohz_full or 0
        if kernel.nohz_full:
            self.pc.apic_timers.ticks.keep_time()

    def _probe(self, *, before_proc: bool) -> None:
        for device in self.devices:
            if before_proc == device.BEFORE_PROC:
                self._probe_one(device)

    def _probe_one(self, device: Device) -> None:
        """A device whose driver fails is dead; the log says why, and the machine goes on."""
        log = self.kernel.log
        try:
            device.attach()
        except OSError:
            return  # it is in the log
        except Exception:
            text = f"BUG: probe of {device.name} raised an exception; the device is dead"
            log.printk(Level.ALERT, text)
            log.printk(Level.ALERT, traceback.format_exc().rstrip())

    def _open(self, device: Device) -> None:
        """A device that cannot be taken into use is left alone, as `ip link set up` would."""
        try:
            device.open()
        except OSError as error:
            text = f"{device.label}: open failed with error -{error.errno}"
            self.kernel.log.printk(Level.ERR, text)

    def _run_to_init(self) -> None:
        while not self.timeline.run(BOOT_NS, EVENTS_AT_ONCE):
            continue

    def _print_banner(self) -> None:
        description = self.description
        self.kernel.release = f"{description.kernel}.0-pseudokern"
        self.kernel.hardware_name = f"pseudokern {description.name}"
        log, parameters = self.kernel.log, description.parameters
        log.loglevels[0] = parameters.console_loglevel
        if parameters.devkmsg is not None:
            log.devkmsg, log.devkmsg_fixed = parameters.devkmsg, True
        boot_log.print_setup(self.kernel, description)


def _iommu(description: Description) -> "Iommu | None":
    """The remapping unit, as the boot parameters want it."""
    if description.iommu == "none":
        return None
    # Here, because few machines have such a unit, and every module costs time at boot.
    from pseudokern.x86.dmar import Iommu

    parameters = description.parameters
    options = parameters.intremap_options
    remaps = parameters.intremap is not False
    return Iommu(
        has_x2apic="x2apic" in description.cpu_model.flags.split(),
        x2apic_optout=description.x2apic_optout,
        x2apic_optout_overridden="no_x2apic_optout" in options,
        remaps=remaps,
        checks_source="nosid" not in options,
        posts_messages=(
            remaps
            and description.kernel == "6.18"
            and "posted_msi" in options
            and "nopost" not in options
        ),
        translates="intel_iommu=off" not in parameters.others,
        early=description.kernel == "6.1",
    )
