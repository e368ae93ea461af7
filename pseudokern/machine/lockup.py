"""Set up the lockup detectors as the CPU and the boot parameters have it.

Follows lockup_detector_init() of kernel/watchdog.c.
"""

from typing import TYPE_CHECKING

from pseudokern.kernel.watchdog import Watchdog
from pseudokern.machine.boot_log import has_counter
from pseudokern.x86.nmi import NmiType

if TYPE_CHECKING:
    from pseudokern.machine.machine import Machine


def new_watchdog(machine: "Machine", began_ns: int) -> Watchdog:
    """The detectors of a machine, as from began_ns on; CPUs without a tick are not watched."""
    parameters, pc = machine.description.parameters, machine.pc
    watchdog = Watchdog(
        machine.kernel,
        pc.cpus,
        pc.fold_counts,
        has_counter=has_counter(machine.description),
        soft=not (parameters.nowatchdog or parameters.nosoftlockup),
        hard=not parameters.nowatchdog and parameters.nmi_watchdog is not False,
        thresh_s=parameters.watchdog_thresh_s,
        cpumask=machine.kernel.possible & ~(parameters.nohz_full or 0),
        began_ns=began_ns,
    )
    watchdog.hardlockup_panic = int(parameters.nmi_watchdog_panics)
    if watchdog.has_counter:
        pc.entry.nmis.register(NmiType.LOCAL, "perf", watchdog.perf_event)
    return watchdog
