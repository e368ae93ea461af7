"""Let controllers misbehave: vectors from nowhere, errors, forged messages, a spoilt table."""

from pseudokern.hw.cpu import Cpu
from pseudokern.hw.irte import PRESENT, SPOILT
from pseudokern.hw.pci import Bdf, requester_id
from pseudokern.hw.vector import Vector
from pseudokern.irq.desc import IrqDesc
from pseudokern.kernel.cpumask import CpuId
from pseudokern.sim.agenda import Agenda
from pseudokern.x86.ir_chip import IntelIrDomain
from pseudokern.x86.line_faults import Refused, find_line, number
from pseudokern.x86.msi_chip import MsiChip, message_of
from pseudokern.x86.pc import Pc
from pseudokern.x86.vectors import FIRST_EXTERNAL_VECTOR, SPURIOUS_APIC_VECTOR

PIC_LINES = 15


def find_cpu(pc: Pc, word: str) -> Cpu:
    cpu = number(word)
    if cpu >= len(pc.cpus) or not pc.kernel.is_online(CpuId(cpu)):
        raise Refused(f"CPU {word} is not online")
    return pc.cpus[cpu]


class OneShotFault:
    """What happens once, and is not armed afterwards."""

    def __init__(self, pc: Pc, _agenda: Agenda) -> None:
        self._pc = pc

    def armed(self) -> list[str]:
        return []


class SpuriousVectorFault(OneShotFault):
    """Have a CPU receive a vector that nobody sent: CPU VECTOR.

    0xff is what an APIC gives when the request is gone that it has interrupted the CPU for.
    """

    USAGE = "CPU VECTOR, like 1 0xf3"

    def command(self, cpu: str, vector: str) -> None:
        wanted = number(vector, FIRST_EXTERNAL_VECTOR, SPURIOUS_APIC_VECTOR)
        apic = find_cpu(self._pc, cpu).apic
        if wanted == SPURIOUS_APIC_VECTOR:
            apic.give_spurious()
        else:
            apic.accept(Vector(wanted))


class PicGlitchFault(OneShotFault):
    """Noise on a line of the 8259 pair, gone when the CPU asks: LINE; it is told of 7 or 15."""

    USAGE = "LINE, like 5"

    def command(self, line: str) -> None:
        pin = number(line, 0, PIC_LINES)
        if self._pc.ioapics or not self._pc.has_pic:
            raise Refused("the 8259 pair is not in use; boot with noapic")
        self._pc.pic.glitch(pin)


class ApicErrorFault(OneShotFault):
    """Have a local APIC find errors: CPU BITS, as in its error status register."""

    USAGE = "CPU BITS, like 1 0x08"

    def command(self, cpu: str, bits: str) -> None:
        find_cpu(self._pc, cpu).apic.report_errors(number(bits, 1, 0xFF))


class ForgedMsiFault(OneShotFault):
    """Write a message as another function: BDF IRQ, or BDF ADDRESS DATA."""

    USAGE = "BDF IRQ, like 00:09.0 29, or BDF ADDRESS DATA"

    def command(self, bdf: str, *what: str) -> None:
        domain = "" if bdf.count(":") == 2 else "0000:"
        try:
            requester = requester_id(Bdf(f"{domain}{bdf}"))
        except ValueError:
            raise Refused(f"{bdf!r} is no address of a function, like 00:09.0") from None
        if len(what) == 1:
            desc = find_line(self._pc, what[0])
            if not isinstance(desc.chip, MsiChip):
                raise Refused(f"interrupt {what[0]} has no message")
            message = message_of(desc)
            address, data = message.address, message.data
        elif len(what) == 2:
            address, data = number(what[0]), number(what[1])
        else:
            raise Refused(f"write {self.USAGE}")
        self._pc.bus.write(address, data, requester)


class IrteFault(OneShotFault):
    """Spoil the remapping table: IRQ spoilt, IRQ absent, table unreadable.

    IRQ good, table readable, and any move of the interrupt make it right again.
    """

    USAGE = "IRQ spoilt|absent|good, like 29 spoilt, or table unreadable|readable"

    def command(self, what: str, how: str) -> None:
        ir = self._ir()
        if what == "table":
            if how not in ("unreadable", "readable"):
                raise Refused(f"a table is unreadable or readable, not {how!r}")
            ir.unit.is_readable = how == "readable"
            for desc in list(ir.descs.values()):
                desc.changed()
            return
        desc = find_line(self._pc, what)
        if desc not in ir.descs.values():
            raise Refused(f"interrupt {what} has no entry")
        ir.write(desc)
        index = ir.index_of(desc)
        if how == "spoilt":
            ir.unit.table[index] |= SPOILT
        elif how == "absent":
            ir.unit.table[index] &= ~PRESENT
        elif how != "good":
            raise Refused(f"an entry is spoilt, absent or good, not {how!r}")
        desc.changed()

    def armed(self) -> list[str]:
        dmar = self._pc.dmar
        if dmar is None or dmar.ir is None:
            return []
        state = [] if dmar.unit.is_readable else ["table unreadable"]
        lines = sorted(dmar.ir.descs.values(), key=lambda desc: desc.irq)
        return state + [f"{desc.irq} {how}" for desc in lines if (how := _fault(dmar.ir, desc))]

    def _ir(self) -> IntelIrDomain:
        dmar = self._pc.dmar
        if dmar is None or dmar.ir is None:
            raise Refused('interrupts are not remapped; the machine file says iommu = "intel"')
        return dmar.ir


def _fault(ir: IntelIrDomain, desc: IrqDesc) -> str:
    entry = ir.unit.table.get(ir.index_of(desc))
    if entry is None:
        return ""  # nobody has requested the line
    if not entry & PRESENT:
        return "absent"
    return "spoilt" if entry & SPOILT else ""
