"""Say how the values are written that tell where a device sits, and who it is, as /sys does."""

import re
from typing import NamedTuple

from pseudokern.drivers.keys import Limits, mistyped, problem

LAST_SLOT = 31
_BDF = re.compile(r"(?:([0-9a-f]{4}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])")


class Bdf:
    """A PCI address, such as "00:03.0"; always with its domain, as /sys writes it."""

    def parse(self, value: object, limits: Limits) -> object:
        if not isinstance(value, str):
            return mistyped(value, "a PCI address", 'put it in quotes, like "00:03.0"')
        match = _BDF.fullmatch(value.lower())
        if match is None:
            return problem(
                f'is "{value}", not a PCI address', 'write bus:slot.function, like "00:03.0"'
            )
        if int(match[3], 16) > LAST_SLOT:
            return problem(f'is "{value}", but a bus has the slots 00 to 1f')
        return f"{match[1] or '0000'}:{match[2]}:{match[3]}.{match[4]}"


class HexId(NamedTuple):
    """A number as /sys writes it, such as "0x8086"."""

    bits: int = 16

    def parse(self, value: object, limits: Limits) -> object:
        if not isinstance(value, str):
            return mistyped(value, "a hexadecimal number", 'put it in quotes, like "0x8086"')
        if not re.fullmatch(r"0x[0-9a-fA-F]{1,16}", value):
            return problem(f'is "{value}", not a hexadecimal number', 'write it like "0x8086"')
        number = int(value, 16)
        if number >> self.bits:
            return problem(f'is "{value}", but has room for {self.bits // 4} digits only')
        return number


class Node:
    """A NUMA node of this machine; -1 for none, as in /sys."""

    def parse(self, value: object, limits: Limits) -> object:
        if not isinstance(value, int) or isinstance(value, bool):
            return mistyped(value, "a node's number", "write it without quotes, like 0")
        if not -1 <= value < limits.nodes:
            have = "node 0" if limits.nodes == 1 else f"nodes 0-{limits.nodes - 1}"
            return problem(f"is {value}, but the machine has {have}", "use -1 for none")
        return value
