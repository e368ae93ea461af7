"""Read [[steal]] tables: what the host of a virtual machine takes of its CPUs.

The keys are those of drivers/steal.py.
"""

from collections.abc import Mapping
from typing import Any

from pseudokern.drivers.keys import Limits
from pseudokern.drivers.steal import STEAL_KEYS
from pseudokern.machine.source import Source, Spot

TABLE = "steal"


def read_steals(source: Source, limits: Limits) -> tuple[Mapping[str, Any], ...]:
    """The keys of each; what is wrong is reported to source."""
    found = []
    tables: Any = source.tables[TABLE]
    for number, values in enumerate(tables if isinstance(tables, list) else [tables]):
        spot = Spot(f"[[steal]] {number + 1}", TABLE, number)
        if not isinstance(tables, list) or not isinstance(values, dict):
            source.report(spot, "", "steal is not a list of tables", "write [[steal]] above each")
            continue
        source.report_unknown(spot, values, STEAL_KEYS)
        found.append(source.read(spot, values, STEAL_KEYS, limits))
    return tuple(found)
