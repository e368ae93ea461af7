"""Make interrupt lines, request them and raise them, on command.

What a kernel module for testing does, without loading one: lines that exist in software only, and
QEMU's "edu" devices. One command is one line of words:

    sim NAME CHIP FLOW [nodom]     make a software line; FLOW: simple, edge, level, fasteoi
    del NAME                       remove it
    edu NAME INDEX msi|intx        take an edu device that no driver has
    unedu NAME                     give it back
    request LINE ACTION FLAGS MODE request a handler; MODE: hard (handles), none (IRQ_NONE),
                                   nullhard (a thread only), thread (the handler wakes it),
                                   threadnone (the thread says IRQ_NONE)
    free LINE ACTION               free it
    raise LINE N [CPU]             N interrupts, one after the other
    unhandled ACTION N             the next N calls of the handler return IRQ_NONE
    calls ACTION                   calls of the handler and of its thread
    inject IRQ N                   N replays of an interrupt by its number
    disable|enable LINE            disable_irq(), enable_irq()
    wake LINE 0|1                  irq_set_irq_wake()
    aff LINE LIST                  irq_set_affinity() with a CPU list
    hint|updhint LINE LIST|none    the affinity hint, applied or only noted
"""

import errno
from collections.abc import Callable, Sequence
from typing import TypeAlias

from pseudokern.drivers.bursts import HANDLER_NS, DeviceBurst, Repeat, SoftwareBurst
from pseudokern.drivers.device import Device
from pseudokern.drivers.edu import Edu
from pseudokern.irq.chip import (
    handle_edge_irq,
    handle_fasteoi_irq,
    handle_level_irq,
    handle_simple_irq,
)
from pseudokern.irq.desc import FlowHandler, Irq, IrqDesc
from pseudokern.irq.domain import IrqDomain
from pseudokern.irq.flags import ChipFlag, Irqf, IrqReturn
from pseudokern.irq.irqchip import IrqChip
from pseudokern.irq.manage import (
    disable_irq,
    enable_irq,
    irq_set_affinity,
    irq_set_affinity_and_hint,
    irq_set_irq_wake,
    set_trigger,
)
from pseudokern.irq.request import free_irq, request_irq
from pseudokern.irq.resend import irq_inject_interrupt
from pseudokern.kernel.cpumask import CpuId, CpuMask, cpulist_parse, first_cpu
from pseudokern.sim.agenda import Agenda
from pseudokern.sim.completion import Completion
from pseudokern.x86.pc import Pc

Answer: TypeAlias = str | Completion

SIM_HWIRQ = 3
HANDLER_SYMBOL = "oracle_hard [oracle]"  # as the module was called on the machines recorded
INJECT_SPACING_NS = 5_000_000

_FLOWS: dict[str, tuple[FlowHandler, str]] = {
    "simple": (handle_simple_irq, ""),
    "edge": (handle_edge_irq, "edge"),
    "level": (handle_level_irq, "level"),
    "fasteoi": (handle_fasteoi_irq, "fasteoi"),
}
_FLAGS = {
    "none": Irqf.NONE,
    "shared": Irqf.SHARED,
    "oneshot": Irqf.ONESHOT,
    "rising": Irqf.TRIGGER_RISING,
    "falling": Irqf.TRIGGER_FALLING,
    "high": Irqf.TRIGGER_HIGH,
    "low": Irqf.TRIGGER_LOW,
    "nobalancing": Irqf.NOBALANCING,
    "noautoen": Irqf.NO_AUTOEN,
    "nothread": Irqf.NO_THREAD,
    "percpu": Irqf.PERCPU,
}
# What the handler says, and its thread; None is none of them.
_MODES: dict[str, tuple[IrqReturn | None, IrqReturn | None]] = {
    "hard": (IrqReturn.HANDLED, None),
    "none": (IrqReturn.NONE, None),
    "nullhard": (None, IrqReturn.HANDLED),
    "thread": (IrqReturn.WAKE_THREAD, IrqReturn.HANDLED),
    "threadnone": (IrqReturn.WAKE_THREAD, IrqReturn.NONE),
}


class SimChip(IrqChip):
    """The controller of a software line: everything is possible, nothing has to be done."""

    flags = ChipFlag.SKIP_SET_WAKE
    has_set_type = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.can_set_affinity = name != "noaff"

    def set_affinity(self, desc: IrqDesc, mask: CpuMask) -> None:
        desc.effective_affinity = 1 << first_cpu(mask)

    def set_type(self, desc: IrqDesc, trigger: int) -> None:
        set_trigger(desc, trigger)


class TestHandler:
    """A handler that counts its calls and its thread's, and says IRQ_NONE when told to."""

    __slots__ = (
        "answer", "calls", "desc", "name", "thread_answer", "thread_calls", "unhandled"
    )  # fmt: skip

    symbol = HANDLER_SYMBOL

    def __init__(self, desc: IrqDesc, name: str, mode: str) -> None:
        answer, thread_answer = _MODES[mode]
        self.desc = desc
        self.name = name
        self.answer = answer or IrqReturn.NONE
        self.thread_answer = thread_answer or IrqReturn.NONE
        self.calls = 0
        self.thread_calls = 0
        self.unhandled = 0

    def __call__(self) -> IrqReturn:
        self.calls += 1
        if self.unhandled:
            self.unhandled -= 1
            return IrqReturn.NONE
        return self.answer

    def run_thread(self) -> IrqReturn:
        self.thread_calls += 1
        return self.thread_answer


class TestLines:
    """The lines and handlers that commands have made."""

    def __init__(self, pc: Pc, devices: Sequence[Device]) -> None:
        self._pc = pc
        self._kernel = pc.kernel
        self._agenda = Agenda(pc.kernel.timeline)
        edus = [device for device in devices if isinstance(device, Edu)]
        self._edus = sorted(edus, key=lambda edu: edu.function.bdf)
        self._lines: dict[str, IrqDesc] = {}
        self._taken: dict[str, Edu] = {}
        self._handlers: list[TestHandler] = []
        for edu in self._edus:
            self._adopt(edu)

    def command(self, text: str) -> Answer:
        """Carry out one command; what it prints, or a Completion of that.

        EINVAL  no such command, or not in this form; ENOENT: no such line or handler
        """
        words = text.split()
        method = getattr(self, f"_do_{words[0]}", None) if words else None
        if method is None:
            raise OSError(errno.EINVAL, f"irqctl: unknown command {text!r}")
        try:
            answer: Answer | None = method(*words[1:])
        except (TypeError, ValueError, LookupError) as error:
            if isinstance(error, KeyError):
                raise OSError(errno.ENOENT, f"irqctl {text!r}: there is no {error}") from None
            raise OSError(errno.EINVAL, f"irqctl {text!r}: {error}") from None
        return "" if answer is None else answer

    def _adopt(self, edu: Edu) -> None:
        """Make the lines of devices that have a driver available under their names."""
        if edu.options["interrupt"] in ("msi", "intx"):
            self._lines[edu.name] = self._pc.irqs[Irq(edu.function.irq)]
            self._taken[edu.name] = edu

    # -- lines ---------------------------------------------------------------------------------

    def _do_sim(self, name: str, chip: str, flow: str, domain: str = "") -> str:
        self._refuse_taken(name)
        handler, flow_name = _FLOWS[flow]
        desc = self._pc.irqs.alloc_descs(1, node=-1)[0]
        IrqDomain(chip).associate(desc, SIM_HWIRQ, SimChip(chip), None, handler, flow_name)
        if domain == "nodom":
            desc.domain = None
        self._lines[name] = desc
        return f"{desc.irq}\n"

    def _do_del(self, name: str) -> None:
        desc = self._lines[name]
        if name in self._taken or desc.actions:
            raise OSError(errno.EBUSY, f"line {name} is in use")
        del self._lines[name]
        self._pc.irqs.free_desc(desc)

    def _do_edu(self, name: str, index: str, way: str) -> str:
        self._refuse_taken(name)
        edu = self._edus[int(index)] if int(index) < len(self._edus) else None
        if edu is None:
            raise OSError(errno.ENODEV, f"there is no edu device {index}")
        if edu in self._taken.values():
            raise OSError(errno.EBUSY, f"edu device {index} has a driver")
        line = edu.enable()
        if way == "msi":
            desc = self._pc.pci.alloc_msi(edu.function, 1)[0]
        elif way == "intx" and line is not None:
            desc = line
        else:
            raise OSError(errno.EINVAL, f"an edu device has no {way!r}")
        self._lines[name] = desc
        self._taken[name] = edu
        return f"{desc.irq}\n"

    def _do_unedu(self, name: str) -> None:
        edu = self._taken[name]
        if any(handler.desc is self._lines[name] for handler in self._handlers):
            raise OSError(errno.EBUSY, f"line {name} is in use")
        if edu.function.msi is not None:
            self._pc.pci.free(edu.function)
        elif edu.function.intx is not None:
            edu.function.intx.release_by(edu)
        del self._taken[name], self._lines[name]

    def _refuse_taken(self, name: str) -> None:
        if name in self._lines:
            raise OSError(errno.EEXIST, f"line {name} exists")

    # -- handlers ------------------------------------------------------------------------------

    def _do_request(self, line: str, action: str, flags: str, mode: str) -> None:
        desc = self._lines[line]
        bits = 0
        for word in flags.split(","):
            bits |= _FLAGS[word]
        if mode not in _MODES:
            raise OSError(errno.EINVAL, f"there is no mode {mode!r}")
        handler = TestHandler(desc, action, mode)
        primary: Callable[[], IrqReturn] | None = handler
        if line in self._taken and self._taken[line].function.msi is None:
            primary = _IntxHandler(self._taken[line], handler)
        if _MODES[mode][0] is None:
            primary = None
        request_irq(
            self._pc.irqs,
            desc.irq,
            primary,
            bits,
            None if action == "-" else action,
            handler,
            thread_fn=None if _MODES[mode][1] is None else handler.run_thread,
            cost_ns=HANDLER_NS,
        )
        self._handlers.append(handler)

    def _do_free(self, line: str, action: str) -> None:
        desc = self._lines[line]
        handler = next((h for h in self._handlers if h.desc is desc and h.name == action), None)
        if handler is None:
            raise OSError(errno.ENOENT, f"line {line} has no handler {action}")
        self._handlers.remove(handler)
        free_irq(desc, handler)

    def _do_unhandled(self, action: str, times: str) -> None:
        self._handler(action).unhandled = int(times)

    def _do_calls(self, action: str) -> str:
        handler = self._handler(action)
        return f"{handler.calls} {handler.thread_calls}\n"

    def _handler(self, action: str) -> TestHandler:
        return next((h for h in self._handlers if h.name == action), None) or self._no(action)

    @staticmethod
    def _no(action: str) -> TestHandler:
        raise OSError(errno.ENOENT, f"there is no handler {action}")

    # -- interrupts ----------------------------------------------------------------------------

    def _do_raise(self, line: str, times: str, cpu: str = "") -> Completion:
        desc = self._lines[line]
        done = Completion()
        if line in self._taken:
            edu = self._taken[line]
            DeviceBurst(self._agenda, self._kernel.timeline, edu, int(times), done)
        else:
            target = CpuId(int(cpu)) if cpu else first_cpu(desc.effective_affinity or 1)
            SoftwareBurst(self._agenda, self._pc, desc, int(times), target, done)
        return done

    def _do_inject(self, irq: str, times: str) -> Completion:
        """irq_inject_interrupt(): EINVAL for a line that is level or not active."""
        desc = self._pc.irqs.find(Irq(int(irq)))

        def once() -> None:
            irq_inject_interrupt(desc)

        done = Completion()
        Repeat(self._agenda, self._kernel.timeline, int(times), once, INJECT_SPACING_NS, done)
        return done

    # -- settings ------------------------------------------------------------------------------

    def _do_disable(self, line: str) -> None:
        disable_irq(self._lines[line])

    def _do_enable(self, line: str) -> None:
        enable_irq(self._lines[line])

    def _do_wake(self, line: str, on: str) -> None:
        irq_set_irq_wake(self._lines[line], on == "1")

    def _do_aff(self, line: str, cpus: str) -> None:
        irq_set_affinity(self._lines[line], self._mask(cpus))

    def _do_hint(self, line: str, cpus: str) -> None:
        irq_set_affinity_and_hint(self._lines[line], self._mask(cpus))

    def _do_updhint(self, line: str, cpus: str) -> None:
        self._lines[line].affinity_hint = self._mask(cpus)

    def _mask(self, cpus: str) -> CpuMask:
        return 0 if cpus == "none" else cpulist_parse(cpus.encode(), self._kernel.nr_cpu_ids)


class _IntxHandler:
    """The handler of an edu device on a shared line: not mine, unless it asserts the line.

    A handler that says IRQ_NONE leaves its device alone, and so the line asserted.
    """

    __slots__ = ("_edu", "_handler")

    symbol = HANDLER_SYMBOL

    def __init__(self, edu: Edu, handler: TestHandler) -> None:
        self._edu = edu
        self._handler = handler

    def __call__(self) -> IrqReturn:
        line = self._edu.function.intx
        if line is None or not line.is_asserted_by(self._edu):
            return IrqReturn.NONE
        answer = self._handler()
        if answer is not IrqReturn.NONE:
            line.release_by(self._edu)
        return answer
