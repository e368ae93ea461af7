"""Provoke exceptions of the CPU, in a program, in the kernel or in an interrupt, on command.

Does what drivers/misc/lkdtm does on Linux. One command is one line of words:

    NAME [ADDRESS] [user|kernel|irq] [cpu N]     NAME as in the IDT: divide_error, page_fault ...
    int N [user|kernel|irq] [cpu N]              the instruction, with the gate's DPL in its way
    machine_check fatal [cpu N]                  one after which nothing can be trusted
    irq_stack [cpu N], task_stack [cpu N]        calls without end: the guard page below the stack

A program is a process of its own that dies of its signal; in the kernel, the process dies that has
made the system call; in an interrupt, the machine.
"""

import errno
from typing import NamedTuple

from pseudokern.hw.cpu import TrapFrame
from pseudokern.hw.vector import VECTORS, Vector
from pseudokern.kernel.cpumask import CpuId
from pseudokern.kernel.oops import TaskDiesError
from pseudokern.kernel.stack_depth import local_variables
from pseudokern.x86.entry import EXCEPTIONS
from pseudokern.x86.pc import Pc
from pseudokern.x86.traps import MACHINE_CHECK, SignalError, direct_entry, lkdtm_do_action

MODES = ("user", "kernel", "irq")
FATAL_STATUS = 0xBE00_0000_0080_0400  # MCi_STATUS: uncorrected, and the context is corrupt (PCC)
LOGGED_STATUS = 0xBC00_0000_0080_0400
TOO_DEEP = 17 << 10  # bytes
_NUMBERS = {name: number for number, (name, _, _) in EXCEPTIONS.items()}


class Process:
    """What runs when the exception happens."""

    def __init__(self, pid: int, comm: str) -> None:
        self.pid = pid
        self.comm = comm

    def delay(self, duration_ns: int) -> None:
        """It has no time to compute."""


class Order(NamedTuple):
    """A command that was understood."""

    name: str
    vector: Vector
    mode: str
    cpu: CpuId
    frame: TrapFrame
    is_instruction: bool = False


class Provoker:
    """Carries out commands; outcome says in a line what came of the last one."""

    def __init__(self, pc: Pc) -> None:
        self.outcome = ""
        self._pc = pc

    def command(self, text: str) -> None:
        """EINVAL: not in this form, no such exception, or the CPU is not online."""
        order = self._parse(text)
        self.outcome = "nothing happened"
        if order.mode == "irq":
            kernel = self._pc.kernel
            outer, kernel.this = kernel.this, kernel.cpus[order.cpu]
            self._pc.smp.call_function(1 << order.cpu, lambda _this: self._called(order))
            kernel.this = outer
            self.outcome = "an interrupt is under way"
        else:
            self._in_process(order)

    def _in_process(self, order: Order) -> None:
        kernel = self._pc.kernel
        this = kernel.cpus[order.cpu]
        comm = "prog" if order.mode == "user" else "bash"
        process = Process(self._pc.irqs.kthreads.take_pid(), comm)
        outer, kernel.this, task = kernel.this, this, this.current
        this.current = process
        try:
            direct_entry(lambda: self._provoke(order))
        except SignalError as signal:
            self.outcome = f"{comm}[{process.pid}] was killed by {signal}"
        except TaskDiesError:
            self.outcome = f"{comm}[{process.pid}] is dead"
        finally:
            this.current = task
            kernel.this = outer

    def _called(self, order: Order) -> None:
        lkdtm_do_action(lambda: self._provoke(order))

    def _provoke(self, order: Order) -> None:
        cpu = self._pc.cpus[order.cpu]
        if order.name.endswith("_stack"):
            with local_variables(self._pc.kernel, TOO_DEEP):
                return
        if order.is_instruction:
            cpu.software_interrupt(order.vector, order.frame)
        else:
            cpu.exception(order.vector, order.frame)

    def _parse(self, text: str) -> Order:
        words = text.split()
        kernel = self._pc.kernel
        cpu, mode, address, status, is_instruction = CpuId(0), "user", 0, LOGGED_STATUS, False
        name = words.pop(0) if words else ""
        number = _NUMBERS.get(name, -1)
        if name in ("irq_stack", "task_stack"):
            mode, number = "irq" if name == "irq_stack" else "kernel", 0
        try:
            if name == "int":
                number, is_instruction = int(words.pop(0), 0), True
            while words:
                word = words.pop(0)
                if word == "cpu":
                    cpu = CpuId(int(words.pop(0)))
                elif word in MODES:
                    mode = word
                elif word == "fatal" and number == MACHINE_CHECK:
                    status = FATAL_STATUS
                else:
                    address = int(word, 0)
        except (ValueError, IndexError):
            number = -1
        if not 0 <= number < VECTORS:
            known = ", ".join(["int N", *_NUMBERS, "irq_stack", "task_stack"])
            raise OSError(errno.EINVAL, f"exception {text!r}: write one of {known}")
        if cpu < 0 or not kernel.is_online(cpu):
            raise OSError(errno.EINVAL, f"exception {text!r}: CPU {cpu} is not online")
        frame = TrapFrame(mode == "user", 0, address, status if number == MACHINE_CHECK else 0)
        return Order(name, Vector(number), mode, cpu, frame, is_instruction)
