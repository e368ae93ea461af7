"""Serve the files that provoke exceptions and NMIs, and show the IDT.

echo "divide_error cpu 2" > exception    a program divides by zero; read it for what came of it
echo "2 unknown" > nmi                   an NMI that nobody has sent
echo 3 > fail_atomic                     the next 3 GFP_ATOMIC allocations fail
cat idt                                  the 256 gates
"""

import errno

from pseudokern.kernel.cpumask import CpuId
from pseudokern.machine.machine import Machine
from pseudokern.sim.agenda import Agenda
from pseudokern.sim.quantity import QuantityError, parse_duration_ns
from pseudokern.x86.entry import EXCEPTIONS
from pseudokern.x86.nmi import REASON_IOCHK, REASON_SERR
from pseudokern.x86.provoke import Provoker
from pseudokern.x86.vectors import IA32_SYSCALL_VECTOR

REASONS = {"unknown": 0, "serr": REASON_SERR, "iochk": REASON_IOCHK}
MOST_NMIS = 1_000_000


def show_exception(machine: Machine) -> bytes:
    return f"{_provoker(machine).outcome}\n".encode()


def store_exception(machine: Machine, data: bytes) -> None:
    _provoker(machine).command(data.decode("latin-1"))


def show_fail_atomic(machine: Machine) -> bytes:
    return b"%d\n" % machine.kernel.atomic_failures


def store_fail_atomic(machine: Machine, data: bytes) -> None:
    """EINVAL: no number, or one below 0."""
    if not data.strip().isdigit():
        raise OSError(errno.EINVAL, f"fail_atomic {data!r}: write a number of allocations")
    machine.kernel.atomic_failures = int(data)


def store_nmi(machine: Machine, data: bytes) -> None:
    """CPU [unknown|serr|iochk] [TIMES [EVERY]]. EINVAL: not in this form, or not online."""
    text = data.decode("latin-1")
    words = text.split()
    usage = "write CPU [unknown|serr|iochk] [TIMES [EVERY]], like: 2 unknown 3 100ns"
    try:
        cpu = CpuId(int(words.pop(0)))
        reason = REASONS[words.pop(0)] if words and words[0] in REASONS else 0
        times = int(words.pop(0)) if words else 1
        every_ns = parse_duration_ns(words.pop(0)) if words else 1_000_000
    except (IndexError, ValueError, QuantityError):
        raise OSError(errno.EINVAL, f"nmi {text!r}: {usage}") from None
    if words or not 0 < times <= MOST_NMIS:
        raise OSError(errno.EINVAL, f"nmi {text!r}: {usage}")
    if cpu < 0 or not machine.kernel.is_online(cpu):
        raise OSError(errno.EINVAL, f"nmi {text!r}: CPU {cpu} is not online")
    _Burst(machine, cpu, reason, times, every_ns).strike()


def show_idt(machine: Machine) -> bytes:
    """The table of CPU 0, which all CPUs share."""
    lines = ["vector name                     dpl ist handler"]
    for vector, gate in enumerate(machine.pc.cpus[0].idt):
        if gate is not None:
            handler = _symbol(vector, gate.name)
            lines.append(f"0x{vector:02x}   {gate.name:24} {gate.dpl:3} {gate.ist:3} {handler}")
    return ("\n".join(lines) + "\n").encode()


def _symbol(vector: int, name: str) -> str:
    """What Linux has at the gate."""
    if vector in EXCEPTIONS:
        return f"asm_exc_{name}"
    if name == "reserved":
        return "early_idt_handler_array"
    if name == "common_interrupt":
        return f"irq_entries_start+{(vector - 0x20) * 16:#x}"
    if name == "spurious_interrupt":
        return "spurious_entries_start"
    return "asm_int80_emulation" if vector == IA32_SYSCALL_VECTOR else f"asm_sysvec_{name}"


def _provoker(machine: Machine) -> Provoker:
    if machine.provoker is None:
        machine.provoker = Provoker(machine.pc)
    provoker = machine.provoker
    assert isinstance(provoker, Provoker)
    return provoker


class _Burst:
    """NMIs for one CPU, one after the other."""

    def __init__(
        self, machine: Machine, cpu: CpuId, reason: int, times: int, every_ns: int
    ) -> None:
        self._machine = machine
        self._cpu = cpu
        self._reason = reason
        self._left = times
        self._every_ns = every_ns
        self._agenda = Agenda(machine.timeline) if times > 1 else None

    def strike(self) -> None:
        """One, and the others later."""
        self._left -= 1
        if self._left and self._agenda is not None:
            self._agenda.at(self._machine.timeline.now_ns + self._every_ns, self.strike)
        pc = self._machine.pc
        pc.entry.nmis.reason |= self._reason
        pc.cpus[self._cpu].nmi()
