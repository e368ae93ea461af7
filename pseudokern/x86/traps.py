"""Handle the exceptions of the CPU.

Follows arch/x86/kernel/traps.c, arch/x86/mm/fault.c and arch/x86/kernel/cpu/mce/core.c. What a
program does wrong brings it a signal, and a line in the log; what the kernel does wrong is an
oops.
"""

from collections.abc import Callable
from typing import NamedTuple
from zlib import crc32

from pseudokern.hw.cpu import Cpu, TrapFrame
from pseudokern.hw.vector import Vector
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.oops import Fault, TaskDiesError, die, page_fault
from pseudokern.kernel.panic import panic
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.printk import Level
from pseudokern.kernel.warn import release_at_least, task_of

DOUBLE_FAULT = 8
GENERAL_PROTECTION = 13
PAGE_FAULT = 14
MACHINE_CHECK = 18
MCI_STATUS_PCC = 1 << 57

TEXT_BEGIN, TEXT_SIZE = 0x401000, 0x1000  # of a program that is linked statically
STACK_TOP = 0x7FFD_0000_0000
CANONICAL_HIGH = 0xFFFF_8000_0000_0000
CANONICAL_LOW = 0x0000_7FFF_FFFF_FFFF


class Trap(NamedTuple):
    """An exception: what the log calls it, and the signal for a program.

    kernel_name  what an oops calls it, if not the same; none: the kernel takes it in its stride
    is_told      whether the log has a line for a program that did it
    """

    name: str
    signal: str
    kernel_name: str | None = ""
    is_told: bool = True


TRAPS = {
    0: Trap("divide error", "SIGFPE"),
    1: Trap("debug", "SIGTRAP", None, is_told=False),
    3: Trap("int3", "SIGTRAP"),
    4: Trap("overflow", "SIGSEGV"),
    5: Trap("bounds", "SIGSEGV"),
    6: Trap("invalid opcode", "SIGILL"),
    7: Trap("device not available", "", "unexpected #NM exception", is_told=False),
    9: Trap("coprocessor segment overrun", "SIGFPE"),
    10: Trap("invalid TSS", "SIGSEGV"),
    11: Trap("segment not present", "SIGBUS"),
    12: Trap("stack segment", "SIGBUS"),
    16: Trap("coprocessor_error", "SIGFPE", "fpu exception", is_told=False),
    17: Trap("alignment check", "SIGBUS", "Split lock detected\n"),
    19: Trap("simd_coprocessor_error", "SIGFPE", "simd exception", is_told=False),
}


class SignalError(TaskDiesError):
    """The program that ran gets a signal, of which it dies; its text is the signal's name."""


def handle_exception(kernel: Kernel, cpu: Cpu, vector: Vector) -> None:
    """What the gates of exceptions come to.

    SignalError, TaskDiesError, KernelPanicError: how far it goes.
    """
    frame = cpu.trap_frame
    this = kernel.cpus[cpu.number]
    if vector == DOUBLE_FAULT:
        text = f"traps: PANIC: double fault, error_code: {frame.error_code:#x}"
        kernel.log.printk(Level.EMERG, text)
        # Its stack is its own, so it counts as an interrupt whatever it has hit.
        die(kernel, Fault("double fault", frame.error_code), on_own_stack=True)
    elif vector == MACHINE_CHECK:
        _machine_check(kernel, this, frame)
    elif vector == PAGE_FAULT:
        _page_fault(kernel, this, frame)
    elif vector == GENERAL_PROTECTION:
        _general_protection(kernel, this, frame)
    elif vector in TRAPS:
        _trap(kernel, this, TRAPS[vector], frame)
    # int 0x80 is a system call without a number that exists, 15 comes from a broken APIC: nothing.


def direct_entry(action: Callable[[], None]) -> None:
    """A program has written to a file that provokes; stack dumps show it under this name."""
    lkdtm_do_action(action)


def lkdtm_do_action(action: Callable[[], None]) -> None:
    """Do what was asked for; see direct_entry()."""
    action()


def _trap(kernel: Kernel, this: PerCpu, trap: Trap, frame: TrapFrame) -> None:
    """do_error_trap()."""
    if not frame.is_user:
        if trap.kernel_name is not None:
            die(kernel, Fault(trap.kernel_name or trap.name, frame.error_code))
        return
    if trap.is_told:
        _show_signal(kernel, this, f"trap {trap.name}", frame)
    if trap.signal:
        raise SignalError(trap.signal)


def _general_protection(kernel: Kernel, this: PerCpu, frame: TrapFrame) -> None:
    name = "general protection fault"
    if frame.is_user:
        _show_signal(kernel, this, name, frame)
        raise SignalError("SIGSEGV")
    if frame.error_code:
        name = f"segment-related {name}"
    elif CANONICAL_LOW < frame.address < CANONICAL_HIGH:
        name = f"{name}, probably for non-canonical address {frame.address:#x}"
    die(kernel, Fault(name, frame.error_code))


def _page_fault(kernel: Kernel, this: PerCpu, frame: TrapFrame) -> None:
    if not frame.is_user:
        die(kernel, page_fault(frame.address))
    pid, comm = task_of(kernel)
    ip, sp = _registers(kernel, pid)
    where = f" likely on CPU {this.cpu} (core {this.cpu}, socket 0)"
    text = (
        f"{comm}[{pid}]: segfault at {frame.address:x} ip {ip:016x} sp {sp:016x}"
        f" error 4{_vma(kernel, comm, ip)}{where if release_at_least(kernel, 6, 2) else ''}"
    )
    kernel.printk_ratelimit.printk(Level.INFO, text)
    raise SignalError("SIGSEGV")


def _machine_check(kernel: Kernel, this: PerCpu, frame: TrapFrame) -> None:
    """do_machine_check()."""
    this.counts.machine_checks += 1
    kernel.taint.add("M")
    log = kernel.log
    if frame.status & MCI_STATUS_PCC:
        prefix = f"mce: [Hardware Error]: CPU {this.cpu}: Machine Check Exception: 5 Bank 0:"
        log.printk(Level.EMERG, f"{prefix} {frame.status:016x}")
        log.printk(Level.EMERG, f"mce: [Hardware Error]: TSC {kernel.timeline.now_ns * 2:x} ")
        log.printk(Level.EMERG, "mce: [Hardware Error]: Machine check: Processor context corrupt")
        panic(kernel, "Fatal machine check")
    log.printk(Level.INFO, "mce: [Hardware Error]: Machine check events logged")


def _show_signal(kernel: Kernel, this: PerCpu, what: str, frame: TrapFrame) -> None:
    pid, comm = task_of(kernel)
    ip, sp = _registers(kernel, pid)
    kernel.printk_ratelimit.printk(
        Level.INFO,
        f"traps: {comm}[{pid}] {what} ip:{ip:x} sp:{sp:x} error:{frame.error_code:x}"
        f"{_vma(kernel, comm, ip)}",
    )


def _vma(kernel: Kernel, comm: str, ip: int) -> str:
    """print_vma_addr(): since 6.9 with the offset in the file."""
    offset = f"{ip:x}," if release_at_least(kernel, 6, 9) else ""
    return f" in {comm}[{offset}{TEXT_BEGIN:x}+{TEXT_SIZE:x}]"


def _registers(kernel: Kernel, pid: int) -> tuple[int, int]:
    """RIP and RSP of a program: anywhere in its text and its stack, the same every time."""
    chance = crc32(f"{kernel.seed} {pid}".encode())
    return TEXT_BEGIN + chance % TEXT_SIZE, STACK_TOP + (chance & 0xFFFF_FFF0)
