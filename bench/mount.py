"""What readers and writers of the mount wait for: on an idle machine, and while it simulates as
fast as it can.

A read is three requests. If the client and we are on two CPUs each of them wakes two sleeping
CPUs, which takes a virtual machine longer than all the rest; where they are is the scheduler's
choice. So an idle read is measured both ways, and next to it a C program that does nothing but
give a text (peer.c): what FUSE takes here, whoever serves.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

PEER_FLAGS = ("-D_FILE_OFFSET_BITS=64", "-lfuse")

Client = Callable[..., list[float]]


def measure(repeats: int) -> list[Result]:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return [Skipped("reading and writing through the mount", "there is no C compiler")]

    def compiled(name: str, *flags: str) -> Path:
        program = Path(directory, name)
        source = Path(__file__).with_name(f"{name}.c")
        command = [compiler, "-O2", *flags[:-1], "-o", str(program), str(source), *flags[-1:]]
        subprocess.run(command, check=True, capture_output=True)
        return program

    with tempfile.TemporaryDirectory() as directory, mounted(PRESET) as (mount, server):
        program = compiled("client")

        def client(what: str, file: Path, gaps_us: tuple[str, str], *texts: str) -> list[float]:
            command = [str(program), what, str(file), str(READS), *gaps_us, *texts]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            return [int(line) / 1e3 for line in output.split()]

        idle = _Idle(client, mount / "proc/interrupts", server)
        try:
            peer = compiled("peer", *PEER_FLAGS)
        except subprocess.CalledProcessError:
            why = "libfuse 2 has no headers here; install them with: apt-get install libfuse-dev"
            results = [idle.over_real(repeats), Skipped("a C program on libfuse 2", why)]
        else:
            with _serving(peer, idle.size) as floor:
                results = idle.beside(floor, repeats)
        return [*results, *_saturated(client, mount, repeats)]


class _Idle:
    """Reads of a file of an idle server, which is a process of its own."""

    def __init__(self, client: Client, file: Path, server: int) -> None:
        self.size = _size(file)
        self._client = client
        self._file = file
        self._server = server

    def on_one_cpu(self) -> float:
        """How long a read takes (us) with the client and the server on one CPU."""
        return self._read(self._file, -1, -1)

    def on_two_cpus(self) -> float:
        return self._read(self._file, 0, -1)

    def real(self) -> float:
        return self._read(REAL, -1, -1)

    def over_real(self, repeats: int) -> Figure:
        us = interleaved(repeats, ours=self.on_one_cpu, real=self.real)
        ours_us, real_us = median(us["ours"]), median(us["real"])
        return Figure(
            "idle read of /proc/interrupts through the mount, over the real kernel's, on one CPU",
            ratio(us, "ours", "real"),
            "x",
            MUST_REACH_IDLE,
            f"{ours_us:.0f} us for {self.size} bytes; real {real_us:.0f} us for {_size(REAL)}",
        )

    def beside(self, floor: "Callable[[Client], _Idle]", repeats: int) -> list[Result]:
        """The figure, and the same for a C program; both on two CPUs, too."""
        peer = floor(self._client)
        us = interleaved(repeats, peer=peer.on_one_cpu, real=self.real)
        results: list[Result] = [
            self.over_real(repeats),
            Figure(
                "the same for a C program on libfuse 2",
                ratio(us, "peer", "real"),
                "x",
                None,
                f"{median(us['peer']):.0f} us for {peer.size} bytes",
            ),
        ]
        if len(os.sched_getaffinity(0)) == 1:
            return [*results, Skipped("an idle read on two CPUs", "there is one CPU")]
        us = interleaved(repeats, ours=self.on_two_cpus, peer=peer.on_two_cpus, real=self.real)
        ours_us, peer_us = median(us["ours"]), median(us["peer"])
        over = ", ".join(f"{name} {ratio(us, name, 'real'):.1f} x" for name in ("ours", "peer"))
        note = f"{ours_us:.0f} us; C {peer_us:.0f} us; over the real kernel's: {over}"
        name = "idle read, client and server on two CPUs, over a C program's on libfuse 2"
        return [*results, Figure(name, ratio(us, "ours", "peer"), "x", None, note)]

    def _read(self, file: Path, server_cpu: int, client_cpu: int) -> float:
        """The median (us), on the CPUs with these indices of those that we may use."""
        anywhere = os.sched_getaffinity(0)
        cpus = sorted(anywhere)
        os.sched_setaffinity(self._server, {cpus[server_cpu]})
        os.sched_setaffinity(0, {cpus[client_cpu]})  # the client inherits it
        try:
            return median(self._client("read", file, NO_GAPS))
        finally:
            os.sched_setaffinity(0, anywhere)
            os.sched_setaffinity(self._server, anywhere)


@contextmanager
def _serving(peer: Path, size: int) -> "Iterator[Callable[[Client], _Idle]]":
    with tempfile.TemporaryDirectory() as name:
        process = subprocess.Popen([peer, str(size), name])
        try:
            while not (file := Path(name, "file")).exists():
                time.sleep(0.001)
            yield lambda client: _Idle(client, file, process.pid)
        finally:
            subprocess.run(["fusermount", "-u", name], check=True)
            process.wait()


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
