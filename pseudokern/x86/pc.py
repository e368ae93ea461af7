"""Put a PC together: its hardware, and the kernel's half that drives it, in the order of boot.

The order is Linux's: the interrupt core and the legacy controller on the boot CPU, the local
APICs, the I/O APICs, the other CPUs, the tick.
"""

from collections.abc import Callable
from functools import cached_property
from itertools import chain
from types import FrameType
from typing import TYPE_CHECKING

from pseudokern.hw.bus import InterruptBus
from pseudokern.hw.cpu import Cpu
from pseudokern.hw.i8259 import I8259Pair
from pseudokern.hw.ioapic import PINS, IoApic
from pseudokern.hw.lapic import LocalApic
from pseudokern.hw.vector import ApicId, RequesterId, Vector
from pseudokern.irq.desc import NR_IRQS_LEGACY, IrqTable
from pseudokern.irq.domain import IrqDomain, IrqDomains
from pseudokern.irq.poll import SpuriousPoller
from pseudokern.irq.resend import SoftwareResend
from pseudokern.kernel.cpumask import CpuId, CpuMask, cpus_of
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.printk import Level
from pseudokern.kernel.timer import TimerWheel
from pseudokern.x86.apic_timer import ApicTimers
from pseudokern.x86.entry import Entry
from pseudokern.x86.gate import Gates
from pseudokern.x86.gsi import GsiMap
from pseudokern.x86.hotplug import CpuHotplug
from pseudokern.x86.i8259_chip import I8259Chip
from pseudokern.x86.ioapic_chip import IoApicChip
from pseudokern.x86.lines import WiredLines
from pseudokern.x86.pci import PciBus
from pseudokern.x86.pic_lines import PicLines
from pseudokern.x86.smp import Smp
from pseudokern.x86.vector import VectorDomain

if TYPE_CHECKING:
    from pseudokern.kernel.blk_mq import BlockLayer
    from pseudokern.kernel.ksoftirqd import Ksoftirqd
    from pseudokern.kernel.ksoftirqd_task import KsoftirqdTasks
    from pseudokern.kernel.tasklet import Tasklet, Tasklets
    from pseudokern.kernel.workqueue import Workqueues
    from pseudokern.x86.dmar import Dmar, Iommu

IOAPIC_BUS = 0xFF  # where the requester ids of I/O APICs are, which are on no bus


class Pc:
    """A PC with its kernel, ready for drivers to probe.

    default_affinity  irqaffinity=, which even the first interrupts get
    noapic  leave the I/O APICs alone: all lines come through the 8259 pair
    dmar  the interrupt remapping unit, if the board has one
    pic   the 8259 pair; without has_pic it is not connected
    gsis  the lines of devices, by the number that they have at an I/O APIC
    pci   the functions on the PCI bus
    nvme_poll_queues  nvme.poll_queues=
    on_fold  called when counts are brought up to date
    vfio_allows  what parameters let programs with a device of their own do without
    domains  every controller's interrupts, stacked upon the CPUs' vectors
    """

    def __init__(
        self,
        kernel: Kernel,
        *,
        apic_ids: list[ApicId],
        ioapics: int,
        has_pic: bool,
        level_isa: frozenset[int],
        siblings_of: Callable[[CpuId], CpuMask],
        default_affinity: CpuMask | None = None,
        noapic: bool = False,
        iommu: "Iommu | None" = None,
    ) -> None:
        self.kernel = kernel
        self.bus = InterruptBus(kernel.timeline, kernel.cost.ipi_ns)
        self.cpus = [self._new_cpu(CpuId(n), apic_id) for n, apic_id in enumerate(apic_ids)]
        self.ioapics = [
            IoApic(self.bus, n * PINS, RequesterId(IOAPIC_BUS << 8 | n))
            for n in range(0 if noapic else ioapics)
        ]
        self.pic = I8259Pair(self.cpus[0].apic.set_lint0)
        self.has_pic = has_pic
        self.irqs = IrqTable(kernel, ioapics * PINS, NR_IRQS_LEGACY if has_pic else 0)
        if default_affinity is not None:
            self.irqs.default_affinity = default_affinity
        self.vectors = VectorDomain(kernel, self.cpus, has_pic=has_pic)
        self.domains = IrqDomains()
        self.domains.default = self.vectors
        self.domains.add(self.vectors)
        self.gates = Gates(kernel, self.vectors)
        self.irqs.on_change = self.gates.rebuild
        kernel.softirqs.wake_ksoftirqd = self._wake_ksoftirqd
        self._resend_tasklet: Tasklet | None = None
        resend = SoftwareResend(self._schedule_resend)
        self.irqs.resend, self.irqs.cancel_resend = resend.resend, resend.cancel
        self.irqs.schedule_work = self._schedule_work
        self.irqs.ack_bad_irq = self._ack_bad_irq
        self.entry = Entry(kernel, self.vectors)
        self.smp = Smp(kernel, self.cpus, self.entry)
        self.timers = TimerWheel(kernel.nr_cpu_ids)
        SpuriousPoller(self.irqs, self.timers)
        self.apic_timers = ApicTimers(kernel, self.timers, self.cpus, self.entry)
        self.pic_chip = I8259Chip(self.pic, self.entry, kernel.log)
        self._print_numbers()
        self.dmar = None if iommu is None else self._remap(iommu)
        self.gsis = self._lines(level_isa)
        self.nvme_poll_queues = 0
        self.on_fold: list[Callable[[], None]] = []
        self.vfio_allows: frozenset[str] = frozenset()
        self.pci = PciBus(
            kernel, self.irqs, self.vectors, self.bus, self.gsis, self.domains, siblings_of
        )
        if self.dmar is not None:
            self.pci.ir = self.dmar.ir
        self.hotplug = CpuHotplug(
            kernel, self.irqs, self.vectors, self.apic_timers, self.entry, self.bus
        )
        kernel.fold_irq_time = self._fold_irq_time
        kernel.occupy = lambda this, duration_ns: self.cpus[this.cpu].occupy(duration_ns)
        kernel.set_interrupt_flag = self._set_interrupt_flag
        kernel.set_handler_window = self._set_handler_window
        if noapic:
            text = "ACPI: Skipping IOAPIC probe due to 'noapic' option."
            kernel.log.printk(Level.INFO, text)
        self._boot()

    @cached_property
    def block(self) -> "BlockLayer":
        """What the disks share, once one of them has something to do."""
        from pseudokern.kernel.blk_mq import BlockLayer

        irqs = self.irqs
        return BlockLayer(self.kernel, self.smp.call_function, lambda: irqs.force_irqthreads)

    @cached_property
    def ksoftirqd(self) -> "Ksoftirqd | KsoftirqdTasks":
        """The threads for softirqs, which few machines ever need."""
        if (sched := self.kernel.sched) is not None:
            from pseudokern.kernel.ksoftirqd_task import KsoftirqdTasks

            return KsoftirqdTasks(self.kernel, self.irqs.kthreads, sched)
        from pseudokern.kernel.ksoftirqd import Ksoftirqd

        return Ksoftirqd(self.kernel, self.irqs.kthreads)

    def _wake_ksoftirqd(self, this: PerCpu) -> None:
        self.ksoftirqd.wake(this)

    def _lines(self, level_isa: frozenset[int]) -> WiredLines:
        irqs, vectors, chip = self.irqs, self.vectors, self.pic_chip
        if self.ioapics:
            parent, pins = self._ioapic_chip()
            gsis = GsiMap(irqs, vectors, self.ioapics, level_isa, chip, pins, parent)
            for domain in gsis.domains:
                self.domains.add(domain)
            return gsis
        return PicLines(irqs, vectors, self.pic, chip, level_isa)

    def _ioapic_chip(self) -> tuple[IrqDomain, IoApicChip]:
        """What is behind the I/O APICs, and how their pins are driven."""
        if self.dmar is None or self.dmar.ir is None:
            return self.vectors, IoApicChip(self.vectors, self.entry)
        from pseudokern.x86.ir_chip import IrIoApicChip

        return self.dmar.ir, IrIoApicChip(self.vectors, self.entry, self.dmar.ir)

    def _remap(self, iommu: "Iommu") -> "Dmar":
        # Here, because few machines have such a unit, and every module costs time at boot.
        from pseudokern.x86.dmar import Dmar

        dmar = Dmar(iommu, self.irqs, self.vectors, self.bus)
        dmar.enable_remapping(len(self.ioapics))
        self.domains.add(dmar.domain)
        if dmar.ir is not None:
            self.domains.add(dmar.ir)
            if dmar.ir.posts_messages:
                from pseudokern.x86.posted_msi import PostedMsi

                PostedMsi(self.vectors, self.entry, dmar.ir)
        return dmar

    def _new_cpu(self, number: CpuId, apic_id: ApicId) -> Cpu:
        apic = LocalApic(self.kernel.timeline, apic_id)
        apic.connect_bus(self._broadcast_eoi, self.bus.send_ipi)
        self.bus.add(apic)
        return Cpu(self.kernel.timeline, number, apic)

    def _broadcast_eoi(self, vector: Vector) -> None:
        for ioapic in self.ioapics:
            ioapic.eoi(vector)

    def _print_numbers(self) -> None:
        """early_irq_init(), before any controller is looked at."""
        log, legacy = self.kernel.log, NR_IRQS_LEGACY if self.has_pic else 0
        if not self.has_pic:
            log.printk(Level.INFO, "Using NULL legacy PIC")
        text = f"NR_IRQS: 524544, nr_irqs: {self.irqs.nr_irqs}, preallocated irqs: {legacy}"
        log.printk(Level.INFO, text)

    def _boot(self) -> None:
        self.vectors.matrix.online(CpuId(0))
        self._set_up(CpuId(0))
        if self.has_pic:
            self._set_up_pic(self.cpus[0].apic)
        if self.dmar is not None and self.dmar.ir is not None and self.dmar.setup.early:
            self._on_boot_cpu_alone(self.dmar.set_interrupt)
        if self.has_pic:
            self.gsis.set_up_legacy()
        for cpu in cpus_of(self.kernel.online & ~1):
            self.vectors.matrix.online(cpu)
            self._set_up(cpu)

    @property
    def posts_messages(self) -> bool:
        """Whether messages of devices are posted to descriptors of the host's CPUs."""
        return self.dmar is not None and self.dmar.ir is not None and self.dmar.ir.posts_messages

    def init_iommu(self) -> None:
        """intel_iommu_init(): DMA is translated from here on, and its faults are reported.

        The kernel of 6.1 requests the fault interrupt earlier, for remapping. Later ones do that
        for units of which firmware says the node; of this one it does not.
        """
        if self.dmar is not None and self.dmar.setup.translates and not self.dmar.has_interrupt:
            self.dmar.set_interrupt()

    def _on_boot_cpu_alone(self, step: Callable[[], None]) -> None:
        """Do something as it is done before the other CPUs are there."""
        kernel = self.kernel
        online, kernel.online = kernel.online, 1
        step()
        kernel.online = online

    def _set_up_pic(self, boot_apic: LocalApic) -> None:
        """Program the 8259 pair. Where I/O APICs take over, it is cut off from the CPU."""
        self.pic_chip.init(auto_eoi=bool(self.ioapics))
        boot_apic.connect_pic(self.pic.acknowledge)
        boot_apic.mask_lint0(bool(self.ioapics))

    def _set_interrupt_flag(self, this: PerCpu, enabled: bool) -> None:
        cpu = self.cpus[this.cpu]
        if enabled:
            cpu.sti()
        else:
            cpu.cli()

    def _set_handler_window(self, this: PerCpu, frame: FrameType, is_open: bool) -> None:
        from pseudokern.x86.window import set_handler_window  # no well-behaved handler needs it

        set_handler_window(self, this, frame, is_open)

    def _set_up(self, cpu: CpuId) -> None:
        self.apic_timers.setup_cpu(self.cpus[cpu])
        self.entry.setup_cpu(self.cpus[cpu])

    @cached_property
    def tasklets(self) -> "Tasklets":
        """Every CPU's lists of tasklets; few machines need them."""
        from pseudokern.kernel.tasklet import Tasklets

        return Tasklets(self.kernel)

    @cached_property
    def workqueues(self) -> "Workqueues":
        """The workers of every CPU; few machines need them."""
        from pseudokern.kernel.workqueue import Workqueues

        return Workqueues(self.kernel, self.irqs.kthreads, self.timers)

    def _ack_bad_irq(self) -> None:
        self.cpus[self.kernel.this.cpu].apic.eoi()

    def _schedule_resend(self, resend_irqs: Callable[[], None]) -> None:
        from pseudokern.kernel.tasklet import Tasklet  # x86 itself replays in hardware

        if self._resend_tasklet is None:
            self._resend_tasklet = Tasklet(resend_irqs)
        self.tasklets.schedule(self._resend_tasklet)

    def _schedule_work(self, function: Callable[[], None]) -> None:
        from pseudokern.kernel.workqueue import Work  # only affinity notifiers need it

        self.workqueues.queue_work(self.workqueues.system_wq, Work(function))

    def fold_counts(self) -> None:
        """Bring all counts and times that fast paths keep up to date."""
        for desc in self.irqs:
            if desc.fast_counts is not None:
                desc.fast_counts.fold()
        for fold in self.on_fold:
            fold()

    def _fold_irq_time(self, this: PerCpu) -> int:
        """fold_counts() for one CPU, and the end of the handler that runs there or ran last."""
        cpu = self.cpus[this.cpu]
        for short_way in cpu.short_ways.values():
            short_way.__self__.fold()  # type: ignore[attr-defined]  # it is a gate's
        return cpu.busy_until_ns

    def losses(self) -> dict[str, int]:
        """Every interrupt that was raised and never delivered, by the place where it ended.

        Collapsed ones are in it: they became one with an earlier interrupt.
        """
        found: dict[str, int] = dict(self.bus.lost)
        for ioapic in self.ioapics:
            for place, times in ioapic.lost.items():
                found[place] = found.get(place, 0) + times
        if not self.ioapics:
            found["collapsed in the 8259's IRR"] = self.pic.collapsed
        found["collapsed in IRR"] = sum(cpu.apic.collapsed for cpu in self.cpus)
        found["vector without a line"] = self.entry.strays
        found["spurious vector"] = sum(this.counts.spurious for this in self.kernel.cpus)
        dmar_lost = {} if self.dmar is None else self.dmar.lost()
        lost = (self.irqs.lost, self.pci.lost(), dmar_lost)
        for place, times in chain.from_iterable(places.items() for places in lost):
            found[place] = found.get(place, 0) + times
        return found
