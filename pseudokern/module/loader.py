"""Find the class in a module's file. The file is run anew each time: it may have changed."""

import errno
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from pseudokern.drivers.place_of_error import line_of
from pseudokern.kernel.stack import USERS_MODULES
from pseudokern.module.core import BUGS
from pseudokern.module.module import Module


class LoadError(OSError):
    """ENOENT: no file. ENOEXEC: it is no module; said is the line for the kernel log."""

    def __init__(self, number: int, said: str) -> None:
        self.said = said
        super().__init__(number, said)


def module_name(path: Path) -> str:
    """As lsmod shows it: dashes are underscores."""
    return path.stem.replace("-", "_")


def load_class(path: Path) -> type[Module]:
    """Run the file; the one class in it that is a Module. LoadError: there is none."""
    name = module_name(path)
    python_name = USERS_MODULES + name
    if not path.is_file():
        raise LoadError(errno.ENOENT, f"{name}: there is no file {path}")
    spec = spec_from_file_location(python_name, path)
    if spec is None or spec.loader is None or not name.isidentifier():
        raise LoadError(errno.ENOEXEC, f"{name}: {path.name} is no name for a module, use NAME.py")
    code = module_from_spec(spec)
    sys.modules[python_name] = code
    keep_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(code)
    except BaseException as error:
        forget(name)
        if not isinstance(error, BUGS):
            raise
        what = f"{type(error).__name__}: {error}"
        raise LoadError(
            errno.ENOEXEC, f"{name}: {path.name}:{line_of(error, path)}: {what}"
        ) from None
    finally:
        sys.dont_write_bytecode = keep_bytecode
    found = [
        value
        for value in vars(code).values()
        if isinstance(value, type)
        and issubclass(value, Module)
        and value.__module__ == python_name
        and not value.__name__.startswith("_")
    ]
    if len(found) != 1:
        forget(name)
        what = f"{len(found)} classes that are a Module, not one"
        raise LoadError(errno.ENOEXEC, f"{name}: {path.name} has {what}")
    return found[0]


def forget(name: str) -> None:
    """The code of a module that is not loaded any more."""
    sys.modules.pop(USERS_MODULES + name, None)
