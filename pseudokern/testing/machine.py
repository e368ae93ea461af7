"""Be a machine in a test: read and write its files, let its time pass, run programs on it.

It lives in the test's own process, without a mount, until somebody asks for the mount or runs a
program. Then a second process boots the same machine with the same seed, makes the same writes at
the same simulated instants, and goes on from where the first one was: same seed, same journal,
same bytes. From then on everything goes through the mounted files.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from pseudokern.fs.attributes import Caller
from pseudokern.fs.tree import Tree
from pseudokern.machine.description import Description, Overrides, load
from pseudokern.machine.machine import Machine
from pseudokern.machine.snapshot_rows import Interrupts, read_interrupts
from pseudokern.run.journal import Recorder
from pseudokern.sim.completion import Completion
from pseudokern.sim.quantity import parse_duration_ns

CLOCK = "sys/kernel/debug/pseudokern/clock"
PROGRAM_TIMEOUT_S = 60.0
EVENTS_AT_ONCE = 100_000
WHOLE = 1 << 20
POLL_NS = 1_000_000

_PSEUDOKERN = (sys.executable, "-m", "pseudokern")
_ROOT = Caller(uid=0, gid=0, pid=1)


class MachineError(Exception):
    """Why a machine cannot be booted, mounted or entered, in one line."""


class SimulatedMachine:
    """A machine of one test.

    machine    a preset's name, or the path of a machine file
    directory  an empty one, for its mount and its journal
    clock      "step": time passes in advance() only; "free", "wall": by itself, and it is mounted
               from the start
    """

    def __init__(
        self,
        machine: str | os.PathLike[str],
        directory: Path,
        *,
        seed: int | None = None,
        kernel: str | None = None,
        cpus: int | None = None,
        cmdline: str = "",
        clock: str = "step",
    ) -> None:
        if clock not in ("step", "free", "wall"):
            raise MachineError(f'clock is "{clock}"; use "step", "free" or "wall"')
        self._named = machine
        self._overrides = Overrides(seed, kernel, cpus, cmdline)
        self._clock = clock
        self._directory = directory
        self._is_mounted = False
        self._can_be_entered = False
        self.description: Description = load(machine, self._overrides)
        self._machine = Machine(self.description, self.description.seed)
        self._machine.clock.set_mode("step")
        self._start_ns = self._machine.timeline.now_ns
        self._tree = Tree(self._machine, owner_uid=os.geteuid())
        self._journal = directory / "journal"
        self._recorder = Recorder(self._journal, self._machine.timeline, self._machine.boot_time_s)
        self._tree.on_write = self._recorder.note

    def __enter__(self) -> "SimulatedMachine":
        if self._clock != "step":
            self._mount()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._is_mounted:
            self._leave_process()
        else:
            self._is_mounted = False
            self._pseudokern("halt", "--at", str(self._mountpoint))

    @property
    def mount(self) -> Path:
        """Where it is mounted, with proc and sys in it. MachineError: it cannot be."""
        if not self._is_mounted:
            self._mount()
        return self._mountpoint

    def read(self, path: str) -> str:
        """The text of a file, such as "proc/irq/24/smp_affinity". OSError as cat would say."""
        path = path.strip("/")
        if self._is_mounted:
            return (self._mountpoint / path).read_text(errors="replace")
        file = self._tree.open(f"/{path}", os.O_RDONLY, _ROOT)
        parts: list[bytes] = []
        offset = 0
        while part := file.read(WHOLE, offset):
            if isinstance(part, Completion):
                raise MachineError(f"{path} waits for something that has not happened yet")
            parts.append(part)
            offset += len(part)
        file.release()
        return b"".join(parts).decode(errors="replace")

    def write(self, path: str, text: str) -> None:
        """Write to a file, with one write(). OSError as echo would say."""
        path = path.strip("/")
        if self._is_mounted:
            descriptor = os.open(self._mountpoint / path, os.O_WRONLY | os.O_TRUNC)
            try:
                os.write(descriptor, text.encode())
            finally:
                os.close(descriptor)
            return
        file = self._tree.open(f"/{path}", os.O_WRONLY, _ROOT)
        done = file.write(text.encode(), 0)
        while isinstance(done, Completion) and not done.done:
            self._run_for(POLL_NS)
        file.release()
        if isinstance(done, Completion) and done.error is not None:
            raise done.error

    def advance(self, duration: str) -> None:
        """Let time pass, such as "1s" or "250 ms", and return when it has."""
        duration_ns = parse_duration_ns(duration)
        if self._is_mounted:
            self.write(f"{CLOCK}/advance", f"{duration_ns}ns\n")
        else:
            self._run_for(duration_ns)

    def interrupts(self) -> Interrupts:
        """/proc/interrupts, taken apart."""
        return read_interrupts(self.read("proc/interrupts"))

    def irq(self, name: str) -> int:
        """The number of the interrupt whose handler has that name. LookupError: none has."""
        rows = self.interrupts().rows
        for irq, row in rows.items():
            if name in row.names:
                return irq
        known = ", ".join(name for row in rows.values() for name in row.names)
        raise LookupError(f'no handler is called "{name}"; there are {known}')

    def run(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        inside: bool = True,
        check: bool = True,
        timeout: float = PROGRAM_TIMEOUT_S,
        env: dict[str, str] | None = None,
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on the machine: it sees its /proc and /sys instead of this computer's.

        The variables PROC and SYS say where they are. With inside=False the program sees this
        computer's, and finds the machine by the variables only.

        MachineError        nothing can be mounted here, or no program can be shown another /proc
        CalledProcessError  its exit status was not 0; not with check=False
        """
        mount = self.mount
        root = Path("/") if inside else mount
        before: list[str] = []
        if inside:
            self._check_can_be_entered()
            before = [*_PSEUDOKERN, "enter", "--at", str(mount), "--"]
        return subprocess.run(
            [*before, *(os.fspath(word) for word in command)],
            check=check,
            timeout=timeout,
            env={**(os.environ if env is None else env)}
            | {"PROC": str(root / "proc"), "SYS": str(root / "sys")},
            **{"stdin": subprocess.DEVNULL, "capture_output": True, "text": True} | options,
        )

    @property
    def _mountpoint(self) -> Path:
        return self._directory / "machine"

    def _run_for(self, duration_ns: int) -> None:
        timeline = self._machine.timeline
        until_ns = timeline.now_ns + duration_ns
        while not timeline.run(until_ns, EVENTS_AT_ONCE):
            continue

    def _leave_process(self) -> None:
        """Here nothing happens to it any more."""
        self._recorder.close()
        for thread in list(self._machine.irqs.kthreads.by_pid.values()):
            thread.stop()

    def _mount(self) -> None:
        """Boot it again in a process of its own, up to where it is now."""
        self._leave_process()
        self._mountpoint.mkdir(exist_ok=True)
        overrides = self._overrides
        words = ["boot", os.fspath(self._named), "--at", str(self._mountpoint), "--detach"]
        if isinstance(self._named, os.PathLike):
            words[1] = str(Path(self._named).absolute())
        words += ["--seed", str(self.description.seed), "--clock", self._clock]
        words += ["--replay", str(self._journal)]
        words += [] if overrides.kernel is None else ["--kernel", overrides.kernel]
        words += [] if overrides.cpus is None else ["--cpus", str(overrides.cpus)]
        words += ["--cmdline", overrides.cmdline] if overrides.cmdline else []
        booted = self._pseudokern(*words)
        if booted.returncode != 0:
            raise MachineError(booted.stderr.strip())
        self._is_mounted = True
        passed_ns = self._machine.timeline.now_ns - self._start_ns
        if passed_ns:
            self.write(f"{CLOCK}/advance", f"{passed_ns}ns\n")

    def _check_can_be_entered(self) -> None:
        """Whether a program can be shown the machine, before one is run that must not see ours."""
        if self._can_be_entered:
            return
        tried = self._pseudokern("enter", "--at", str(self._mountpoint), "--", "true")
        if tried.returncode != 0:
            hint = "or use run(..., inside=False) and the variables PROC and SYS"
            raise MachineError(f"{tried.stderr.strip()}; {hint}")
        self._can_be_entered = True

    def _pseudokern(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*_PSEUDOKERN, *words],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROGRAM_TIMEOUT_S,
            env={**os.environ, "XDG_STATE_HOME": str(self._directory)},
        )
