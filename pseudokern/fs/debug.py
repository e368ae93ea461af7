"""Serve what Linux does not have: /sys/kernel/debug/pseudokern.

The clock, the test lines, the kernel log as text, where interrupts were lost, and halt. The
project's own commands are thin readers and writers of these.
"""

import errno
from collections.abc import Callable
from typing import get_args

from pseudokern.fs.open_file import OpenFile, Opening
from pseudokern.kernel.printk import encoded
from pseudokern.machine.machine import Machine
from pseudokern.sim.clock import FASTEST, MODES, Mode
from pseudokern.sim.completion import Completion
from pseudokern.sim.quantity import QuantityError, parse_duration_ns


def show_klog(machine: Machine) -> bytes:
    return encoded("".join(f"{record}\n" for record in machine.kernel.log))


def show_losses(machine: Machine) -> bytes:
    losses = machine.pc.losses()
    return "".join(f"{losses[place]:10} {place}\n" for place in sorted(losses)).encode()


def show_refused(machine: Machine) -> bytes:
    return encoded("".join(f"{refusal}\n" for refusal in machine.refusals))


def store_halt(machine: Machine, _data: bytes) -> None:
    machine.halting.complete()


def show_now_ns(machine: Machine) -> bytes:
    return b"%d\n" % machine.timeline.now_ns


def store_advance(machine: Machine, data: bytes) -> Completion:
    """Wait for simulated time to pass: `3s`, `250ms`.

    EINVAL  that is no duration, or it goes past the end of time that --for has set
    """
    text = data.decode("latin-1").strip()
    try:
        duration_ns = parse_duration_ns(text)
    except QuantityError as error:
        raise OSError(errno.EINVAL, f"clock/advance {text!r} {error}") from None
    clock = machine.clock
    if clock.end_ns is not None and machine.timeline.now_ns + duration_ns > clock.end_ns:
        raise OSError(errno.EINVAL, f"clock/advance {text!r}: time ends at {clock.end_ns} ns")
    return clock.advance(duration_ns)


def show_mode(machine: Machine) -> bytes:
    return f"{machine.clock.mode}\n".encode()


def store_mode(machine: Machine, data: bytes) -> None:
    word = data.decode("latin-1").strip()
    if word not in get_args(Mode):
        raise OSError(errno.EINVAL, f"clock/mode {word!r}: use one of {', '.join(MODES)}")
    machine.clock.set_mode(next(mode for mode in MODES if mode == word))


def show_speed(machine: Machine) -> bytes:
    return f"{machine.clock.speed:g}\n".encode()


def store_speed(machine: Machine, data: bytes) -> None:
    try:
        speed = float(data)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= FASTEST:
        raise OSError(errno.EINVAL, f"clock/speed {data!r}: a number from 0 to {FASTEST:g}")
    machine.clock.set_speed(speed)


FAULTS = (
    "apic_error",
    "delayed_eoi",
    "forged_msi",
    "irte",
    "lost_edge",
    "pic_glitch",
    "raise",
    "spurious_vector",
    "stuck_line",
)


def show_fault(name: str) -> Callable[[Machine], bytes]:
    """A file that says what is armed of a fault: x86/faults.py."""
    return lambda machine: machine.faults.armed(name).encode()


def store_fault(name: str) -> Callable[[Machine, bytes], None]:
    """A file that takes commands for a fault. EINVAL: with the reason in the log."""
    return lambda machine, data: machine.faults.command(name, data.decode("latin-1").strip())


def show_vcpu(machine: Machine) -> bytes:
    return str(machine.vcpus).encode()


def store_vcpu(machine: Machine, data: bytes) -> None:
    """Give a device to a virtual CPU, and say where that is. EINVAL: see x86/vcpu.py."""
    machine.vcpus.command(data.decode("latin-1").strip())


class IrqctlFile(OpenFile):
    """An open irqctl: what is written is a command, what is read then is its answer.

    A command that takes simulated time returns when it is over; where time stands still, in step
    mode, it returns at once, and happens as time is advanced.

    ETIME  it takes time, and time has ended (--for)

    The kernel moves a descriptor's position by what was written, so the answer begins wherever
    the first read after a command begins.
    """

    def __init__(self, machine: Machine, _opening: Opening) -> None:
        self._machine = machine
        self._answer = b""
        self._answer_starts: int | None = 0

    def read(self, size: int, offset: int) -> bytes | Completion:
        if self._answer_starts is None:
            self._answer_starts = offset
        start = offset - self._answer_starts
        return self._answer[start : start + size] if start >= 0 else b""

    def write(self, data: bytes, offset: int) -> int | Completion:
        self._answer, self._answer_starts = b"", None
        answer = self._machine.test_lines.command(data.decode("utf-8", "surrogateescape"))
        if isinstance(answer, str):
            self._answer = answer.encode("utf-8", "surrogateescape")
            return len(data)
        clock = self._machine.clock
        if clock.has_ended:
            error = OSError(errno.ETIME, f"irqctl: time ended at {clock.end_ns} ns")
            answer.fail(error)
            raise error
        if clock.mode == "step" and clock.next_stop_ns() is None:
            return len(data)  # nobody lets time pass meanwhile: it happens when somebody does
        return written_when_done(answer, len(data))


def written_when_done(work: Completion, size: int) -> Completion:
    """The result of a write of size bytes that ends with work, with its error if it has one.

    A writer who is interrupted ends the work, too: nobody waits for it any more.
    """
    written = Completion()

    def finish() -> None:
        if work.error is not None:
            written.fail(work.error)
        else:
            written.complete(size)

    def give_up() -> None:
        if written.error is not None:
            work.fail(written.error)

    work.on_done(finish)
    written.on_done(give_up)
    return written
