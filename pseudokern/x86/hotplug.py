"""Take a CPU down, and bring it up again.

Follows kernel/cpu.c, arch/x86/kernel/smpboot.c (cpu_disable_common), arch/x86/kernel/irq.c
(fixup_irqs) and lapic_can_unplug_cpu() of arch/x86/kernel/apic/vector.c.

It happens between two events: nothing is interrupted halfway.
"""

import errno

from pseudokern.hw.bus import InterruptBus
from pseudokern.hw.vector import Vector
from pseudokern.irq.cpuhotplug import irq_affinity_online_cpu, irq_migrate_all_off_this_cpu
from pseudokern.irq.desc import IrqDesc, IrqTable
from pseudokern.kernel.cpumask import CpuId, cpus_of
from pseudokern.kernel.cputime import unclaimed
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.printk import Level
from pseudokern.x86.apic_timer import ApicTimers
from pseudokern.x86.entry import Entry
from pseudokern.x86.vector import VectorDomain
from pseudokern.x86.vectors import FIRST_SYSTEM_VECTOR

BOOT_CPU = CpuId(0)


class CpuHotplug:
    """Changes the online mask, with all that depends on it."""

    def __init__(
        self,
        kernel: Kernel,
        irqs: IrqTable,
        vectors: VectorDomain,
        timers: ApicTimers,
        entry: Entry,
        bus: InterruptBus,
    ) -> None:
        self._kernel = kernel
        self._irqs = irqs
        self._vectors = vectors
        self._timers = timers
        self._entry = entry
        self._bus = bus
        self._stragglers: list[tuple[IrqDesc, CpuId, Vector]] = []

    def down(self, cpu: CpuId) -> None:
        """Switch an online CPU off; its interrupts go elsewhere.

        EPERM   it is the boot CPU
        ENOSPC  the other CPUs have too few free vectors for what this one has
        """
        if cpu == BOOT_CPU:
            raise OSError(errno.EPERM, "the boot CPU cannot go down")
        self._check_vectors(cpu)
        kernel, machine_cpu = self._kernel, self._vectors.cpus[cpu]
        kernel.online &= ~(1 << cpu)
        kernel.cpu_changed(cpu)
        # What it is at it ends first.
        _, kernel.cpus[cpu].offline_since_ns = unclaimed(kernel, kernel.cpus[cpu])
        machine_cpu.cli()
        owners = dict(self._vectors.vector_irq[cpu])
        unfinished = self._vectors.unfinished_moves()
        irq_migrate_all_off_this_cpu(self._irqs, cpu, unfinished, self._complete_move)
        self._bus.land_ipis(machine_cpu.apic_id)  # Linux waits a millisecond for them
        self._timers.stop_cpu(machine_cpu)
        self._timers.wheel.migrate(cpu, BOOT_CPU)
        self._retrigger_what_waits(cpu, owners)
        for desc, old_cpu, vector in self._stragglers:
            if self._vectors.vector_irq[old_cpu].get(vector) is not desc:
                desc.chip.retrigger(desc)
        self._stragglers.clear()
        self._vectors.offline(cpu)
        machine_cpu.apic.reset()
        kernel.log.printk(Level.INFO, f"smpboot: CPU {cpu} is now offline")
        kernel.cpu_settled()

    def up(self, cpu: CpuId) -> None:
        """Switch a CPU on that is off."""
        kernel, machine_cpu = self._kernel, self._vectors.cpus[cpu]
        kernel.log.printk(
            Level.INFO,
            f"smpboot: Booting Node {kernel.node_of(cpu)} Processor {cpu} "
            f"APIC 0x{machine_cpu.apic_id:x}",
        )
        this = kernel.cpus[cpu]
        this.offline_ns += max(0, kernel.timeline.now_ns - this.offline_since_ns)
        kernel.online |= 1 << cpu
        self._vectors.matrix.online(cpu)
        self._timers.setup_cpu(machine_cpu)
        self._entry.setup_cpu(machine_cpu)
        irq_affinity_online_cpu(self._irqs, cpu)
        kernel.cpu_changed(cpu)
        kernel.cpu_settled()

    def _complete_move(self, desc: IrqDesc) -> bool:
        """End a move that concerns the CPU; whether there was one.

        Linux, for which all this takes a while, has handled by then what is on its way to a
        vector that the move left on another CPU. Here it has to happen again, unless the line
        is given that very vector now.
        """
        left = self._vectors.left_behind(desc)
        if left is None or not self._vectors.force_complete_move(desc):
            return False
        cpu, vector = left
        apic = self._vectors.cpus[cpu].apic
        on_its_way = self._vectors.is_pending(cpu, vector) or self._bus.is_flying(
            apic.apic_id, vector
        )
        if on_its_way and self._kernel.is_online(cpu) and self._vectors.has_vector(desc):
            self._vectors.shut_down[cpu].add(vector)
            self._stragglers.append((desc, cpu, vector))
        return True

    def _check_vectors(self, cpu: CpuId) -> None:
        matrix, log = self._vectors.matrix, self._kernel.log
        cpu_map = matrix.maps[cpu]
        available = matrix.global_available - cpu_map.available
        to_move = cpu_map.allocated - cpu_map.managed_allocated
        if available < matrix.global_reserved:
            log.printk(
                Level.WARNING,
                f"Reserved vectors {matrix.global_reserved} > available {available}. "
                "IRQ request may fail",
            )
        if available < to_move:
            text = f"CPU {cpu} has {to_move} vectors, {available} available. Cannot disable CPU"
            log.printk(Level.ERR, text)
            raise OSError(errno.ENOSPC, text)

    def _retrigger_what_waits(self, cpu: CpuId, owners: dict[int, IrqDesc]) -> None:
        """What the CPU had accepted but not handled happens again on the new one.

        owners is whose its vectors were before they moved away; a vector that was left behind by
        a move just before is among them.
        """
        waiting = self._vectors.cpus[cpu].apic.irr | self._vectors.take_posted(cpu)
        for vector in cpus_of(waiting):
            desc = owners.get(vector) or self._vectors.vector_irq[cpu].get(vector)
            if desc is not None and self._vectors.has_vector(desc):
                desc.chip.retrigger(desc)
            elif vector < FIRST_SYSTEM_VECTOR:
                self._entry.strays += 1
