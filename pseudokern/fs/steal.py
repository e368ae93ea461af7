"""Show and change what a host takes of the CPUs: the file steal.

A line is of key=value words with the keys of [[steal]], or "off".
"""

from pseudokern.drivers.keys import Limits
from pseudokern.drivers.load import read_words, split_words
from pseudokern.drivers.steal import STEAL_KEYS
from pseudokern.machine.machine import Machine


def show_steal(machine: Machine) -> bytes:
    return str(machine.steal).encode()


def store_steal(machine: Machine, data: bytes) -> None:
    """Change it for the CPUs of a line. EINVAL: something else; the refused writes say why."""
    text = data.decode("latin-1").strip()
    if text == "off":
        machine.steal.off()
        return
    description = machine.description
    limits = Limits(machine.kernel.nr_cpu_ids, description.nodes, description.gsis)
    machine.steal.set(read_words(split_words(text, "steal"), STEAL_KEYS, limits, "steal: "))
