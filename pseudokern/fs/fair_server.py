"""Serve /sys/kernel/debug/sched/fair_server: what fair tasks get of each CPU in any case.

Follows sched_fair_server_write() of kernel/sched/debug.c, 6.12.
"""

import errno
from collections.abc import Mapping

from pseudokern.fs.kstrtox import kstrtoull
from pseudokern.kernel.cpumask import CpuId, cpus_of
from pseudokern.kernel.kernel import FAIR_SERVER_NS
from pseudokern.kernel.printk import Level
from pseudokern.machine.machine import Machine

LEAST_PERIOD_NS = 100_000
MOST_PERIOD_NS = (1 << 22) * 1_000  # about four seconds

Servers = Mapping[CpuId, tuple[int, int]]


def are_there(machine: Machine) -> bool:
    return not machine.kernel.behaviour.throttles_rt


def server_names(machine: Machine) -> list[str]:
    return [f"cpu{cpu}" for cpu in cpus_of(machine.kernel.possible)]


def find_server(machine: Machine, name: str) -> CpuId | None:
    number = name.removeprefix("cpu")
    if name != f"cpu{number}" or not number.isdecimal() or str(int(number)) != number:
        return None
    return CpuId(int(number)) if int(number) < machine.kernel.nr_cpu_ids else None


def show_runtime(machine: Machine, cpu: CpuId) -> bytes:
    return b"%d\n" % _parameters_ns(machine, cpu)[0]


def show_period(machine: Machine, cpu: CpuId) -> bytes:
    return b"%d\n" % _parameters_ns(machine, cpu)[1]


def store_runtime(machine: Machine, data: bytes, cpu: CpuId) -> None:
    """0: fair tasks get what real-time ones leave. Errors: see _change()."""
    _change(machine, cpu, kstrtoull(data, "fair_server"), _parameters_ns(machine, cpu)[1])


def store_period(machine: Machine, data: bytes, cpu: CpuId) -> None:
    """Errors: see _change()."""
    _change(machine, cpu, _parameters_ns(machine, cpu)[0], kstrtoull(data, "fair_server"))


def check_bandwidth(machine: Machine, servers: Servers, runtime_us: int, period_us: int) -> None:
    """EBUSY: all fair servers together want more than deadline tasks may have of the CPUs.

    runtime_us  sched_rt_runtime_us: -1 is no limit
    """
    online = list(cpus_of(machine.kernel.online))
    wanted = sum(runtime / period for runtime, period in (_of(servers, cpu) for cpu in online))
    if runtime_us >= 0 and wanted > len(online) * runtime_us / period_us + 1e-9:
        why = f"the fair servers have {wanted:.2f} CPUs, of {len(online)} times {runtime_us} us"
        raise OSError(errno.EBUSY, f"{why} in {period_us}")


def _change(machine: Machine, cpu: CpuId, runtime_ns: int, period_ns: int) -> None:
    """Begin anew with these.

    EINVAL  no number, a runtime above the period, a period below 100 us or above 4.19 s
    ERANGE  more than 64 bits
    EBUSY   see check_bandwidth()
    """
    kernel = machine.kernel
    if runtime_ns > period_ns or not LEAST_PERIOD_NS <= period_ns <= MOST_PERIOD_NS:
        why = f"runtime {runtime_ns} of period {period_ns} ns, from {LEAST_PERIOD_NS}"
        raise OSError(errno.EINVAL, f"{why} to {MOST_PERIOD_NS}")
    servers = {**kernel.fair_servers, cpu: (runtime_ns, period_ns)}
    check_bandwidth(machine, servers, kernel.rt_runtime_us, kernel.rt_period_us)
    kernel.fair_servers = servers
    if not runtime_ns:
        text = f"Fair server disabled in CPU {cpu}, system may crash due to starvation."
        kernel.log.printk(Level.WARNING, text)
    if kernel.sched is not None:
        kernel.sched.restart_limit(cpu)


def _parameters_ns(machine: Machine, cpu: CpuId) -> tuple[int, int]:
    return _of(machine.kernel.fair_servers, cpu)


def _of(servers: Servers, cpu: CpuId) -> tuple[int, int]:
    return servers.get(cpu, FAIR_SERVER_NS)
