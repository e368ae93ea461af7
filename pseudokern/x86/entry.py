"""Enter the kernel for each vector, and leave it again.

Follows arch/x86/kernel/irq.c (common_interrupt, the sysvec_* functions), arch/x86/kernel/idt.c
and irq_exit() of kernel/softirq.c.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pseudokern.hw.cpu import Cpu, IdtGate
from pseudokern.hw.vector import VECTORS, Vector
from pseudokern.kernel.cpumask import CpuId
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.printk import Level
from pseudokern.kernel.ratelimit import RateLimit
from pseudokern.x86 import vectors as numbers
from pseudokern.x86.vector import VectorDomain

if TYPE_CHECKING:
    from pseudokern.x86.nmi import Nmis

# name, privilege that may `int` it, interrupt stack; volume 3 of the SDM, table 6-1
EXCEPTIONS = {
    0: ("divide_error", 0, 0), 1: ("debug", 0, 3), 2: ("nmi", 0, 2), 3: ("int3", 3, 0),
    4: ("overflow", 3, 0), 5: ("bounds", 0, 0), 6: ("invalid_op", 0, 0),
    7: ("device_not_available", 0, 0), 8: ("double_fault", 0, 1),
    9: ("coproc_segment_overrun", 0, 0), 10: ("invalid_tss", 0, 0),
    11: ("segment_not_present", 0, 0), 12: ("stack_segment", 0, 0),
    13: ("general_protection", 0, 0), 14: ("page_fault", 0, 0),
    15: ("spurious_interrupt_bug", 0, 0),
    16: ("coprocessor_error", 0, 0), 17: ("alignment_check", 0, 0), 18: ("machine_check", 0, 4),
    19: ("simd_coprocessor_error", 0, 0),
}  # fmt: skip

APIC_ERRORS = (
    "Send CS error",
    "Receive CS error",
    "Send accept error",
    "Receive accept error",
    "Redirectable IPI",
    "Send illegal vector",
    "Received illegal vector",
    "Illegal register address",
)
NMI_VECTOR = 2

SystemHandler = Callable[[PerCpu], int]


class Entry:
    """The entry code: what the gates of every CPU's IDT call.

    errors  what the ERR row shows: APIC errors and spurious interrupts of the 8259
    apic_debug  apic=debug: the log says what errors an APIC found
    mis     level interrupts that arrived as edges
    wake_vcpus  lets virtual CPUs run again that wait for an interrupt: x86/vcpu.py
    strays  interrupts at vectors that belong to no line (any more)
    """

    def __init__(self, kernel: Kernel, vectors: VectorDomain) -> None:
        self.errors = 0
        self.mis = 0
        self.apic_debug = False
        self.strays = 0
        self._kernel = kernel
        self._vectors = vectors
        self._no_handler_told = RateLimit(kernel.log, "__common_interrupt")
        self._overhead_ns = kernel.cost.overhead_ns
        self._nmis: Nmis | None = None
        self._system: dict[int, tuple[str, SystemHandler]] = {}
        self._idt: list[IdtGate | None] = []
        self.set_system_vector(numbers.ERROR_APIC_VECTOR, "error_interrupt", self._apic_error)
        self.set_system_vector(numbers.RESCHEDULE_VECTOR, "reschedule_ipi", self._reschedule)
        self.wake_vcpus: Callable[[PerCpu], None] = lambda _this: None
        self.set_system_vector(
            numbers.POSTED_INTR_VECTOR, "kvm_posted_intr_ipi", self._posted_interrupt
        )
        self.set_system_vector(
            numbers.POSTED_INTR_NESTED_VECTOR, "kvm_posted_intr_nested_ipi", self._posted_nested
        )
        self.set_system_vector(
            numbers.POSTED_INTR_WAKEUP_VECTOR, "kvm_posted_intr_wakeup_ipi", self._posted_wakeup
        )

    def set_system_vector(self, vector: int, name: str, handler: SystemHandler) -> None:
        """Have handler called for a vector of the system; it returns the ns that its work takes."""
        self._system[vector] = (name, handler)
        self._idt = []

    @property
    def nmis(self) -> "Nmis":
        """Who handles NMIs."""
        if self._nmis is None:
            from pseudokern.x86.nmi import Nmis  # most machines never see one

            self._nmis = Nmis(self._kernel, self._vectors.cpus)
        return self._nmis

    def setup_cpu(self, cpu: Cpu) -> None:
        """Fill a CPU's IDT, and let it take interrupts."""
        if not self._idt:
            self._idt = [self._gate(Vector(number)) for number in range(VECTORS)]
        cpu.idt[:] = self._idt
        cpu.apic.lvt_error.vector = Vector(numbers.ERROR_APIC_VECTOR)
        cpu.apic.lvt_error.masked = False
        cpu.sti()

    def _gate(self, vector: Vector) -> IdtGate:
        if vector in EXCEPTIONS:
            name, dpl, ist = EXCEPTIONS[vector]
            handler = self._nmi if vector == NMI_VECTOR else self._exception
            return IdtGate(name, handler, dpl, ist)
        if vector < numbers.FIRST_EXTERNAL_VECTOR:
            return IdtGate("reserved", self._exception)
        if vector == numbers.IA32_SYSCALL_VECTOR:
            return IdtGate("int80_emulation", self._exception, dpl=3)
        if vector in self._system:
            return IdtGate(self._system[vector][0], self._system_interrupt)
        if numbers.FIRST_EXTERNAL_VECTOR <= vector < numbers.FIRST_SYSTEM_VECTOR:
            return IdtGate("common_interrupt", self._common_interrupt)
        return IdtGate("spurious_interrupt", self._spurious_interrupt)

    def _common_interrupt(self, cpu: Cpu, vector: Vector) -> None:
        """A device's vector: run the flow of the line that it belongs to."""
        this = self._kernel.cpus[cpu.number]
        outer, self._kernel.this = self._kernel.this, this
        cost_ns = self._overhead_ns
        try:
            desc = self._vectors.vector_irq[cpu.number].get(vector)
            if desc is None:
                self._no_handler(cpu, vector)
            else:
                cost_ns += sum(action.cost_ns for action in desc.actions)
                desc.handle_irq(desc)
        finally:
            self._irq_exit(cpu, this, cost_ns)
            self._kernel.this = outer

    def _system_interrupt(self, cpu: Cpu, vector: Vector) -> None:
        this = self._kernel.cpus[cpu.number]
        outer, self._kernel.this = self._kernel.this, this
        cost_ns = self._overhead_ns
        try:
            cpu.apic.eoi()
            cost_ns += self._system[vector][1](this)
        finally:
            self._irq_exit(cpu, this, cost_ns)
            self._kernel.this = outer

    def _spurious_interrupt(self, cpu: Cpu, vector: Vector) -> None:
        """A vector of the system range that nobody uses, or 0xff."""
        this = self._kernel.cpus[cpu.number]
        this.counts.spurious += 1
        if vector == numbers.SPURIOUS_APIC_VECTOR:
            text = f"Spurious APIC interrupt (vector 0xFF) on CPU#{this.cpu}, should never happen."
        elif cpu.apic.is_in_service(vector):
            text = f"Spurious interrupt (vector 0x{vector:02x}) on CPU#{this.cpu}. Acked"
            cpu.apic.eoi()
        else:
            text = f"Spurious interrupt (vector 0x{vector:02x}) on CPU#{this.cpu}. Not pending!"
        self._kernel.log.printk(Level.INFO, text)
        self._irq_exit(cpu, this, self._overhead_ns)

    def _nmi(self, cpu: Cpu, vector: Vector) -> None:
        self.nmis.enter(cpu, vector)

    def _exception(self, cpu: Cpu, vector: Vector) -> None:
        """What an instruction has brought about: a program's, or the kernel's own."""
        from pseudokern.x86.traps import handle_exception  # no machine in order needs it

        handle_exception(self._kernel, cpu, vector)

    def _no_handler(self, cpu: Cpu, vector: Vector) -> None:
        self.count_stray(CpuId(cpu.number), vector)
        cpu.apic.eoi()

    def count_stray(self, cpu: CpuId, vector: int) -> None:
        """A vector without a line: one straggler after a shutdown is normal, others are told of."""
        self.strays += 1
        if vector in self._vectors.shut_down[cpu]:
            self._vectors.shut_down[cpu].discard(vector)
        else:
            self._no_handler_told.printk(Level.EMERG, f"No irq handler for {cpu}.{vector}")

    def _irq_exit(self, cpu: Cpu, this: PerCpu, cost_ns: int) -> None:
        end_ns = cpu.occupy(cost_ns)
        this.hardirq_ns += cost_ns
        began_ns = self._kernel.timeline.now_ns
        if this.softirq_pending or began_ns < this.softirq_end_ns:
            self._kernel.softirqs.irq_exit(this, end_ns, end_ns - began_ns)

    def _apic_error(self, this: PerCpu) -> int:
        apic = self._vectors.cpus[this.cpu].apic
        status, apic.esr = apic.esr, 0
        self.errors += 1
        if self.apic_debug:
            reasons = [text for bit, text in enumerate(APIC_ERRORS) if status >> bit & 1]
            text = " : ".join([f"APIC error on CPU{this.cpu}: {status:02x}", *reasons])
            self._kernel.log.printk(Level.DEBUG, text)
        return 0

    @staticmethod
    def _reschedule(this: PerCpu) -> int:
        this.counts.reschedule += 1
        return 0

    @staticmethod
    def _posted_interrupt(this: PerCpu) -> int:
        """A notification for a guest that is not running: it looks when it runs again."""
        this.counts.posted += 1
        return 0

    @staticmethod
    def _posted_nested(this: PerCpu) -> int:
        this.counts.posted_nested += 1
        return 0

    def _posted_wakeup(self, this: PerCpu) -> int:
        this.counts.posted_wakeup += 1
        self.wake_vcpus(this)
        return 0
