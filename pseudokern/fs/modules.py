"""Serve modules: /proc/modules, /sys/module, and the debug files by which insmod and rmmod act.

echo /home/me/heartbeat.py interval=2 > modules/load     as pseudokern insmod does
echo heartbeat > modules/unload                          as pseudokern rmmod does

Words are separated as in a shell. Only the user who mounted and root get as far as here, whatever
the mode of the file was changed to.
"""

import errno
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from pseudokern.fs.debug import written_when_done
from pseudokern.fs.open_file import OpenFile, Opening
from pseudokern.kernel.panic import KernelPanicError
from pseudokern.machine.machine import Machine
from pseudokern.module.parameters import Parameter
from pseudokern.module.table import OUT_OF_TREE, Loaded
from pseudokern.sim.completion import Completion

if TYPE_CHECKING:
    from collections.abc import Iterable


class _CommandFile(OpenFile):
    """A file that acts on each write. EPERM: opened by somebody else than root."""

    def __init__(self, machine: Machine, opening: Opening) -> None:
        if not opening.by_root:
            raise OSError(errno.EPERM, "modules are loaded by the user who mounted, and by root")
        self._machine = machine

    def write(self, data: bytes, offset: int) -> int | Completion:
        text = data.decode("utf-8", "surrogateescape")
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise OSError(errno.EINVAL, f"modules: {text!r}: {error}") from None
        if not words:
            raise OSError(errno.EINVAL, "modules: nothing was named")
        try:
            begun = self._act(words)
        except KernelPanicError as panic:  # insmod was in the kernel, and never comes back
            raise OSError(errno.EIO, f"modules: the kernel has panicked: {panic}") from None
        return len(data) if begun is None else written_when_done(begun, len(data))

    def _act(self, words: list[str]) -> Completion | None:
        raise NotImplementedError


class LoadFile(_CommandFile):
    """PATH [PARAMETER=VALUE]... EINVAL: PATH is relative; else as Modules.load()."""

    def _act(self, words: list[str]) -> Completion | None:
        path = Path(words[0])
        if not path.is_absolute():
            raise OSError(errno.EINVAL, f"modules/load {words[0]}: write an absolute path")
        return self._machine.modules.load(path, words[1:])


class UnloadFile(_CommandFile):
    """NAME. Errno as Modules.unload()."""

    def _act(self, words: list[str]) -> Completion | None:
        return self._machine.modules.unload(words[0])


def show_modules(machine: Machine) -> bytes:
    """print_unload_info() and m_show()."""
    lines = []
    for loaded in _loaded(machine):
        users = "[permanent]," if loaded.state == "Live" and not loaded.has_exit else "-"
        lines.append(
            f"{loaded.name} {loaded.size} {loaded.code.refcnt} {users} {loaded.state}"
            f" {loaded.address:#018x} ({OUT_OF_TREE})\n"
        )
    return "".join(lines).encode()


def module_names(machine: Machine) -> list[str]:
    return [loaded.name for loaded in _loaded(machine)]


def find_module(machine: Machine, name: str) -> Loaded | None:
    return next((loaded for loaded in _loaded(machine) if loaded.name == name), None)


def parameter_names(_machine: Machine, loaded: Loaded) -> list[str]:
    return [name for name, known in loaded.parameters.items() if known.mode]


def find_parameter(_machine: Machine, name: str, loaded: Loaded) -> str | None:
    known = loaded.parameters.get(name)
    return name if known is not None and known.mode else None


def has_parameters(machine: Machine, loaded: Loaded) -> bool:
    return bool(parameter_names(machine, loaded))


def parameter_mode(_machine: Machine, loaded: Loaded, name: str) -> int:
    return loaded.parameters[name].mode


def show_parameter(_machine: Machine, loaded: Loaded, name: str) -> bytes:
    return f"{loaded.parameters[name].show(getattr(loaded.code, name))}\n".encode()


def store_parameter(_machine: Machine, data: bytes, loaded: Loaded, name: str) -> None:
    """EINVAL: it is nothing of that type. EACCES: its mode lets nobody write."""
    known: Parameter = loaded.parameters[name]
    if not known.mode & 0o222:
        raise OSError(errno.EACCES, f"parameter {name} of {loaded.name} is read-only")
    text = data.decode("utf-8", "surrogateescape").removesuffix("\n")
    try:
        value = known.parse(text)
    except ValueError:
        raise OSError(errno.EINVAL, f"{text!r} is no value for {name}") from None
    setattr(loaded.code, name, value)


def show_refcnt(_machine: Machine, loaded: Loaded) -> bytes:
    return b"%d\n" % loaded.code.refcnt


def show_initstate(_machine: Machine, loaded: Loaded) -> bytes:
    return {"Live": b"live\n", "Loading": b"coming\n", "Unloading": b"going\n"}[loaded.state]


def show_taint(_machine: Machine, _loaded: Loaded) -> bytes:
    return f"{OUT_OF_TREE}\n".encode()


def show_coresize(_machine: Machine, loaded: Loaded) -> bytes:
    return b"%d\n" % loaded.size


def _loaded(machine: Machine) -> "Iterable[Loaded]":
    """None of it is imported by a machine that never had a module."""
    return machine.modules.by_name.values() if machine.kernel.modules else ()
