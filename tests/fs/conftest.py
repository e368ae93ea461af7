"""Machines in this process, whose time a test runs by hand, and what Linux printed."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pseudokern.fs.attributes import Caller
from pseudokern.fs.tree import Tree
from pseudokern.machine.description import Overrides, load
from pseudokern.machine.machine import Machine
from pseudokern.sim.completion import Completion

SNAPSHOTS = Path(__file__).parents[1] / "oracle/recordings/machines"
ROOT = Caller(uid=0, gid=0, pid=1)


class Files:
    """A machine and its files, read and written without a mount."""

    root = ROOT

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.clock.set_mode("free")  # the test runs it
        self.tree = Tree(machine)

    def read(self, path: str) -> bytes:
        """The whole file, read as cat does."""
        file = self.tree.open(path, 0, ROOT)
        text = b""
        while chunk := file.read(131_072, len(text)):
            assert isinstance(chunk, bytes)
            text += chunk
        file.release()
        return text

    def write(self, path: str, text: str) -> None:
        file = self.tree.open(path, 1, ROOT)
        done = file.write(text.encode(), 0)
        while isinstance(done, Completion) and not done.done:
            self.run_for(1_000_000)
        file.release()

    def command(self, text: str) -> None:
        """One command of irqctl, carried out to its end."""
        self.write("/sys/kernel/debug/pseudokern/irqctl", text)

    def run_for(self, duration_ns: int) -> None:
        timeline = self.machine.timeline
        until_ns = timeline.now_ns + duration_ns
        while not timeline.run(until_ns, 100_000):
            continue

    def rows(self) -> dict[str, list[int]]:
        """The counts in /proc/interrupts, by label."""
        header, *lines = self.read("/proc/interrupts").decode().splitlines()
        columns = len(header.split())
        found = {}
        for line in lines:
            label, _, rest = line.partition(":")
            counts = re.match(rf"(?: +[0-9]+){{1,{columns}}}", rest)
            assert counts, line
            found[label.strip()] = [int(word) for word in counts[0].split()]
        return found


@pytest.fixture
def boot() -> Callable[..., Files]:
    """Boot a preset: boot("q4", kernel="6.1")."""

    def boot(preset: str, **overrides: object) -> Files:
        description = load(preset, Overrides(**overrides))
        return Files(Machine(description, description.seed))

    return boot


def recorded(machine: str, path: str) -> str:
    """What path said on a recorded machine."""
    text = (SNAPSHOTS / machine / "snapshot/t0").read_text()
    return text.split(f"== {path}\n")[1].split("\n== ")[0] + "\n"
