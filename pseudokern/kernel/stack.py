"""Name the functions that are being called, as a stack dump of Linux names them.

Follows arch/x86/kernel/unwind_orc.c in what is printed: name+offset/size, the innermost first.

The stack is Python's. Functions of kernel, irq and x86 bear the kernel's names, so most need no
table; METHODS has the others. It ends where the hardware came in: what raised the interrupt is
no part of it. Offsets and sizes are made up, the same in every run.
"""

import sys
from collections.abc import Mapping
from pathlib import PurePath
from types import FrameType, MappingProxyType
from zlib import crc32

ENTRY_PREFIX = "asm_"  # the assembly that the hardware enters
NMI_ENTRY = "end_repeat_nmi"  # the same of an NMI

# Where Linux has functions of that name; below come devices, above come files.
_LAYERS = ("pseudokern.irq.", "pseudokern.kernel.", "pseudokern.x86.")

USERS_MODULES = "pseudokern_module."  # what module/loader.py calls the code of users
USERS_DRIVERS = "pseudokern_user_driver_"  # what drivers/registry.py calls theirs
_OUT_OF_SIGHT = "pseudokern.module."  # between that code and the kernel
_FILES = "pseudokern.fs."  # what is above them is no part of the machine

# What Linux calls, the innermost first, where we call the left-hand one.
METHODS: dict[str, tuple[str, ...]] = {
    "_report": ("__report_bad_irq",),
    "might_sleep": ("__might_resched",),
    "schedule_bug": ("__schedule_bug", "__schedule", "schedule"),
    "msleep": ("schedule_timeout", "msleep"),
    "EdgeGate.fire": (
        "handle_irq_event",
        "handle_edge_irq",
        "common_interrupt",
        "asm_common_interrupt",
    ),
    "Entry._common_interrupt": ("common_interrupt", "asm_common_interrupt"),
    "Entry._irq_exit": ("__irq_exit_rcu",),
    "IrqThread._main": ("irq_thread",),
    "IrqThread._run_once": ("irq_thread_fn",),
    "KThread._run": ("kthread", "ret_from_fork", "ret_from_fork_asm"),
    "ApicTimers._interrupt": (
        "__sysvec_apic_timer_interrupt",
        "sysvec_apic_timer_interrupt",
        "asm_sysvec_apic_timer_interrupt",
    ),
    "NetdevWatchdog.dev_watchdog": ("dev_watchdog",),
    "Nmis._run": ("default_do_nmi",),
    "Nmis.enter": ("exc_nmi", NMI_ENTRY),
    "Smp._called": (
        "__flush_smp_call_function_queue",
        "__sysvec_call_function_single",
        "sysvec_call_function_single",
        "asm_sysvec_call_function_single",
    ),
    "Softirqs._run": ("handle_softirqs",),
    "Softirqs.irq_exit": ("handle_softirqs",),
    "Modules.load": (
        "do_one_initcall",
        "do_init_module",
        "load_module",
        "__do_sys_finit_module",
        "do_syscall_64",
        "entry_SYSCALL_64_after_hwframe",
    ),
    "Modules.unload": (
        "__do_sys_delete_module",
        "do_syscall_64",
        "entry_SYSCALL_64_after_hwframe",
    ),
    "SpuriousPoller._poll": ("poll_spurious_irqs",),
    "SuspectGate.fire": (
        "handle_irq_event",
        "handle_edge_irq",
        "common_interrupt",
        "asm_common_interrupt",
    ),
    "note_unhandled": (),
    "TimerWheel.run": ("call_timer_fn", "__run_timers", "run_timer_softirq"),
    "Worker._main": ("worker_thread",),
    "Worker._process": ("process_one_work",),
    "call_trace": (),
    "die": (),
    "local_variables": (),
    "with_local_variables": (),
    "handle_exception": (),
    "direct_entry": (
        "direct_entry",
        "full_proxy_write",
        "vfs_write",
        "ksys_write",
        "do_syscall_64",
        "entry_SYSCALL_64_after_hwframe",
    ),
    "dump_stack": ("dump_stack_lvl",),
    "enable_irq": ("__enable_irq", "enable_irq"),
    "finalize_oneshot": ("irq_finalize_oneshot",),
    "free_irq": ("__free_irq", "free_irq"),
    "judge": (),
    "oops": (),
    "request_irq": ("request_threaded_irq",),
    "set_trigger": ("__irq_set_trigger",),
    "warn": (),
}

_TICK = ("sysvec_apic_timer_interrupt", "asm_sysvec_apic_timer_interrupt")
_DEVICE = ("common_interrupt", "asm_common_interrupt")


def call_trace(
    innermost: FrameType | None = None,
    *,
    with_callee: bool = False,
    callers: Mapping[FrameType, FrameType] = MappingProxyType({}),
) -> list[str]:
    """name+offset/size of every function that is being called, the innermost first.

    innermost    where to begin, if not at the caller: what an exception has left
    with_callee  begin with the functions, of a driver mostly, that the kernel has called
    callers      of frames that do not know it themselves
    """
    names: list[str] = []
    frame: FrameType | None = innermost or sys._getframe(1)
    while frame is not None and not (names and names[-1].startswith((ENTRY_PREFIX, NMI_ENTRY))):
        module = frame.f_globals.get("__name__", "")
        if module.startswith(USERS_MODULES):
            names.append(f"{frame.f_code.co_name} [{module.removeprefix(USERS_MODULES)}]")
        elif module.startswith(USERS_DRIVERS):
            names.append(f"{frame.f_code.co_name} [{PurePath(frame.f_code.co_filename).stem}]")
        elif not module.startswith(_LAYERS):
            if module.startswith(_OUT_OF_SIGHT):
                names += METHODS.get(frame.f_code.co_qualname, ())
            elif module.startswith(_FILES):
                break
            elif with_callee:
                names.append(frame.f_code.co_name.strip("<>"))
        else:
            with_callee = False
            names += [n for n in _names(frame.f_code.co_qualname) if names[-1:] != [n]]
        frame = frame.f_back or callers.get(frame)
    if names[-1:] == ["__irq_exit_rcu"]:  # of an interrupt that has returned here already
        names += _TICK if "run_timer_softirq" in names else _DEVICE
    callees = ["", *names]
    return [symbol(name, callee) for name, callee in zip(names, callees, strict=False)]


def symbol(name: str, callee: str) -> str:
    """Where in name the call of callee is; "name [module]" is one in a module."""
    name, _, module = name.partition(" ")
    size = 0x30 + crc32(name.encode()) % 0x40 * 0x10
    offset = 5 + crc32(f"{name} {callee}".encode()) % (size - 5)
    return f"{name}+{offset:#x}/{size:#x} {module}".rstrip()


def _names(function: str) -> tuple[str, ...]:
    if function in METHODS:
        return METHODS[function]
    is_kernel_name = function.isidentifier() and not function.startswith("_")
    return (function,) if is_kernel_name else ()
