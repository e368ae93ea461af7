"""Small PCs of real parts, and devices that do nothing but interrupt."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pseudokern.hw.line import IntxLine
from pseudokern.hw.pci import Bdf, PciFunction
from pseudokern.hw.vector import ApicId
from pseudokern.irq.chip import handle_simple_irq
from pseudokern.irq.desc import FlowHandler, Irq, IrqDesc
from pseudokern.irq.domain import IrqDomain
from pseudokern.irq.flags import Irqf, IrqReturn, IrqState
from pseudokern.irq.irqchip import IrqChip
from pseudokern.irq.request import free_irq, request_irq
from pseudokern.kernel.behaviour import BEHAVIOURS
from pseudokern.kernel.cost import CostModel
from pseudokern.kernel.cpumask import CpuId, CpuMask
from pseudokern.kernel.kernel import Kernel
from pseudokern.sim.timeline import Timeline
from pseudokern.x86.dmar import Iommu
from pseudokern.x86.msi_chip import message_of
from pseudokern.x86.pc import Pc
from pseudokern.x86.pci import Spread

HZ = 250
TICK_NS = 4_000_000
MS = 1_000_000
INTERRUPT_NS = 1_600  # what one takes by the default cost model, its handler included
GSI = 16  # the first line that is no ISA interrupt: level, active low, shared


def new_pc(
    cpus: int = 4,
    *,
    seed: int = 1,
    online: CpuMask | None = None,
    node_of: Callable[[CpuId], int] = lambda _cpu: 0,
    siblings_of: Callable[[CpuId], CpuMask] = lambda cpu: 1 << cpu,
    cost: CostModel | None = None,
    gates: bool = True,
    noapic: bool = False,
    ioapics: int = 1,
    has_pic: bool = True,
    iommu: Iommu | None = None,
    kernel: str = "6.12",
) -> Pc:
    """A PC without devices and without load; its time stands at 0."""
    parts = Kernel(
        timeline=Timeline(),
        seed=seed,
        nr_cpu_ids=cpus,
        online=(1 << cpus) - 1 if online is None else online,
        hz=HZ,
        cost=cost or CostModel(),
        node_of=node_of,
        behaviour=BEHAVIOURS[kernel],
    )
    pc = Pc(
        parts,
        apic_ids=[ApicId(n) for n in range(cpus)],
        ioapics=ioapics,
        has_pic=has_pic,
        level_isa=frozenset({9}),
        siblings_of=siblings_of,
        noapic=noapic,
        iommu=iommu,
    )
    pc.init_iommu()
    pc.gates.enabled = gates
    return pc


def run_for(pc: Pc, duration_ns: int) -> None:
    """Let that much simulated time pass."""
    until_ns = pc.kernel.timeline.now_ns + duration_ns
    while not pc.kernel.timeline.run(until_ns, 1_000_000):
        continue


def at(pc: Pc, when_ns: int, action: Callable[[], None]) -> None:
    """Do something at a time that is still to come."""

    def gate(_now_ns: int) -> int:
        action()
        return 0

    pc.kernel.timeline.schedule(pc.kernel.timeline.add_source(gate), when_ns)


def log_of(pc: Pc) -> list[str]:
    return [record.text for record in pc.kernel.log]


class TestLine:
    """A line with a handler that counts its calls on each CPU.

    on_interrupt  what the handler does and answers; HANDLED by default
    raised        how often the device interrupted, or tried to
    """

    __test__ = False

    def __init__(self, pc: Pc, desc: IrqDesc) -> None:
        self.pc = pc
        self.desc = desc
        self.on_interrupt: Callable[[], IrqReturn] = lambda: IrqReturn.HANDLED
        self.handled_on: list[int] = []
        self.raised = 0

    @property
    def irq(self) -> Irq:
        return self.desc.irq

    @property
    def handled(self) -> int:
        return len(self.handled_on)

    @property
    def counts(self) -> list[int]:
        return list(self.desc.kstat_irqs)

    @property
    def cpu(self) -> int:
        """Where the line goes now."""
        return self.desc.effective_affinity.bit_length() - 1

    @property
    def pending_in_core(self) -> bool:
        return bool(self.desc.istate & IrqState.PENDING)

    def request(self, flags: int = 0, name: str | None = "test") -> "TestLine":
        request_irq(self.pc.irqs, self.irq, self.handle, flags, name, self)
        return self

    def free(self) -> None:
        free_irq(self.desc, self)

    def handlers_on(self) -> bool:
        """Whether it was requested and not freed."""
        return any(action.dev_id is self for action in self.desc.actions)

    def handle(self) -> IrqReturn:
        self.handled_on.append(self.pc.kernel.this.cpu)
        return self.on_interrupt()

    def fire(self, times: int = 1) -> None:
        """Interrupt so often, each time when the one before is over."""
        for _ in range(times):
            self.signal()
            run_for(self.pc, 10_000)

    def signal(self) -> None:
        """Interrupt once, now."""
        raise NotImplementedError


class MessageLine(TestLine):
    """A line that is one message of a PCI function."""

    def signal(self) -> None:
        self.raised += 1
        message_of(self.desc).trigger(self.pc.kernel.timeline.now_ns)


class EdgeLine(TestLine):
    """An ISA line: one edge at a pin of the I/O APIC, or at the 8259."""

    def signal(self) -> None:
        self.raised += 1
        self.pc.gsis.pulse(self.irq)


class LevelLine(TestLine):
    """A line that a device on an INTx wire asserts until its handler makes it let go."""

    def __init__(self, pc: Pc, desc: IrqDesc, wire: IntxLine) -> None:
        super().__init__(pc, desc)
        self.wire = wire
        self.served = 0
        self.already_asserted = 0
        self.not_mine = 0
        self.on_interrupt = self.let_go

    def let_go(self) -> IrqReturn:
        if not self.wire.is_asserted_by(self):
            self.not_mine += 1
            return IrqReturn.NONE
        self.served += 1
        self.wire.release_by(self)
        return IrqReturn.HANDLED

    def signal(self) -> None:
        self.raised += 1
        self.already_asserted += self.wire.is_asserted_by(self)
        self.wire.assert_by(self)


def msix_lines(
    pc: Pc, count: int = 1, *, slot: int = 2, node: int = -1, spread: Spread | None = None
) -> list[MessageLine]:
    """The lines of a new function with MSI-X; nobody has requested them."""
    function = _function(slot, node)
    pc.pci.add(function)
    return [MessageLine(pc, desc) for desc in pc.pci.alloc_msix(function, count, spread)]


def msix_line(pc: Pc, *, slot: int = 2, node: int = -1) -> MessageLine:
    """A requested line of a new function with one MSI-X message."""
    line = msix_lines(pc, 1, slot=slot, node=node)[0]
    line.request()
    return line


def msi_line(pc: Pc, *, slot: int = 3) -> MessageLine:
    """The line of a new function with one MSI; nobody has requested it."""
    function = _function(slot, -1)
    pc.pci.add(function)
    return MessageLine(pc, pc.pci.alloc_msi(function, 1)[0])


def isa_line(pc: Pc, irq: int = 4) -> EdgeLine:
    return EdgeLine(pc, pc.irqs[Irq(irq)])


def intx_lines(pc: Pc, count: int = 1, gsi: int = GSI) -> list[LevelLine]:
    """Devices that share one INTx wire; none has requested it."""
    desc = pc.gsis.register(gsi)
    return [LevelLine(pc, desc, pc.gsis.intx_line(gsi)) for _ in range(count)]


def software_line(
    pc: Pc,
    chip: IrqChip,
    flow: FlowHandler = handle_simple_irq,
    *,
    settings: int = 0,
    name: str = "soft",
) -> IrqDesc:
    """A line of a controller that exists in software only."""
    [desc] = pc.irqs.alloc_descs(1, node=-1)
    IrqDomain(name).associate(desc, 0, chip, None, flow, "")
    desc.settings |= settings
    return desc


@contextmanager
def on_cpu(pc: Pc, cpu: int) -> Iterator[None]:
    """Be code that runs on cpu."""
    outer, pc.kernel.this = pc.kernel.this, pc.kernel.cpus[cpu]
    yield
    pc.kernel.this = outer


def requested(lines: Sequence[TestLine], flags: int = Irqf.SHARED) -> None:
    for number, line in enumerate(lines):
        line.request(flags, name=f"test{number}")


def _function(slot: int, node: int) -> PciFunction:
    return PciFunction(Bdf(f"0000:00:{slot:02x}.0"), 0x1234, 0x11E8, 0x00FF00, node=node)
