"""Read from a recording how long a machine had run, and how busy its programs were."""

import re

from pseudokern.machine.snapshot_files import Recording

USER_HZ = 100
CPU_TIMES = 8  # user nice system idle iowait irq softirq steal; guest times are in user's


def elapsed_between_s(first: Recording, second: Recording) -> float | None:
    before, after = uptime_s(first), uptime_s(second)
    if before is None or after is None or after <= before:
        return None
    return after - before


def uptime_s(recording: Recording) -> float | None:
    """Since boot: as /proc/uptime says, else as all times of a CPU in /proc/stat add up."""
    uptime = re.match(r"([0-9]{1,12}\.?[0-9]{0,9})\b", recording.get("proc/uptime"))
    if uptime and float(uptime[1]) > 0:
        return float(uptime[1])
    ticks = max((sum(times) for times in _cpu_times(recording)), default=0)
    return ticks / USER_HZ if ticks else None


def user_share(first: Recording, second: Recording | None) -> float:
    """What part of its time a CPU runs programs: user, nice and system."""
    before = [sum(times) for times in zip(*_cpu_times(first), strict=False)]
    after = [sum(times) for times in zip(*_cpu_times(second), strict=False)] if second else []
    if after and before and len(after) == len(before):
        before = [max(0, b - a) for a, b in zip(before, after, strict=True)]
    total = sum(before)
    return sum(before[:3]) / total if total else 0.01


def _cpu_times(recording: Recording) -> list[list[int]]:
    lines = re.findall(r"^cpu[0-9]+((?: [0-9]{1,18}){4,10})$", recording.get("proc/stat"), re.M)
    return [[int(word) for word in line.split()[:CPU_TIMES]] for line in lines]
