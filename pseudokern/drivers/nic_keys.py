"""Say what a network card may be told in a machine file."""

from collections.abc import Mapping

from pseudokern.drivers.keys import (
    Choice,
    CpuList,
    Duration,
    Integer,
    Key,
    Limits,
    ListOf,
    OneOrEach,
    Rate,
    mistyped,
    problem,
)
from pseudokern.drivers.nic_styles import STYLES
from pseudokern.drivers.pci_keys import PCI_KEYS

MAX_QUEUES = 256


class XdpFile:
    """An XDP program, such as "./drop.py:drop_small"; an XdpProgram."""

    def parse(self, value: object, limits: Limits) -> object:
        from pseudokern.drivers.xdp_program import load_program  # few cards have one

        hint = 'write it like "./drop.py:drop_small"'
        if not isinstance(value, str):
            return mistyped(value, "a file and a function", hint)
        try:
            return load_program(value, limits.folder)
        except OSError as error:
            return problem(f'is "{value}": {error.strerror}')


NIC_KEYS: Mapping[str, Key] = {
    **PCI_KEYS,
    "style": Key(Choice(*STYLES), default="igb", doc="whose driver names the vectors"),
    "queues": Key(Integer(1, MAX_QUEUES), default=1, doc="receive queues, one vector each"),
    "rate": Key(OneOrEach(Rate()), per="queues", default=0, doc="frames a second per queue"),
    "affinity": Key(ListOf(CpuList()), per="queues", default=(), doc="CPUs of each queue"),
    "handler": Key(Duration(), doc="CPU time of the interrupt handler"),
    "xdp": Key(XdpFile(), doc="function that decides about each frame, FILE.py:FUNCTION"),
}
