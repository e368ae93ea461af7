"""Write /proc/stat and /proc/uptime.

Follows fs/proc/stat.c and fs/proc/uptime.c. Times are in USER_HZ, 1/100 s; the intr line has a
number for every interrupt that could exist.
"""

from pseudokern.kernel.cpumask import cpus_of
from pseudokern.kernel.cputime import irq_time
from pseudokern.kernel.percpu import UINT_RANGE, PerCpu, SystemCounts
from pseudokern.kernel.softirq import Softirq
from pseudokern.machine.machine import Machine

NS_PER_TICK = 10_000_000
NS_PER_S = 1_000_000_000

# What arch_irq_stat_cpu() adds up: TLB, DFR and the posted ones are not in it.
_IN_TOTAL = (
    "nmi", "apic_timer", "spurious", "performance", "irq_work", "icr_retries", "reschedule",
    "call_function", "thermal", "threshold", "machine_checks", "machine_check_polls",
)  # fmt: skip


def show_stat(machine: Machine) -> bytes:
    machine.pc.fold_counts()
    kernel = machine.kernel
    times = [_times_ns(machine, this) for this in kernel.cpus]
    lines = ["cpu  " + _ticks([sum(column) for column in zip(*times, strict=True)])]
    lines += [f"cpu{cpu} " + _ticks(times[cpu]) for cpu in cpus_of(kernel.online)]
    lines.append(_intr(machine))
    switches = sum(this.context_switches for this in kernel.cpus)
    sched = kernel.sched
    programs = sched.started if sched is not None else 0
    running = machine.load_average.running
    lines += [
        f"ctxt {switches}",
        f"btime {machine.boot_time_s}",
        f"processes {1 + machine.irqs.kthreads.created + programs}",
    ]
    blocked = sched.blocked if sched is not None else 0
    lines += [f"procs_running {max(running, 1)}", f"procs_blocked {blocked}"]
    sums = [sum(this.softirq_counts[number] for this in kernel.cpus) for number in Softirq]
    wrapped = [count % UINT_RANGE for count in sums]
    lines.append("softirq " + " ".join(map(str, [sum(sums), *wrapped])))
    return ("\n".join(lines) + "\n").encode()


def show_uptime(machine: Machine) -> bytes:
    machine.pc.fold_counts()
    idle_ns = sum(sum(_times_ns(machine, this)[3:5]) for this in machine.kernel.cpus)
    return f"{_seconds(machine.timeline.now_ns)} {_seconds(idle_ns)}\n".encode()


def _times_ns(machine: Machine, this: PerCpu) -> list[int]:
    """user nice system idle iowait irq softirq steal guest guest_nice; none while switched off."""
    now_ns, irq = machine.timeline.now_ns, irq_time(machine.kernel, this)
    off_ns, iowait_ns = this.offline_ns, 0
    user_ns, nice_ns, system_ns = this.user_ns, this.nice_ns, this.system_ns
    if (sched := machine.kernel.sched) is not None:
        queue = sched.queues[this.cpu]
        pending = queue.pending()
        iowait_ns = queue.iowait_ns + pending.iowait_ns
        user_ns, system_ns = user_ns + pending.user_ns, system_ns + pending.system_ns
        if queue.current is not None and queue.current.nice > 0:
            nice_ns += pending.user_ns
    if not machine.kernel.is_online(this.cpu):
        off_ns += max(0, now_ns - this.offline_since_ns)
    idle_ns = max(0, now_ns - off_ns - user_ns - system_ns - sum(irq))
    if not this.is_idle:
        ran_ns = max(0, idle_ns - this.idle_ns)
        idle_ns, user_ns = idle_ns - ran_ns, user_ns + ran_ns
    idle_ns -= iowait_ns
    times = [
        user_ns - nice_ns,
        nice_ns,
        system_ns,
        idle_ns,
        iowait_ns,
        irq.hardirq_ns,
        irq.softirq_ns,
        irq.steal_ns,
    ]
    return [*times, 0, 0]


def _ticks(times_ns: list[int]) -> str:
    return " ".join(str(time_ns // NS_PER_TICK) for time_ns in times_ns)


def _seconds(time_ns: int) -> str:
    return f"{time_ns // NS_PER_S}.{time_ns % NS_PER_S // NS_PER_TICK:02}"


def _intr(machine: Machine) -> str:
    numbers = ["0"] * machine.irqs.nr_irqs
    total = machine.irqs.retired_counts + machine.pc.entry.errors
    for desc in machine.irqs:
        if count := desc.total:
            numbers[desc.irq] = str(count % UINT_RANGE)
            total += count
    total += sum(_system_total(this.counts) for this in machine.kernel.cpus)
    return f"intr {total} " + " ".join(numbers)


def _system_total(counts: SystemCounts) -> int:
    return sum(getattr(counts, name) % UINT_RANGE for name in _IN_TOTAL)
