"""Be whatever is behind a line of which only its row is known.

For machines that are described from what they print. A pin of an I/O APIC or of the 8259 is wired;
any other controller is known by its name alone (x86/named_chip.py).

    [[device]]
    name = "irq24"
    driver = "pseudokern.drivers.recorded_line"
    irq = 24
    hwirq = 5
    names = ["ACPI:Ged"]
"""

from typing import ClassVar

from pseudokern.drivers.device import Device, Irqf, IrqReturn
from pseudokern.drivers.intx import IntxSource
from pseudokern.drivers.keys import MOST_IRQS, Integer, Key, ListOf, Rate, Text
from pseudokern.drivers.place_kinds import Node
from pseudokern.drivers.traffic import Target
from pseudokern.hw.msix import MsixTable
from pseudokern.hw.vector import RequesterId
from pseudokern.irq.chip import handle_edge_irq, handle_fasteoi_irq
from pseudokern.irq.desc import Irq, IrqDesc
from pseudokern.irq.domain import IrqDomain
from pseudokern.irq.flags import IrqData, IrqSetting
from pseudokern.irq.request import request_irq
from pseudokern.x86.ioapic_chip import Pin
from pseudokern.x86.msi_chip import message_of
from pseudokern.x86.named_chip import NamedChip

WIRED = ("IO-APIC", "XT-PIC")


class RecordedLine(Device):
    """One interrupt, with the handlers that share it."""

    KEYS: ClassVar = {
        "irq": Key(Integer(0, MOST_IRQS), required=True, doc="say irq = NUMBER"),
        "chip": Key(Text(), default="IO-APIC", doc="its controller"),
        "hwirq": Key(Integer(0, 2**63 - 1), doc="the pin, or what is printed for it, if anything"),
        "flow": Key(Text(), default="edge", doc="as printed; fasteoi is level, any other edge"),
        "names": Key(ListOf(Text()), default=(), doc="its handlers; without any it is only there"),
        "rate": Key(Rate(), default=0, doc="interrupts a second"),
        "node": Key(Node(), default=-1, doc="as in /proc/irq/N/node"),
    }

    def probe(self) -> None:
        options = self.options
        is_level = options["flow"] == "fasteoi"
        is_wired = options["chip"] in WIRED
        irq, gsi = Irq(options["irq"]), options["hwirq"] or 0
        if is_wired:
            desc = self.pc.gsis.map(irq, gsi, level=is_level, node=options["node"])
        else:
            desc = self._make_named(irq)
        event: Target = self._event(desc)
        flags = Irqf.SHARED if is_level or len(options["names"]) > 1 else Irqf.NONE
        for name in options["names"]:
            if is_wired and desc.is_level and not self._is_isa(desc):
                source = IntxSource(self.pc.gsis.intx_line(gsi), _handle)
                request_irq(self.pc.irqs, irq, source, flags, name, source)
                event = source.trigger
            else:
                handler = _Handler()
                request_irq(self.pc.irqs, irq, handler, flags, name, handler)
        if options["names"]:
            self.traffic(options["rate"], [event])

    def _make_named(self, irq: Irq) -> IrqDesc:
        """A line of a controller that has one message for each."""
        vectors, options = self.pc.vectors, self.options
        desc = self.pc.irqs.alloc_at(irq, options["node"])
        chip = NamedChip(vectors, options["chip"])
        table = MsixTable(self.pc.bus, 1, requester=RequesterId(0))
        vectors.setup(desc)
        is_level = options["flow"] == "fasteoi"
        flow = handle_fasteoi_irq if is_level else handle_edge_irq
        if options["hwirq"] is None:
            desc.chip, desc.chip_data, desc.handle_irq = chip, table.entries[0], flow
            desc.flow_name = options["flow"]
        else:
            domain = IrqDomain(f"{chip.name}-{irq}", parent=vectors)
            domain.associate(desc, options["hwirq"], chip, table.entries[0], flow, options["flow"])
        if is_level:
            desc.settings |= IrqSetting.LEVEL
            desc.dstate |= IrqData.LEVEL
        chip.write_target(desc)
        table.set_enabled(True)
        return desc

    def _event(self, desc: IrqDesc) -> Target:
        """What makes the line interrupt once."""
        pin = desc.chip_data
        if isinstance(pin, Pin):
            return lambda _now_ns: pin.ioapic.pulse(pin.number)
        if isinstance(desc.chip, NamedChip):
            return message_of(desc).trigger_now
        return lambda _now_ns: self.pulse(desc.irq)

    def _is_isa(self, desc: IrqDesc) -> bool:
        return self.pc.has_pic and desc.irq < 16 and not self.pc.ioapics


class _Handler:
    """A handler that is its own dev_id, so that several can share a line."""

    symbol = "recorded_line"

    def __call__(self) -> IrqReturn:
        return IrqReturn.HANDLED


def _handle() -> IrqReturn:
    return IrqReturn.HANDLED
