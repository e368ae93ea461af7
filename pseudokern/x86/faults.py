"""Break things on command, to see what Linux makes of it.

Each fault has a file under sys/kernel/debug/pseudokern/faults: what is written arms it or makes it
happen, what is read says what is armed.
"""

import errno
from collections.abc import Callable
from inspect import signature
from typing import Protocol

from pseudokern.sim.agenda import Agenda
from pseudokern.x86.line_faults import (
    DelayedEoiFault,
    LostEdgeFault,
    RaiseFault,
    Refused,
    StuckLineFault,
)
from pseudokern.x86.message_faults import (
    ApicErrorFault,
    ForgedMsiFault,
    IrteFault,
    PicGlitchFault,
    SpuriousVectorFault,
)
from pseudokern.x86.pc import Pc


class Fault(Protocol):
    """One thing that can go wrong. command() takes the words that were written."""

    USAGE: str

    @property
    def command(self) -> Callable[..., None]: ...

    def armed(self) -> list[str]: ...


class Faults:
    """All faults of one machine, by the names of their files."""

    def __init__(self, pc: Pc) -> None:
        agenda = Agenda(pc.kernel.timeline)
        self.by_name: dict[str, Fault] = {
            "apic_error": ApicErrorFault(pc, agenda),
            "delayed_eoi": DelayedEoiFault(pc, agenda),
            "forged_msi": ForgedMsiFault(pc, agenda),
            "irte": IrteFault(pc, agenda),
            "lost_edge": LostEdgeFault(pc, agenda),
            "pic_glitch": PicGlitchFault(pc, agenda),
            "raise": RaiseFault(pc, agenda),
            "spurious_vector": SpuriousVectorFault(pc, agenda),
            "stuck_line": StuckLineFault(pc, agenda),
        }

    def command(self, name: str, text: str) -> None:
        """Carry out what was written to one file.

        EINVAL  it makes no sense; the reason is the error's text
        """
        fault, words = self.by_name[name], text.split()
        try:
            signature(fault.command).bind(*words)
        except TypeError:
            raise OSError(errno.EINVAL, f"{name} {text!r}: write {fault.USAGE}") from None
        try:
            fault.command(*words)
        except Refused as error:
            raise OSError(errno.EINVAL, f"{name} {text!r}: {error}") from None

    def armed(self, name: str) -> str:
        """What is armed, one line each, in the form of a command."""
        return "".join(f"{line}\n" for line in self.by_name[name].armed())
