"""Be a kernel module: what a user's class inherits."""

from collections.abc import Coroutine
from typing import Any, ClassVar

from pseudokern.module.context import Contexts
from pseudokern.module.interrupts import Interrupts
from pseudokern.module.proc_files import ProcFiles
from pseudokern.module.timers import Timers
from pseudokern.module.work import BottomHalves


class Module(Timers, Interrupts, BottomHalves, ProcFiles, Contexts):
    """A module. init() is called when it is loaded, exit() before it is unloaded.

    Annotated attributes with a default are its parameters. Both functions run in process context;
    as `async def` they may sleep, and insmod or rmmod waits for them.

    init() refuses to load by raising OSError(errno, why), or by returning -errno. A module without
    exit() cannot be unloaded.
    """

    LICENSE: ClassVar[str] = "GPL"
    DESCRIPTION: ClassVar[str] = ""

    def init(self) -> int | Coroutine[Any, Any, int | None] | None:
        """Request, arm and make what the module needs."""
        return 0

    def exit(self) -> Coroutine[Any, Any, None] | None:
        """Give back all of that."""
        return None
