"""Make the machines that are measured: in memory, or mounted by a process of their own."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pseudokern.drivers.nic import Nic
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine

BOOT_TIMEOUT_S = 60

Environment = Mapping[str, str] | None
Process = subprocess.Popen[bytes]


def network_machine(
    cards: int, queues: int, cpus: int, rate_hz: float, *, waits: bool = False
) -> Machine:
    """Cards whose queues are dealt out to the CPUs in turn, each queue with rate_hz frames a
    second; programs rest. Each frame interrupts, unless it waits as the driver would have it."""
    text = f'[machine]\nname = "bench"\ncpus = {cpus}\nseed = 1\n'
    text += "[load]\nuser = 0\nwakeups = 0\ntlb = 0\ncall = 0\n"
    for card in range(cards):
        homes = [(card * queues + queue) % cpus for queue in range(queues)]
        text += (
            f'[[device]]\nname = "eth{card}"\ndriver = "pseudokern.drivers.nic"\n'
            f'queues = {queues}\nrate = "{rate_hz} Hz"\n'
            f"affinity = {[str(cpu) for cpu in homes]}\n"
        )
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text)
        file.flush()
        machine = Machine(load(file.name), seed=1)
    for card in machine.devices:
        if isinstance(card, Nic) and not waits:
            card.ethtool.set_coalescing({"rx-usecs": 0})
    return machine


@contextmanager
def mounted(machine: str) -> Iterator[tuple[Path, int]]:
    """Boot a preset in a process of its own; its mount point and that process's number."""
    with tempfile.TemporaryDirectory() as name:
        process = boot(machine, name)
        try:
            wait_until_up(Path(name))
            yield Path(name), process.pid
        finally:
            process.terminate()
            process.wait(BOOT_TIMEOUT_S)


def boot(machine: str, directory: str, environment: Environment = None) -> Process:
    command = [sys.executable, "-m", "pseudokern", "boot", machine, "--at", directory]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)


def wait_until_up(directory: Path) -> None:
    deadline = time.monotonic() + BOOT_TIMEOUT_S
    while not (directory / "proc/interrupts").exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing is mounted on {directory} after {BOOT_TIMEOUT_S} s")
        time.sleep(0.001)
