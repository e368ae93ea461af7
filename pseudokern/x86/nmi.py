"""Find out who sent an NMI, and complain if nobody did.

Follows arch/x86/kernel/nmi.c. Handlers are asked first; then port 0x61, whether the board has seen
an error; then it is unknown. Two NMIs that came together may be handled by the first run: when it
found more than one reason, the one behind it is swallowed if nobody owns up to it.

Linux tells "behind it" by the same instruction pointer; here it is that nothing ran in between.
"""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from pseudokern.hw.cpu import Cpu
from pseudokern.hw.vector import Vector
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.panic import panic
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.printk import Level
from pseudokern.kernel.ratelimit import RateLimit
from pseudokern.kernel.warn import dump_stack

NMI_NS = 1_000  # entry, the handlers of an idle list, IRET
LONGEST_NS = 1_000_000  # nmi_longest_ns: who takes longer is told of
REASON_SERR = 0x80
REASON_IOCHK = 0x40
REASON_MASK = REASON_SERR | REASON_IOCHK

NmiHandler = Callable[[PerCpu], int]


class NmiType(Enum):
    """Which handlers are asked when; enum of asm/nmi.h."""

    LOCAL = "local"
    UNKNOWN = "unknown"


class NmiState(Enum):
    """What a CPU does about NMIs; the kernel's own latch, for those that nest after an IRET."""

    NOT_RUNNING = 0
    EXECUTING = 1
    LATCHED = 2


class _Action:
    """A handler that was registered, and how long it has ever taken."""

    def __init__(self, name: str, handler: NmiHandler) -> None:
        self.name = name
        self.handler = handler
        self.max_ns = 0


class NmiSettings(NamedTuple):
    """The sysctls: which NMIs end the machine."""

    unknown_nmi_panic: int = 0
    panic_on_io_nmi: int = 0
    panic_on_unrecovered_nmi: int = 0


class Nmis:
    """The NMIs of all CPUs.

    reason    bits 6 and 7 of port 0x61: what the board has to complain of
    settings  /proc/sys/kernel/{unknown_nmi_panic,panic_on_io_nmi,panic_on_unrecovered_nmi}
    """

    def __init__(self, kernel: Kernel, cpus: list[Cpu]) -> None:
        self.reason = 0
        self.settings = NmiSettings()
        self._kernel = kernel
        self._cpus = cpus
        self._states = [NmiState.NOT_RUNNING] * len(cpus)
        self._swallow = [False] * len(cpus)
        self._last_end_ns = [-1] * len(cpus)
        self._actions: dict[NmiType, list[_Action]] = {kind: [] for kind in NmiType}
        self._unknown_told = RateLimit(kernel.log, "unknown_nmi_error")
        self._dazed_told = RateLimit(kernel.log, "unknown_nmi_error")

    def register(self, kind: NmiType, name: str, handler: NmiHandler) -> None:
        """Ask handler about each NMI: it returns how many reasons it found. register_nmi_handler()

        A handler of that name that is there already is replaced.
        """
        self.unregister(kind, name)
        self._actions[kind].insert(0, _Action(name, handler))

    def unregister(self, kind: NmiType, name: str) -> None:
        self._actions[kind] = [action for action in self._actions[kind] if action.name != name]

    def enter(self, cpu: Cpu, _vector: Vector) -> None:
        """exc_nmi(): run, and once more if another one came meanwhile."""
        number = cpu.number
        if self._states[number] is not NmiState.NOT_RUNNING:
            self._states[number] = NmiState.LATCHED
            return
        self._states[number] = NmiState.EXECUTING
        try:
            while True:
                self._run(cpu)
                if self._states[number] is NmiState.EXECUTING:
                    return
                self._states[number] = NmiState.EXECUTING
        finally:
            self._states[number] = NmiState.NOT_RUNNING

    def _run(self, cpu: Cpu) -> None:
        kernel = self._kernel
        this = kernel.cpus[cpu.number]
        outer, kernel.this = kernel.this, this
        now_ns = kernel.timeline.now_ns
        began_ns = max(cpu.busy_until_ns, now_ns)
        is_back_to_back = self._last_end_ns[cpu.number] == now_ns
        this.counts.nmi += 1
        try:
            self._find_reason(this, is_back_to_back=is_back_to_back)
        finally:
            kernel.this = outer
            pin = cpu.nmi_pin
            pin.occupy(NMI_NS)
            pin.ends_ns = now_ns + max(cpu.busy_until_ns - began_ns, NMI_NS)
            self._last_end_ns[cpu.number] = pin.ends_ns

    def _find_reason(self, this: PerCpu, *, is_back_to_back: bool) -> None:
        """default_do_nmi()."""
        if not is_back_to_back:
            self._swallow[this.cpu] = False
        handled = self._ask(NmiType.LOCAL, this)
        if handled:
            if handled > 1:
                self._swallow[this.cpu] = True
            return
        reason = self.reason & REASON_MASK
        if reason & REASON_SERR:
            self._serr(this, reason)
        elif reason & REASON_IOCHK:
            self._iochk(this, reason)
        elif not (is_back_to_back and self._swallow[this.cpu]):
            self._unknown(this)

    def _ask(self, kind: NmiType, this: PerCpu) -> int:
        """nmi_handle(): every handler, and how long each one took."""
        handled = 0
        cpu = self._cpus[this.cpu]
        for action in list(self._actions[kind]):
            began_ns = max(cpu.busy_until_ns, self._kernel.timeline.now_ns)
            handled += action.handler(this)
            taken_ns = max(cpu.busy_until_ns - began_ns, 0)
            if taken_ns >= LONGEST_NS and taken_ns >= action.max_ns:
                action.max_ns = taken_ns
                ms, rest_ns = divmod(taken_ns, 1_000_000)
                name = getattr(action.handler, "__name__", action.name)
                text = f"INFO: NMI handler ({name}) took too long to run:"
                self._kernel.log.printk(Level.WARNING, f"{text} {ms}.{rest_ns // 1000:03d} msecs")
        return handled

    def _serr(self, this: PerCpu, reason: int) -> None:
        text = f"NMI: PCI system error (SERR) for reason {reason:02x} on CPU {this.cpu}."
        self._kernel.log.printk(Level.EMERG, text)
        if self.settings.panic_on_unrecovered_nmi:
            panic(self._kernel, "NMI: Not continuing")
        self._dazed()
        self.reason &= ~REASON_SERR

    def _iochk(self, this: PerCpu, reason: int) -> None:
        text = f"NMI: IOCK error (debug interrupt?) for reason {reason:02x} on CPU {this.cpu}."
        self._kernel.log.printk(Level.EMERG, text)
        dump_stack(self._kernel)
        if self.settings.panic_on_io_nmi:
            panic(self._kernel, "NMI IOCK error: Not continuing")
        self.reason &= ~REASON_IOCHK

    def _unknown(self, this: PerCpu) -> None:
        if self._ask(NmiType.UNKNOWN, this):
            return
        text = f"Uhhuh. NMI received for unknown reason {self.reason:02x} on CPU {this.cpu}."
        self._unknown_told.printk(Level.EMERG, text)
        if self.settings.unknown_nmi_panic or self.settings.panic_on_unrecovered_nmi:
            panic(self._kernel, "NMI: Not continuing")
        self._dazed_told.printk(Level.EMERG, "Dazed and confused, but trying to continue")

    def _dazed(self) -> None:
        self._kernel.log.printk(Level.EMERG, "Dazed and confused, but trying to continue")
