"""Say which modules scripts/compile makes machine code of, and whether that was done.

mypyc compiles each of them as it stands, all or none of them. What it makes lies beside the source,
and Python prefers it. The source remains what a machine is: compiled it does the same to the byte
(tests/compiled), in less than half of the time where it is hot.

Left out is whatever has frames that somebody looks at: kernel/context.py for the context, call
traces for names of functions. Compiled functions have none.
"""

from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

MODULES = (
    "sim.timeline",
    "sim.alarm",
    "sim.agenda",
    "sim.completion",
    "sim.chance",
    "sim.histogram",
    "kernel.percpu",
    "kernel.feed",
    "kernel.latency",
    "kernel.blk_mq",
    "hw.cpu",
    "hw.lapic",
    "hw.flash",
    "hw.completion_queue",
    "x86.counted_polls",
    "x86.fed_polls",
    "drivers.traffic",
    "drivers.dim",
    "drivers.itr",
    "drivers.io_load",
    "drivers.moderation",
    "drivers.fed_moderation",
    "drivers.burst_loop",
)
CONSTANTS = ("kernel.napi",)  # not compiled, but its constants are part of what is
GROUP = "pseudokern.compiled"  # whose code is in compiled__mypyc; the others only point there

_PACKAGE = Path(__file__).parent
_SUFFIX = EXTENSION_SUFFIXES[0]
_CODE = _PACKAGE / f"compiled__mypyc{_SUFFIX}"


def is_compiled() -> bool:
    """Whether this package runs compiled, for the Python that asks."""
    return _CODE.exists()


def problem() -> str:
    """What is wrong with what was compiled, and what to do; nothing if it is not, or all is well.

    A module that has changed since would be run as it was.
    """
    if not is_compiled():
        return ""
    cure = "type: scripts/compile, or to run it interpreted: scripts/compile --clean"
    wanted = {_path(module).with_suffix(_SUFFIX) for module in MODULES}
    layers = {path.parent for path in wanted}
    if {path for layer in layers for path in layer.glob(f"*{_SUFFIX}")} != wanted:
        return f"{_PACKAGE} was compiled when other modules were to be; {cure}"
    compiled_at_ns = _CODE.stat().st_mtime_ns
    for module in MODULES + CONSTANTS:
        if _path(module).stat().st_mtime_ns > compiled_at_ns:
            return f"{_path(module)} has changed since it was compiled; {cure}"
    return ""


def sources() -> list[str]:
    """The files to compile, from where the package lies."""
    return [str(_path(module).relative_to(_PACKAGE.parent)) for module in MODULES]


def _path(module: str) -> Path:
    return _PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
