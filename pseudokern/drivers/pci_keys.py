"""Say what every PCI device may be told in a machine file: where it is, and who it is."""

from collections.abc import Mapping

from pseudokern.drivers.keys import MOST_IRQS, Gsi, Integer, Key, Limits
from pseudokern.drivers.place_kinds import Bdf, HexId, Node

PIRQ_A_GSI = 16
PIRQ_E_GSI = 20
FIRST_CHIPSET_SLOT = 25


def intx_line(limits: Limits, parsed: Mapping[str, object]) -> object:
    """The line to which a Q35 board wires INTA# of a slot; None if it has no I/O APIC pin for it.

    Slots take PIRQ E to H in turn (GSI 20 to 23), the chipset's own functions PIRQ A (GSI 16).
    """
    bdf = parsed.get("bdf")
    if not isinstance(bdf, str):
        return None
    slot = int(bdf[8:10], 16)
    return PIRQ_A_GSI if slot >= FIRST_CHIPSET_SLOT else PIRQ_E_GSI + slot % 4


PCI_KEYS: Mapping[str, Key] = {
    "bdf": Key(Bdf(), doc="PCI address; the next free slot if left out"),
    "node": Key(Node(), default=-1, doc="NUMA node it is plugged into, -1 for none"),
    "gsi": Key(
        Gsi(minimum=PIRQ_A_GSI, trigger="level", shared=True, optional=True),
        derive=intx_line,
        doc="I/O APIC line of its INTx pin; as a Q35 board wires the slot if left out; 0: none",
    ),
    "irq": Key(
        Integer(1, MOST_IRQS), doc="number of its first message; the lowest free one if left out"
    ),
    "vendor": Key(HexId(16), doc="PCI vendor; the driver knows one"),
    "device": Key(HexId(16), doc="PCI device; the driver knows one"),
    "class": Key(HexId(24), doc="PCI class; the driver knows one"),
    "subsystem_vendor": Key(HexId(16), doc="who made the card; the chip's vendor if left out"),
    "subsystem_device": Key(HexId(16), doc="which card; the chip's device if left out"),
    "revision": Key(HexId(8), default="0x00"),
}
