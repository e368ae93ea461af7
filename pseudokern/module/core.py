"""Hold what every part of a module stands on: the kernel, the log, what the module owns.

Everything that a module gets from the kernel is noted. What exit() does not give back is told of
and taken: Linux would crash later.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.kthread import KThread, KThreads
from pseudokern.kernel.printk import Level
from pseudokern.x86.pc import Pc

P = ParamSpec("P")
T = TypeVar("T")

_OURS = "pseudokern.module."

# What a module's code may raise without ending the machine: sys.exit() is one more bug there.
BUGS = (Exception, SystemExit, KeyboardInterrupt)

Report = Callable[["Core", BaseException], None]


@dataclass(frozen=True, slots=True)
class Owned:
    """Something that the module has. what: as a report names it; give_back: who should have.

    is_debug_object  ODEBUG knows it: Linux says so itself, if it is built with that
    """

    thing: object
    what: str
    give_back: str
    is_held: Callable[[], bool]
    take: Callable[[], object]
    is_debug_object: bool = False


class Core:
    """name: the module's, as lsmod shows it. pc and kernel are the machine's own objects."""

    def __init__(self, pc: Pc, threads: KThreads, name: str, report: Report) -> None:
        self.pc = pc
        self.kernel: Kernel = pc.kernel
        self.name = name
        self.refcnt = 0
        self._threads = threads
        self._owned: list[Owned] = []
        self._stopping: dict[KThread, None] = {}
        self._report = report

    @property
    def HZ(self) -> int:
        """Ticks a second."""
        return self.kernel.hz

    @property
    def jiffies(self) -> int:
        """Ticks since boot."""
        return self.kernel.jiffies

    def msecs_to_jiffies(self, duration_ms: int) -> int:
        """Rounded up: a timer is never early."""
        return -(-duration_ms * self.kernel.hz // 1000)

    def ktime_get_ns(self) -> int:
        """Nanoseconds since boot."""
        return self.kernel.timeline.now_ns

    def smp_processor_id(self) -> int:
        """The CPU that runs this."""
        return self.kernel.this.cpu

    def printk(self, level: Level, text: str) -> None:
        """Log a line. The pr_ functions put the module's name before it, as pr_fmt() does."""
        self.kernel.log.printk(level, text)

    def pr_err(self, text: str) -> None:
        self.printk(Level.ERR, f"{self.name}: {text}")

    def pr_warn(self, text: str) -> None:
        self.printk(Level.WARNING, f"{self.name}: {text}")

    def pr_notice(self, text: str) -> None:
        self.printk(Level.NOTICE, f"{self.name}: {text}")

    def pr_info(self, text: str) -> None:
        self.printk(Level.INFO, f"{self.name}: {text}")

    def pr_debug(self, text: str) -> None:
        self.printk(Level.DEBUG, f"{self.name}: {text}")

    def try_module_get(self) -> bool:
        """Keep the module from being unloaded, until module_put()."""
        self.refcnt += 1
        return True

    def module_put(self) -> None:
        """Undo one try_module_get()."""
        self.refcnt -= 1

    def guarded(self, function: Callable[P, T], otherwise: T) -> Callable[P, T]:
        """function, or `otherwise` if it raises: then the log has an oops; the machine goes on."""

        def call(*arguments: P.args, **words: P.kwargs) -> T:
            try:
                return function(*arguments, **words)
            except BUGS as error:
                self._report(self, users_part(error))
                return otherwise

        # Functions take any attribute, which typeshed does not know.
        call.symbol = f"{symbol_name(function)} [{self.name}]"  # type: ignore[attr-defined]
        return call

    async def guarded_await(self, awaitable: Awaitable[Any]) -> None:
        """The same for what may sleep."""
        try:
            await awaitable
        except BUGS as error:
            self._report(self, users_part(error))

    def own(self, owned: Owned) -> None:
        """Note what the module has got."""
        self._owned.append(owned)

    def disown(self, thing: object) -> None:
        """It has given it back."""
        self._owned = [owned for owned in self._owned if owned.thing is not thing]

    def owns(self, thing: object) -> bool:
        return any(owned.thing is thing for owned in self._owned)

    def take_what_is_left(self) -> list[Owned]:
        """Give everything back; what exit() should have given back, the last first."""
        left = [owned for owned in reversed(self._owned) if owned.is_held()]
        for owned in left:
            owned.take()
        self._owned = []
        return left


def users_part(error: BaseException) -> BaseException:
    """The error without the calls between the kernel and the user's code."""
    step = error.__traceback__
    while step is not None and step.tb_frame.f_globals.get("__name__", "").startswith(_OURS):
        step = step.tb_next
    return error.with_traceback(step or error.__traceback__)


def symbol_name(function: object) -> str:
    """The name of a function as a stack dump has it."""
    name: str = getattr(function, "__name__", type(function).__name__)
    return name
