"""Report in the kernel log what should not have happened, and how it came about.

Follows lib/dump_stack.c, __warn() and print_tainted() of kernel/panic.c, and
arch/x86/kernel/dumpstack.c.

Left out: registers and the bytes at RIP. There are none.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pseudokern.kernel.context import this_cpu
from pseudokern.kernel.printk import Level
from pseudokern.kernel.stack import ENTRY_PREFIX, NMI_ENTRY, call_trace, symbol

if TYPE_CHECKING:
    from pseudokern.kernel.kernel import Kernel

COMM_SHOWN = 20

# Why reports are to be taken with care, in the order of their bits: the letter and the name.
TAINTS = (
    ("P", "PROPRIETARY_MODULE"), ("F", "FORCED_MODULE"), ("S", "CPU_OUT_OF_SPEC"),
    ("R", "FORCED_RMMOD"), ("M", "MACHINE_CHECK"), ("B", "BAD_PAGE"), ("U", "USER"),
    ("D", "DIE"), ("A", "OVERRIDDEN_ACPI_TABLE"), ("W", "WARN"), ("C", "CRAP"),
    ("I", "FIRMWARE_WORKAROUND"), ("O", "OOT_MODULE"), ("E", "UNSIGNED_MODULE"),
    ("L", "SOFTLOCKUP"), ("K", "LIVEPATCH"), ("X", "AUX"), ("T", "RANDSTRUCT"), ("N", "TEST"),
)  # fmt: skip


def dump_stack(kernel: "Kernel") -> None:
    """Log who called what down to here."""
    trace = call_trace()
    print_info(kernel)
    print_trace(kernel, trace)


def warn(kernel: "Kernel", place: str, text: str, trace: list[str] | None = None) -> None:
    """WARN(1, text) at place, a file and line of Linux: the text, and how the kernel got here.

    text   "" for WARN_ON(), which has none

    trace  the way to it, where that is not the present one

    The kernel is tainted from then on, as the next report says.
    """
    where, *callers = trace or call_trace() or [symbol("unknown", "")]
    cpu, pid = this_cpu(kernel).cpu, task_of(kernel)[0]
    _pr_warn(kernel, "------------[ cut here ]------------")
    if text:
        _pr_warn(kernel, text)
    _pr_warn(kernel, f"WARNING: CPU: {cpu} PID: {pid} at {place} {where}")
    print_modules(kernel)
    print_info(kernel)
    _pr_warn(kernel, f"RIP: 0010:{where}")
    print_trace(kernel, callers)
    if kernel.panic_on_warn:
        from pseudokern.kernel.panic import panic  # it dumps the stack as this module does

        panic(kernel, "kernel: panic_on_warn set ...")
    _pr_warn(kernel, "---[ end trace 0000000000000000 ]---")
    kernel.taint.add("W")


def tainted_mask(letters: Iterable[str]) -> int:
    """The number in /proc/sys/kernel/tainted."""
    found = set(letters)
    return sum(1 << bit for bit, (letter, _) in enumerate(TAINTS) if letter in found)


def task_of(kernel: "Kernel") -> tuple[int, str]:
    """PID and name of the task that runs, or that was interrupted."""
    this = this_cpu(kernel)
    task = this.current
    return (0, f"swapper/{this.cpu}") if task is None else (task.pid, task.comm)


def release_at_least(kernel: "Kernel", *version: int) -> bool:
    """Whether the kernel is of that version, or a later one."""
    numbers = kernel.release.partition("-")[0].split(".")
    return tuple(map(int, numbers)) >= version


def print_modules(kernel: "Kernel") -> None:
    _pr_warn(kernel, " ".join(["Modules linked in:", *kernel.modules]))


def print_info(kernel: "Kernel") -> None:
    """dump_stackprint_info()."""
    this = this_cpu(kernel)
    pid, comm = task_of(kernel)
    is_new = release_at_least(kernel, 6, 12)
    uid = " UID: 0" if is_new else ""
    taint = print_taint(kernel)
    _pr_warn(
        kernel,
        f"CPU: {this.cpu}{uid} PID: {pid} Comm: {comm:.{COMM_SHOWN}} {taint} {kernel.release} #1",
    )
    if is_new and kernel.taint:
        names = (f"[{letter}]={name}" for letter, name in TAINTS if letter in kernel.taint)
        _pr_warn(kernel, f"Tainted: {', '.join(names)}")
    if kernel.hardware_name:
        _pr_warn(kernel, f"Hardware name: {kernel.hardware_name}")


def print_trace(kernel: "Kernel", trace: list[str]) -> None:
    """show_trace_log_lvl(): what runs on the interrupt stack apart from what it interrupted."""
    _pr_warn(kernel, "Call Trace:")
    on_nmi_stack: list[str] = []
    on_irq_stack: list[str] = []
    if trace and trace[-1].startswith(NMI_ENTRY):
        on_nmi_stack, trace = trace, []
    elif trace and trace[-1].startswith(ENTRY_PREFIX):
        *on_irq_stack, entry = trace
        trace = [entry]
    for name, symbols in (("NMI", on_nmi_stack), ("IRQ", on_irq_stack), ("TASK", trace)):
        if symbols:
            for line in (f"<{name}>", *symbols, f"</{name}>"):
                _pr_warn(kernel, f" {line}")


def print_taint(kernel: "Kernel") -> str:
    """print_tainted(): "Not tainted", or the letters."""
    letters = kernel.taint
    if not letters:
        return "Not tainted"
    flags = [letter if letter in letters else " " for letter, _ in TAINTS]
    flags[0] = "P" if "P" in letters else "G"
    return f"Tainted: {''.join(flags)}"


def _pr_warn(kernel: "Kernel", text: str) -> None:
    kernel.log.printk(Level.WARNING, text)
