"""Find the function of an XDP program: ./drop.py:drop_small. The file is run anew each time."""

import errno
import inspect
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from pseudokern.drivers.place_of_error import line_of
from pseudokern.drivers.xdp import XdpFrame
from pseudokern.kernel.stack import USERS_DRIVERS

BUGS = (Exception, SystemExit, KeyboardInterrupt)  # what code of users may raise


class XdpProgram:
    """A function that was found, and where. run: the function itself."""

    __slots__ = ("name", "path", "run")

    def __init__(self, path: Path, name: str, run: Callable[[XdpFrame], object]) -> None:
        self.path = path
        self.name = name
        self.run = run

    def __str__(self) -> str:
        return f"{self.path}:{self.name}"

    def place_of(self, error: BaseException) -> str:
        """Where the program raised it, and what: one line."""
        line = line_of(error, self.path)
        return f"{self.path.name}:{line}: {type(error).__name__}: {error}".splitlines()[0]


def load_program(text: str, folder: Path) -> XdpProgram:
    """Run the file, from folder if its path is relative; the function in it.

    EINVAL  not written like FILE.py:FUNCTION, or the file has no such function of one argument,
            or it raises
    ENOENT  no such file
    """
    file, _, name = text.rpartition(":")
    if not file.endswith(".py") or not name.isidentifier():
        raise OSError(errno.EINVAL, "write it like ./drop.py:drop_small")
    path = (folder / file).resolve()
    if not path.is_file():
        raise OSError(errno.ENOENT, f"there is no file {path}")
    code = _run_file(path)
    function = vars(code).get(name)
    if not callable(function):
        raise OSError(errno.EINVAL, f"{path.name} has no function {name}")
    if inspect.iscoroutinefunction(function):
        raise OSError(errno.EINVAL, f"{name} is async, but runs in interrupt context; use def")
    try:
        inspect.signature(function).bind(None)
    except (TypeError, ValueError):
        raise OSError(errno.EINVAL, f"{name} must take one argument, the frame") from None
    return XdpProgram(path, name, function)


def _run_file(path: Path) -> ModuleType:
    spec = spec_from_file_location(f"{USERS_DRIVERS}{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    code = module_from_spec(spec)
    try:
        # Compiled here: no file of bytecode is left, nor used that is older than the text.
        exec(compile(path.read_bytes(), path, "exec"), vars(code))
    except BUGS as error:
        line = line_of(error, path)
        said = f"{path.name}:{line}: {type(error).__name__}: {error}".splitlines()[0]
        raise OSError(errno.EINVAL, said) from None
    return code
