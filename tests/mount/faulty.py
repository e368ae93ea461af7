"""pseudokern, with files that have a bug of ours; run like the command itself."""

import sys

from pseudokern.cli.main import main
from pseudokern.fs import tree
from pseudokern.fs.entries import Entry, Folder
from pseudokern.irq.desc import IrqDesc
from pseudokern.machine.machine import Machine

PLACE = "proc/faulty"


def show_nothing_good(machine: Machine) -> bytes:
    return b"%d\n" % machine.irqs[4711]


def show_text(_machine: Machine) -> str:
    return "not bytes\n"


def store_nothing_good(machine: Machine, data: bytes) -> None:
    raise ZeroDivisionError(f"a bug in {PLACE}, met by {data!r}")


def mode_that_fails(_machine: Machine, desc: IrqDesc) -> int:
    raise RuntimeError(f"a mode of interrupt {desc.irq}")


tree.ENTRIES = (
    *tree.ENTRIES,
    Folder(PLACE, 0o555),
    Entry(f"{PLACE}/show", 0o444, show_nothing_good),
    Entry(f"{PLACE}/text", 0o444, show_text),
    Entry(f"{PLACE}/store", 0o600, lambda _machine: b"", store_nothing_good),
    Entry("proc/irq/{irq}/faulty", mode_that_fails, lambda _machine, _desc: b""),
)

if __name__ == "__main__":
    sys.exit(main())
