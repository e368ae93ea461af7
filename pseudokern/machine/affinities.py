"""Read the tables that say where interrupts go, and send them there when the machine boots.

    [affinity]              # as somebody wrote it to /proc/irq/N/smp_affinity_list
    default = "0-3"         # ... and to /proc/irq/default_smp_affinity, when all was up
    29 = "0-1"

    [effective_affinity]    # which of those CPUs the kernel chose, where it might choose another
    29 = "1"

Imported only for a machine whose file has one of the tables.
"""

from collections.abc import Mapping
from typing import NamedTuple

from pseudokern.drivers.keys import CpuList, Key, Limits, Problems, quoted
from pseudokern.irq.desc import Irq, IrqTable
from pseudokern.irq.flags import IrqData
from pseudokern.irq.manage import irq_do_set_affinity, irq_set_affinity, irq_setup_affinity
from pseudokern.kernel.cpumask import CpuMask, cpulist_format
from pseudokern.kernel.printk import Level
from pseudokern.machine.source import Source, Spot

AFFINITY_KEYS: Mapping[str, Key] = {
    "default": Key(CpuList(), doc="what default_smp_affinity is after boot"),
}
_AFFINITY = Spot("[affinity]", "affinity")
_EFFECTIVE = Spot("[effective_affinity]", "effective_affinity")


class Affinities(NamedTuple):
    """Masks by interrupt: what it may use, and what it does use."""

    default: CpuMask | None = None
    wanted: Mapping[int, CpuMask] = {}
    effective: Mapping[int, CpuMask] = {}

    def prepare(self, irqs: IrqTable) -> None:
        """Before any driver is probed: let lines start on the CPU that they were seen on."""
        irqs.start_at({**self.wanted, **self.effective})

    def widen(self, irqs: IrqTable) -> None:
        """When all drivers are there: a line may use more CPUs than the one that it started on."""
        for number in self.effective.keys() - self.wanted.keys():
            _widen(irqs, Irq(number), self.effective[number])

    def apply(self, irqs: IrqTable) -> None:
        """When all is up: write the masks. A refusal is told in the log, as the shell would."""
        for number, mask in self.wanted.items():
            try:
                _write(irqs, Irq(number), mask)
            except OSError as error:
                text = f"[affinity] {number} = {quoted(cpulist_format(mask))}: {error.strerror}"
                irqs.kernel.log.printk(Level.WARNING, text)
        if self.default is not None:
            irqs.default_affinity = self.default


def read_affinities(source: Source, limits: Limits) -> Affinities:
    """Both tables; what is wrong with them is reported to source."""
    values = source.table(_AFFINITY)
    plain = {key: value for key, value in values.items() if not _is_number(key)}
    source.report_unknown(_AFFINITY, plain, AFFINITY_KEYS)
    default = source.read(_AFFINITY, plain, AFFINITY_KEYS, limits).get("default")
    wanted = _masks(source, _AFFINITY, limits)
    source.report_unknown(
        _EFFECTIVE, {key: 0 for key in source.table(_EFFECTIVE) if not _is_number(key)}, ["29"]
    )
    return Affinities(default, wanted, _masks(source, _EFFECTIVE, limits))


def _masks(source: Source, spot: Spot, limits: Limits) -> dict[int, CpuMask]:
    masks = {}
    for key, value in source.table(spot).items():
        if not _is_number(key):
            continue
        mask = CpuList().parse(value, limits)
        if isinstance(mask, Problems):
            for problem in mask:
                source.report(spot, key, f"{key} {problem.what}", problem.hint)
        elif isinstance(mask, int):
            masks[int(key)] = mask
    return masks


def _is_number(key: str) -> bool:
    return key.isascii() and key.isdigit()


def _widen(irqs: IrqTable, irq: Irq, start: CpuMask) -> None:
    """A line that was started on one CPU may use all that it would have been started for."""
    desc = irqs.get(irq)
    if desc is not None and desc.affinity == start and not desc.is_managed:
        desc.dstate &= ~IrqData.AFFINITY_SET
        irq_setup_affinity(desc)
        desc.changed()


def _write(irqs: IrqTable, irq: Irq, mask: CpuMask) -> None:
    """What write_irq_affinity() does; but a line that is on a CPU of mask need not move, and waits
    for no interrupt."""
    desc = irqs.find(irq)
    in_place = not desc.effective_affinity & ~mask
    if desc.is_managed or not desc.can_set_affinity:
        return
    if not desc.dstate & IrqData.ACTIVATED:
        desc.affinity = mask  # it has no vector, and goes nowhere until it is requested
        desc.dstate |= IrqData.AFFINITY_SET
        return
    if in_place and mask & irqs.kernel.online:
        irq_do_set_affinity(desc, mask)
        desc.dstate |= IrqData.AFFINITY_SET
        desc.dstate &= ~IrqData.SETAFFINITY_PENDING  # what a driver's hint has asked for before
        desc.changed()
    else:
        irq_set_affinity(desc, mask)
