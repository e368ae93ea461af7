"""Take apart what a script prints: `echo "== name"` begins a section, which runs to the next."""

import re

from tests.mount.booted import Rows

# Print the tables of the machine, as sections.
INTERRUPTS = 'echo "== {}"; cat /proc/interrupts\n'
MASKS = 'echo "== {}"; grep -H . /proc/irq/*/smp_affinity\n'


def sections(text: str) -> dict[str, str]:
    parts = re.split(r"^== (.*)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def masks(text: str) -> dict[int, int]:
    """The mask of each interrupt, from a section of MASKS."""
    found = re.findall(r"^/proc/irq/(\d+)/smp_affinity:(.*)$", text, re.MULTILINE)
    return {int(irq): int(mask.replace(",", ""), 16) for irq, mask in found}


def irqs(text: str, action: str) -> list[int]:
    """The interrupts of /proc/interrupts whose action matches a pattern."""
    rows = re.findall(r"^ *(\d+):.* (\S+)$", text, re.MULTILINE)
    return [int(irq) for irq, name in rows if re.fullmatch(action, name)]


def grown(before: str, after: str, irqs: list[int]) -> dict[int, int]:
    """By how much these interrupts have grown, by CPU."""
    old, new = Rows(before), Rows(after)
    return {cpu: sum(new.count(irq, cpu) - old.count(irq, cpu) for irq in irqs) for cpu in new.cpus}
