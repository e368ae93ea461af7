"""Give each interrupt a vector on one CPU, and take the old one back when it has moved.

Follows arch/x86/kernel/apic/vector.c. An interrupt has a reservation until it is activated, then
a vector on exactly one CPU. After a move the old vector stays booked until the first interrupt
has come in on the new CPU and one more jiffy has passed.
"""

import errno
from collections.abc import Callable

from pseudokern.hw.cpu import Cpu
from pseudokern.hw.vector import Vector
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.domain import DomainFlag, IrqDomain
from pseudokern.irq.flags import IrqData
from pseudokern.irq.irqchip import IrqChip
from pseudokern.irq.matrix import VectorMatrix
from pseudokern.kernel.cpumask import CpuId, CpuMask, first_cpu
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.printk import Level
from pseudokern.sim.alarm import Alarm
from pseudokern.x86.vectors import (
    FIRST_EXTERNAL_VECTOR,
    FIRST_SYSTEM_VECTOR,
    IRQ_MOVE_CLEANUP_VECTOR,
    ISA_CASCADE_VECTOR,
    ISA_VECTOR_BASE,
    MANAGED_IRQ_SHUTDOWN_VECTOR,
    SYSTEM_VECTORS,
)


class ApicChipData:
    """What the vector domain knows of one interrupt; struct apic_chip_data.

    vector 0 is none. target_vector and target_cpu are what the controller is told: the shutdown
    vector as long as there is no real one.
    """

    __slots__ = ("awaits_cleanup", "can_reserve", "cpu", "has_reserved", "is_managed",
                 "move_in_progress", "prev_cpu", "prev_vector", "target_cpu", "target_vector",
                 "vector")  # fmt: skip

    def __init__(self) -> None:
        self.vector = 0
        self.cpu = CpuId(0)
        self.prev_vector = 0
        self.prev_cpu = CpuId(0)
        self.target_vector = 0
        self.target_cpu = CpuId(0)
        self.move_in_progress = False
        self.awaits_cleanup = False
        self.is_managed = False
        self.can_reserve = False
        self.has_reserved = False


class LapicController(IrqChip):
    """The local APICs, as the last chip of every stack of domains."""

    name = "APIC"


class VectorDomain(IrqDomain):
    """The vectors of all CPUs: the domain that all others are stacked upon.

    vector_irq  [cpu][vector] is whose interrupt it is
    posted      what waits for a CPU in its posted-interrupt descriptor, a bit for each vector;
                take_posted  the same, and then it is no longer there
    shut_down   [cpu] holds the vectors that were in use: one more interrupt there is no surprise
    """

    def __init__(self, kernel: Kernel, cpus: list[Cpu], *, has_pic: bool) -> None:
        hierarchy = DomainFlag.HIERARCHY | DomainFlag.NAME_ALLOCATED
        super().__init__("VECTOR", flags=hierarchy | DomainFlag.MSI_PARENT, chip=LapicController())
        self.kernel = kernel
        self.cpus = cpus
        self.matrix = VectorMatrix(kernel.nr_cpu_ids, FIRST_EXTERNAL_VECTOR, FIRST_SYSTEM_VECTOR)
        self.vector_irq: list[dict[int, IrqDesc]] = [{} for _ in cpus]
        self.shut_down: list[set[int]] = [set() for _ in cpus]
        self._cleanup: list[list[IrqDesc]] = [[] for _ in cpus]
        self._cleanup_alarms = [
            Alarm(kernel.timeline, self._cleaner(CpuId(cpu.number))) for cpu in cpus
        ]
        self._data: dict[IrqDesc, ApicChipData] = {}
        self._warned_of_straggler = False
        self.posted: Callable[[CpuId], int] = lambda _cpu: 0
        self.take_posted: Callable[[CpuId], int] = lambda _cpu: 0
        for vector in SYSTEM_VECTORS:
            self.matrix.assign_system(CpuId(0), vector, replace=False)
        if kernel.behaviour.cleanup_vector:
            self.matrix.assign_system(CpuId(0), IRQ_MOVE_CLEANUP_VECTOR, replace=False)
        if has_pic:
            self.matrix.assign_system(CpuId(0), ISA_CASCADE_VECTOR, replace=False)

    def hwirq_of(self, desc: IrqDesc) -> int:
        return desc.irq

    def data(self, desc: IrqDesc) -> ApicChipData:
        return self._data[desc]

    def has_vector(self, desc: IrqDesc) -> bool:
        """Whether desc has a real one now. Lines of the 8259 have none of these."""
        data = self._data.get(desc)
        return data is not None and bool(data.vector)

    def is_pending(self, cpu: CpuId, vector: Vector) -> bool:
        """is_vector_pending(): whether a CPU still has to take a vector."""
        return self.cpus[cpu].apic.is_requested(vector) or bool(self.posted(cpu) >> vector & 1)

    def left_behind(self, desc: IrqDesc) -> tuple[CpuId, Vector] | None:
        """The vector that a move has left, and its CPU, as long as it is booked."""
        data = self._data.get(desc)
        if data is None or not data.prev_vector:
            return None
        return data.prev_cpu, Vector(data.prev_vector)

    def unfinished_moves(self) -> set[IrqDesc]:
        """Those for which left_behind() says something."""
        return {desc for desc, data in self._data.items() if data.prev_vector}

    def setup(self, desc: IrqDesc) -> ApicChipData:
        """Take in a new interrupt: a reservation, or for a managed one a vector on every CPU.

        ENOSPC  a CPU of a managed interrupt's mask has no vector left
        """
        data = self._new_data(desc)
        if desc.is_managed:
            self.matrix.reserve_managed(desc.affinity)
            data.is_managed = True
            self._park(desc, data)
        else:
            data.can_reserve = True
            desc.dstate |= IrqData.CAN_RESERVE
            self._reserve(desc, data)
        return data

    def setup_legacy_timer(self, desc: IrqDesc) -> ApicChipData:
        """Take in the timer, which is running when the I/O APIC takes over: its vector is fixed."""
        data = self._new_data(desc)
        vector = ISA_VECTOR_BASE + desc.irq
        self.matrix.alloc_at(CpuId(0), vector)
        self._set_vector(desc, data, CpuId(0), vector)
        desc.dstate |= IrqData.ACTIVATED
        return data

    def leave_to_8259(self, desc: IrqDesc) -> None:
        """Keep a legacy interrupt's vector out of the search: the 8259 sends it to the boot CPU."""
        vector = ISA_VECTOR_BASE + desc.irq
        if vector != ISA_CASCADE_VECTOR:
            self.matrix.assign_system(CpuId(0), vector, replace=False)
        self.vector_irq[0][vector] = desc

    def teardown(self, desc: IrqDesc) -> None:
        """Let an interrupt go that is not active."""
        data = self._data.pop(desc)
        if data.is_managed:
            self.matrix.remove_managed(desc.affinity)
        elif data.has_reserved:
            self.matrix.remove_reserved()

    def activate(self, desc: IrqDesc) -> None:
        """Get the vector that was promised. ENOSPC: there is none on any online CPU."""
        data = self._data[desc]
        if data.is_managed:
            if desc.dstate & IrqData.MANAGED_SHUTDOWN and not desc.affinity & self.kernel.online:
                self._park(desc, data)
            else:
                self._assign_managed(desc, data, desc.affinity & self.kernel.online)
        elif data.has_reserved:
            self._activate_reserved(desc, data)
        else:
            self._assign_any(desc, data)

    def deactivate(self, desc: IrqDesc) -> None:
        """Give the vector back; the promise of one is kept."""
        data = self._data[desc]
        if (not data.is_managed and not data.can_reserve) or data.has_reserved:
            return
        self._clear(desc, data)
        if data.can_reserve:
            self._reserve(desc, data)
        else:
            self._park(desc, data)

    def set_affinity(self, desc: IrqDesc, mask: CpuMask) -> None:
        """Get a vector on a CPU of mask, unless the present one is in it.

        EINVAL  no online CPU
        ENOSPC  no vector
        EBUSY   the old vector of the last move is still booked
        """
        data = self._data[desc]
        if not desc.dstate & IrqData.ACTIVATED:
            raise OSError(errno.EIO, f"interrupt {desc.irq} is not active")
        searched = mask & self.kernel.online
        if data.is_managed:
            self._assign_managed(desc, data, searched)
        else:
            self._assign(desc, data, searched)

    def complete_move(self, desc: IrqDesc) -> None:
        """An interrupt came in: on the new CPU, that ends a move."""
        data = self._data[desc]
        if data.move_in_progress and data.cpu == self.kernel.this.cpu:
            self.end_move(desc)

    def end_move(self, desc: IrqDesc) -> None:
        """Nothing comes in on the old CPU any more: vector_schedule_cleanup()."""
        data = self._data[desc]
        if data.move_in_progress:
            data.move_in_progress = False
            self.schedule_cleanup(desc, data)

    def schedule_cleanup(self, desc: IrqDesc, data: ApicChipData) -> None:
        """Free the old vector when the next jiffy begins on its CPU."""
        if not self.kernel.online >> data.prev_cpu & 1:
            self.kernel.log.printk(
                Level.WARNING, f"IRQ {desc.irq} schedule cleanup for offline CPU {data.prev_cpu}"
            )
            self._free_moved(desc, data)
            return
        data.awaits_cleanup = True
        self._cleanup[data.prev_cpu].append(desc)
        self._set_cleanup_alarm(data.prev_cpu)

    def force_complete_move(self, desc: IrqDesc) -> bool:
        """Free the old vector of a move now, because its old or its new CPU goes down.

        Says whether there was one.
        """
        data = self._data.get(desc)
        if data is None or not data.prev_vector:
            return False
        online = self.kernel.online
        if online >> data.cpu & 1 and online >> data.prev_cpu & 1:
            return False
        if data.move_in_progress:
            self.kernel.log.printk(
                Level.WARNING,
                f"IRQ fixup: irq {desc.irq} move in progress, old vector {data.prev_vector}",
            )
        if data.awaits_cleanup:
            self._cleanup[data.prev_cpu].remove(desc)
        self._free_moved(desc, data)
        return True

    def offline(self, cpu: CpuId) -> None:
        """A CPU is down: its vectors are nobody's."""
        self.matrix.offline(cpu)
        self.shut_down[cpu].clear()
        owners = self.vector_irq[cpu]
        for vector, desc in list(owners.items()):
            data = self._data.get(desc)
            if data is None or (data.cpu, data.vector) != (cpu, vector):
                del owners[vector]

    def retrigger(self, desc: IrqDesc) -> None:
        """Send the interrupt's own vector to its CPU."""
        data = self._data[desc]
        sender = self.cpus[self.kernel.this.cpu].apic
        sender.write_icr(self.cpus[data.cpu].apic_id, Vector(data.vector))

    def _new_data(self, desc: IrqDesc) -> ApicChipData:
        data = self._data[desc] = ApicChipData()
        desc.dstate |= IrqData.SINGLE_TARGET
        desc.dstate |= IrqData.HANDLE_ENFORCE_IRQCTX | IrqData.AFFINITY_ON_ACTIVATE
        return data

    def _activate_reserved(self, desc: IrqDesc, data: ApicChipData) -> None:
        self._assign_any(desc, data)
        data.has_reserved = False
        if not desc.dstate & IrqData.CAN_RESERVE:
            data.can_reserve = False
        if desc.effective_affinity & ~desc.affinity:
            self.kernel.log.printk(
                Level.WARNING,
                f"irq {desc.irq}: Affinity broken due to vector space exhaustion.",
            )

    def _assign_any(self, desc: IrqDesc, data: ApicChipData) -> None:
        """A vector as near as possible: in the mask and on the node, in the mask, on the node."""
        node = self.kernel.cpumask_of_node(desc.node) if desc.node >= 0 else 0
        online = self.kernel.online
        searched = [desc.affinity & node, desc.affinity & online, node & online]
        for mask in searched:
            if not mask:
                continue
            try:
                self._assign(desc, data, mask)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
            else:
                return
        self._assign(desc, data, online)

    def _assign(self, desc: IrqDesc, data: ApicChipData, mask: CpuMask) -> None:
        # A CPU that is still allowed keeps the interrupt: widening a mask never moves it.
        if data.vector and (mask & self.kernel.online) >> data.cpu & 1:
            return
        if data.move_in_progress or data.awaits_cleanup:
            raise OSError(errno.EBUSY, f"interrupt {desc.irq}: the last move is not finished")
        cpu, vector = self.matrix.alloc(mask, reserved=data.has_reserved)
        self._set_vector(desc, data, cpu, vector)

    def _assign_managed(self, desc: IrqDesc, data: ApicChipData, mask: CpuMask) -> None:
        searched = mask & desc.affinity
        if data.vector and searched >> data.cpu & 1:
            return
        cpu, vector = self.matrix.alloc_managed(searched)
        self._set_vector(desc, data, cpu, vector)

    def _set_vector(self, desc: IrqDesc, data: ApicChipData, cpu: CpuId, vector: int) -> None:
        data.prev_vector = 0
        if data.vector:
            if self.kernel.online >> data.cpu & 1:
                data.move_in_progress = True
                data.prev_vector, data.prev_cpu = data.vector, data.cpu
            else:
                # vector_irq keeps it until offline(): what waits in IRR is still the line's.
                self.matrix.free(data.cpu, data.vector, managed=data.is_managed)
        data.vector, data.cpu = vector, cpu
        self.vector_irq[cpu][vector] = desc
        self.shut_down[cpu].discard(vector)
        self._target(desc, data, cpu, vector)

    def _clear(self, desc: IrqDesc, data: ApicChipData) -> None:
        if data.vector:
            self._free(desc, data.cpu, data.vector)
            self.shut_down[data.cpu].add(data.vector)
            data.vector = 0
        if data.prev_vector:
            self._free(desc, data.prev_cpu, data.prev_vector)
            self.shut_down[data.prev_cpu].add(data.prev_vector)
            data.prev_vector = 0
            data.move_in_progress = False
            if data.awaits_cleanup:
                self._cleanup[data.prev_cpu].remove(desc)
                data.awaits_cleanup = False

    def _free(self, desc: IrqDesc, cpu: CpuId, vector: int) -> None:
        del self.vector_irq[cpu][vector]
        self.matrix.free(cpu, vector, managed=self._data[desc].is_managed)

    def _reserve(self, desc: IrqDesc, data: ApicChipData) -> None:
        if not self.matrix.reserve():
            self.kernel.log.printk(
                Level.WARNING, "Interrupt reservation exceeds available resources"
            )
        data.has_reserved = True
        self._park(desc, data)

    def _park(self, desc: IrqDesc, data: ApicChipData) -> None:
        cpu = first_cpu(self.kernel.online)
        self._target(desc, data, cpu, MANAGED_IRQ_SHUTDOWN_VECTOR)

    @staticmethod
    def _target(desc: IrqDesc, data: ApicChipData, cpu: CpuId, vector: int) -> None:
        data.target_cpu, data.target_vector = cpu, vector
        desc.effective_affinity = 1 << cpu

    def _free_moved(self, desc: IrqDesc, data: ApicChipData) -> None:
        self._free(desc, data.prev_cpu, data.prev_vector)
        data.prev_vector = 0
        data.move_in_progress = False
        data.awaits_cleanup = False
        desc.changed()

    def _warn_of_straggler(self, desc: IrqDesc) -> None:
        """Once: Linux calls the number an APIC's, but prints the interrupt's."""
        if not self._warned_of_straggler:
            self._warned_of_straggler = True
            text = f"Moved interrupt pending in old target APIC {desc.irq}"
            self.kernel.log.printk(Level.WARNING, text)

    def _set_cleanup_alarm(self, cpu: CpuId) -> None:
        self._cleanup_alarms[cpu].set((self.kernel.jiffies + 1) * self.kernel.tick_period_ns)

    def _cleaner(self, cpu: CpuId) -> Callable[[], None]:
        def clean_up() -> None:
            waiting, self._cleanup[cpu] = self._cleanup[cpu], []
            for desc in waiting:
                data = self._data[desc]
                if self.is_pending(cpu, Vector(data.prev_vector)):
                    self._warn_of_straggler(desc)
                    self._cleanup[cpu].append(desc)
                else:
                    self._free_moved(desc, data)
            if self._cleanup[cpu]:
                self._set_cleanup_alarm(cpu)

        return clean_up
