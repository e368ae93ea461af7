"""What readers and writers of the mount wait for: on an idle machine, and while it simulates as
fast as it can."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench.figure import Figure, Result, Skipped, Times, interleaved, percentile, ratio
from bench.machines import mounted

PRESET = "laptop"  # its /proc/interrupts has 3 KB
NIC_IRQ_NAME = "eth0-TxRx-0"
READS = 300  # in one repeat
GAPS_US = ("1000", "3000")  # of a client that looks now and then
NO_GAPS = ("0", "0")
REAL = Path("/proc/interrupts")
MUST_REACH_IDLE = 2
MUST_REACH_P50, MUST_REACH_P99 = 4, 15

Client = Callable[..., list[float]]


def measure(repeats: int) -> list[Result]:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return [Skipped("reading and writing through the mount", "there is no C compiler")]
    with tempfile.TemporaryDirectory() as name, mounted(PRESET) as (mount, _):
        program = Path(name, "client")
        source = Path(__file__).with_name("client.c")
        subprocess.run([compiler, "-O2", "-o", str(program), str(source)], check=True)

        def client(what: str, file: Path, gaps_us: tuple[str, str], *texts: str) -> list[float]:
            command = [str(program), what, str(file), str(READS), *gaps_us, *texts]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            return [int(line) / 1e3 for line in output.split()]

        return [*_idle(client, mount, repeats), *_saturated(client, mount, repeats)]


def _idle(client: Client, mount: Path, repeats: int) -> list[Result]:
    ours = mount / "proc/interrupts"
    us = interleaved(
        repeats,
        ours=lambda: median(client("read", ours, NO_GAPS)),
        real=lambda: median(client("read", REAL, NO_GAPS)),
    )
    name = "idle read of /proc/interrupts through the mount, over the real kernel's"
    ours_us, real_us = median(us["ours"]), median(us["real"])
    note = f"{ours_us:.0f} us for {_size(ours)} bytes; real {real_us:.0f} us for {_size(REAL)}"
    return [Figure(name, ratio(us, "ours", "real"), "x", MUST_REACH_IDLE, note)]


def _saturated(client: Client, mount: Path, repeats: int) -> list[Result]:
    interrupts = mount / "proc/interrupts"
    affinity = next(mount.glob(f"proc/irq/*/{NIC_IRQ_NAME}")).parent / "smp_affinity"
    mode = mount / "sys/kernel/debug/pseudokern/clock/mode"
    us: Times = {}
    for _ in range(repeats):
        mode.write_text("wall")
        turn = {"idle": client("read", interrupts, GAPS_US)}
        mode.write_text("free")
        turn["read"] = client("read", interrupts, GAPS_US)
        turn["write"] = client("write", affinity, GAPS_US, "1", "2")
        for name, values in turn.items():
            us.setdefault(f"{name} p50", []).append(median(values))
            us.setdefault(f"{name} p99", []).append(percentile(values, 0.99))
    mode.write_text("wall")

    def figure(name: str, what: str, must_reach: float | None) -> Figure:
        note = f"{median(us[what]):.0f} us; idle p50 {median(us['idle p50']):.0f} us"
        return Figure(name, ratio(us, what, "idle p50"), "x", must_reach, note)

    over = "over the p50 of an idle read"
    return [
        figure(f"read p50, saturated, {over}", "read p50", MUST_REACH_P50),
        figure(f"read p99, saturated, {over}", "read p99", MUST_REACH_P99),
        figure(f"write of smp_affinity p99, saturated, {over}", "write p99", MUST_REACH_P99),
        figure(f"read p99, idle, {over}", "idle p99", None),
    ]


def _size(file: Path) -> int:
    return len(file.read_bytes())
