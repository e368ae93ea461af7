"""Post a device's interrupts to a virtual machine, as KVM does for a device that it was given.

Follows arch/x86/kvm/vmx/posted_intr.c, and VT-d 5.2 for what the processor does itself. The entry
of a device's message points at the descriptor of a virtual CPU. Where that CPU is decides what
becomes of the notification:

    guest    its program runs: the processor takes the requests; the host sees nothing
    host     KVM works for it: the notification interrupts the host; requests wait for the guest
    nested   the same, for a guest within the guest
    out      another task has the CPU: no notifications (SN)
    blocked  it waits for an interrupt: the wakeup vector interrupts the host, which lets it run

Not modelled: the guest's own APIC; a request that was taken is only counted.
"""

import errno
from itertools import count

from pseudokern.hw.posted import ALIGNMENT, PostedDescriptor
from pseudokern.hw.vector import ApicId, Vector
from pseudokern.irq.desc import Irq, IrqDesc
from pseudokern.kernel.cpumask import CpuId
from pseudokern.kernel.percpu import PerCpu
from pseudokern.x86.ir_chip import IntelIrDomain
from pseudokern.x86.msi_chip import MsiChip
from pseudokern.x86.pc import Pc
from pseudokern.x86.vectors import (
    POSTED_INTR_NESTED_VECTOR,
    POSTED_INTR_VECTOR,
    POSTED_INTR_WAKEUP_VECTOR,
)

STATES = ("guest", "host", "nested", "out", "blocked")
GIVE_BACK = "none"
FIRST_GUEST_VECTOR = 0x31
DESCRIPTORS = 0x2_0000_0000  # where they stand in memory


class VirtualCpu:
    """One virtual CPU, which has one device. taken: requests that reached its program."""

    def __init__(self, desc: IrqDesc, address: int, vector: Vector) -> None:
        self.desc = desc
        self.vector = vector
        self.cpu = CpuId(0)
        self.state = "host"
        self.taken = 0
        self.descriptor = PostedDescriptor(address, nv=Vector(POSTED_INTR_VECTOR), ndst=ApicId(0))

    def move(self, cpu: CpuId, apic_id: ApicId, state: str) -> None:
        """vmx_vcpu_pi_load(), pi_enable_wakeup_handler(): what notifications are to do now."""
        descriptor = self.descriptor
        self.cpu, self.state = cpu, state
        descriptor.ndst = apic_id
        descriptor.sn = state == "out"
        descriptor.nv = Vector(
            {"blocked": POSTED_INTR_WAKEUP_VECTOR, "nested": POSTED_INTR_NESTED_VECTOR}.get(
                state, POSTED_INTR_VECTOR
            )
        )
        if state == "guest":
            self.enter()

    def enter(self) -> None:
        """VM entry, or a notification in the guest: the processor takes what is posted."""
        self.taken += self.descriptor.take().bit_count()

    def __str__(self) -> str:
        descriptor = self.descriptor
        return (
            f"{self.desc.irq} {self.cpu} {self.state}: taken {self.taken}, "
            f"PIR {descriptor.pir:#x}, ON {descriptor.on:d}, SN {descriptor.sn:d}, "
            f"NV {descriptor.nv:#x}, NDST {descriptor.ndst}"
        )


class VirtualCpus:
    """The virtual CPUs of a host; each is known by the interrupt of its device."""

    def __init__(self, pc: Pc) -> None:
        self._pc = pc
        self._by_irq: dict[Irq, VirtualCpu] = {}
        self._addresses = count(DESCRIPTORS, ALIGNMENT)
        pc.entry.wake_vcpus = self._wakeup
        if pc.dmar is not None:
            pc.dmar.unit.intercept = self._consumes

    def command(self, text: str) -> None:
        """IRQ CPU STATE, or IRQ none.

        EINVAL  not in this form; interrupts are not remapped, or this one is no message
        """
        words = text.split()
        try:
            irq, where, *state = words
            desc = self._pc.irqs[Irq(int(irq))]
            if where == GIVE_BACK and not state:
                self._give_back(desc)
                return
            cpu = CpuId(int(where))
            (wanted,) = state
        except (ValueError, KeyError):
            wanted = ""
        if wanted not in STATES:
            known = ", ".join(STATES)
            raise OSError(errno.EINVAL, f"vcpu {text!r}: write IRQ CPU STATE ({known}), IRQ none")
        if not self._pc.kernel.is_online(cpu):
            raise OSError(errno.EINVAL, f"vcpu {text!r}: CPU {cpu} is not online")
        vcpu = self._by_irq.get(desc.irq) or self._assign(desc)
        vcpu.move(cpu, self._pc.cpus[cpu].apic_id, wanted)

    def __str__(self) -> str:
        return "".join(f"{self._by_irq[irq]}\n" for irq in sorted(self._by_irq))

    def _assign(self, desc: IrqDesc) -> VirtualCpu:
        ir = self._ir()
        if not isinstance(desc.chip, MsiChip) or not desc.actions:
            raise OSError(errno.EINVAL, f"interrupt {desc.irq} is no message that is in use")
        vector = Vector(FIRST_GUEST_VECTOR + len(self._by_irq))
        vcpu = VirtualCpu(desc, next(self._addresses), vector)
        self._by_irq[desc.irq] = vcpu
        ir.unit.memory[vcpu.descriptor.address] = vcpu.descriptor
        ir.post_to(desc, (vcpu.descriptor, vector))
        return vcpu

    def _give_back(self, desc: IrqDesc) -> None:
        if self._by_irq.pop(desc.irq, None) is not None:
            self._ir().post_to(desc, None)

    def _ir(self) -> IntelIrDomain:
        dmar = self._pc.dmar
        if dmar is None or dmar.ir is None:
            raise OSError(errno.EINVAL, 'vcpu: the machine file has to say iommu = "intel"')
        return dmar.ir

    def _consumes(self, destination: ApicId, vector: Vector) -> bool:
        """Whether a notification is for the guest that runs there: the host does not see it."""
        for vcpu in self._by_irq.values():
            here = vcpu.descriptor.ndst == destination and vcpu.descriptor.nv == vector
            if here and vcpu.state == "guest":
                vcpu.enter()
                return True
        return False

    def _wakeup(self, this: PerCpu) -> None:
        """pi_wakeup_handler(): those that wait on this CPU and have something run again."""
        for vcpu in self._by_irq.values():
            if vcpu.state == "blocked" and vcpu.cpu == this.cpu and vcpu.descriptor.on:
                vcpu.move(vcpu.cpu, vcpu.descriptor.ndst, "guest")
