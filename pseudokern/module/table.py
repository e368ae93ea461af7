"""Load modules, unload them, and keep the list of those that are there.

Follows kernel/module/main.c: load_module(), do_init_module(), delete_module(2), and
kernel/module/procfs.c.

Where Linux would leave a mess, this does not: a module whose init() raises is taken out again,
with all that it had got, and what exit() forgets is told of and given back.
"""

import errno
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from inspect import iscoroutine
from pathlib import Path
from typing import Any

from pseudokern.kernel.kthread import KThread, KThreads
from pseudokern.kernel.oops import oops
from pseudokern.kernel.printk import Level
from pseudokern.kernel.warn import warn
from pseudokern.module.core import BUGS, Core, Owned, users_part
from pseudokern.module.loader import LoadError, forget, load_class, module_name
from pseudokern.module.module import Module
from pseudokern.module.parameters import BadValueError, Parameter, parameters_of, read_arguments
from pseudokern.sim.alarm import Alarm
from pseudokern.sim.completion import Completion
from pseudokern.x86.pc import Pc

PAGE_SIZE = 4096
EMPTY_PAGES = 4  # text, read-only data, data and the rest have pages of their own
MODULES_VADDR = 0xFFFFFFFFC0000000
OUT_OF_TREE = "O"
WAIT_NS = 1_000_000  # between two looks whether what was told to end has ended


@dataclass
class Program:
    """insmod or rmmod, as reports name the task that runs."""

    pid: int
    comm: str

    def delay(self, duration_ns: int) -> None:
        """Nobody waits for the time that it computes: it runs between two events."""


class Loaded:
    """A module that is loaded; struct module. state: Loading, Live or Unloading."""

    def __init__(
        self, code: Module, parameters: dict[str, Parameter], address: int, size: int
    ) -> None:
        self.code = code
        self.parameters = parameters
        self.address = address
        self.size = size
        self.state = "Loading"

    @property
    def name(self) -> str:
        return self.code.name

    @property
    def has_exit(self) -> bool:
        return type(self.code).exit is not Module.exit


class Modules:
    """Every loaded module, the newest first."""

    def __init__(self, pc: Pc, threads: KThreads) -> None:
        self.by_name: dict[str, Loaded] = {}
        self._pc = pc
        self._kernel = pc.kernel
        self._threads = threads
        self._tasklets = pc.tasklets
        self._workqueues = pc.workqueues
        self._next_address = MODULES_VADDR

    def load(self, path: Path, arguments: list[str]) -> Completion | None:
        """Load a file and call its init(). A Completion, if that sleeps.

        ENOENT   there is no file
        ENOEXEC  it is no module; the log says why
        EEXIST   a module of that name is loaded
        EINVAL   a parameter has no such value; the log says which
        EFAULT   init() raised an exception; the log has an oops
        else what init() answers
        """
        name = module_name(path)
        if name in self.by_name:
            raise OSError(errno.EEXIST, f"module {name} is loaded")
        try:
            module_class = load_class(path)
            parameters = parameters_of(module_class, Module)
        except LoadError as error:
            self._log(Level.ERR, error.said)
            raise
        except (TypeError, NameError) as error:
            forget(name)
            self._log(Level.ERR, f"{name}: {error}")
            raise OSError(errno.ENOEXEC, str(error)) from None
        self._taint(name)
        try:
            values, unknown = read_arguments(parameters, arguments)
        except BadValueError as error:
            forget(name)
            self._log(Level.ERR, f"{name}: {error.said}")
            raise
        for word in unknown:
            self._log(Level.WARNING, f"{name}: unknown parameter '{word}' ignored")
        code = module_class(self._pc, self._threads, name, self._oops)
        for word, value in values.items():
            setattr(code, word, value)
        loaded = self._add(code, parameters, path)
        return self._call(
            "insmod", code, code.init, lambda failed: self._init_ended(loaded, failed)
        )

    def unload(self, name: str) -> Completion | None:
        """Call exit() and take the module out. A Completion, if that has to wait.

        ENOENT       there is no such module
        EWOULDBLOCK  somebody uses it
        EBUSY        it is being loaded or unloaded, or has no exit()
        """
        loaded = self.by_name.get(name.replace("-", "_"))
        if loaded is None:
            raise OSError(errno.ENOENT, f"module {name} is not loaded")
        if loaded.state != "Live" or not loaded.has_exit:
            raise OSError(errno.EBUSY, f"module {name} cannot be unloaded: {loaded.state}")
        if loaded.code.refcnt:
            raise OSError(errno.EWOULDBLOCK, f"module {name} is in use")
        loaded.state = "Unloading"
        code = loaded.code
        return self._call("rmmod", code, code.exit, lambda _failed: self._exit_ended(loaded))

    def _call(
        self,
        comm: str,
        code: Module,
        function: Callable[[], Any],
        ended: Callable[[OSError | None], Completion | None],
    ) -> Completion | None:
        """Call init() or exit() as a program would; ended(error) when it is over.

        If it sleeps, a thread goes on with it, and the Completion is its end.
        """
        this = self._kernel.this
        outer, this.current = this.current, Program(self._threads.take_pid(), comm)
        failed: OSError | None = None
        answer: object = None
        try:
            answer = function()
        except BUGS as error:
            failed = self._failure(code, error)
        finally:
            this.current = outer
        if iscoroutine(answer):
            return self._go_on(comm, code, answer, ended)
        return _finish(ended(failed or _refusal(answer)))

    def _go_on(
        self,
        comm: str,
        code: Module,
        coroutine: Coroutine[Any, Any, object],
        ended: Callable[[OSError | None], Completion | None],
    ) -> Completion | None:
        done = Completion()

        async def run() -> None:
            failed: OSError | None = None
            answer: object = None
            try:
                answer = await coroutine
            except BUGS as error:
                failed = self._failure(code, error)
            try:
                later = ended(failed or _refusal(answer))
            except OSError as error:
                done.fail(error)
                return
            if later is None:
                done.complete()
            else:
                later.on_done(done.complete)

        thread: KThread = self._threads.create(comm, run())
        thread.run_now()
        return _finish(done)

    def _failure(self, code: Module, error: BaseException) -> OSError:
        """An OSError is an answer; anything else is a bug."""
        if isinstance(error, OSError) and error.errno:
            return error
        self._oops(code, users_part(error))
        return OSError(errno.EFAULT, f"{code.name}: {error!r}")

    def _init_ended(self, loaded: Loaded, failed: OSError | None) -> None:
        if failed is not None:
            what = f"init() failed with error {-(failed.errno or 0)}: {failed.strerror}"
            self._log(Level.ERR, f"{loaded.name}: {what}")
            loaded.code.take_what_is_left()
            self._remove(loaded)
            raise failed
        loaded.state = "Live"

    def _exit_ended(self, loaded: Loaded) -> Completion | None:
        if not loaded.code.is_waited_for():
            self._finish_unload(loaded)
            return None
        done = Completion()
        timeline = self._kernel.timeline

        def look() -> None:
            if loaded.code.is_waited_for():
                alarm.set(timeline.now_ns + WAIT_NS)
            else:
                self._finish_unload(loaded)
                done.complete()

        alarm = Alarm(timeline, look)
        alarm.set(timeline.now_ns + WAIT_NS)
        return done

    def _finish_unload(self, loaded: Loaded) -> None:
        for owned in loaded.code.take_what_is_left():
            self._tell_of_leak(loaded, owned)
        self._remove(loaded)

    def _tell_of_leak(self, loaded: Loaded, owned: Owned) -> None:
        if owned.is_debug_object:
            what = f"ODEBUG: free active (active state 0) object type: {owned.what}"
            warn(self._kernel, "lib/debugobjects.c:514", f"{what} [{loaded.name}]")
        text = f"{loaded.name}: exit() has left {owned.what}; call {owned.give_back} there"
        self._log(Level.ERR, text)

    def _add(self, code: Module, parameters: dict[str, Parameter], path: Path) -> Loaded:
        pages = EMPTY_PAGES + path.stat().st_size // PAGE_SIZE
        address = self._next_address
        self._next_address += (pages + 1) * PAGE_SIZE  # and a guard page
        loaded = Loaded(code, parameters, address, pages * PAGE_SIZE)
        self.by_name = {code.name: loaded, **self.by_name}
        self._name_modules()
        return loaded

    def _remove(self, loaded: Loaded) -> None:
        del self.by_name[loaded.name]
        forget(loaded.name)
        self._name_modules()

    def _name_modules(self) -> None:
        self._kernel.modules[:] = [f"{name}({OUT_OF_TREE})" for name in self.by_name]

    def _taint(self, name: str) -> None:
        if OUT_OF_TREE not in self._kernel.taint:
            self._log(Level.WARNING, f"{name}: loading out-of-tree module taints kernel.")
            self._kernel.taint.add(OUT_OF_TREE)

    def _oops(self, _code: Core, error: BaseException) -> None:
        oops(self._kernel, error)

    def _log(self, level: Level, text: str) -> None:
        self._kernel.log.printk(level, text)


def _refusal(answer: object) -> OSError | None:
    """init() may say no as it does in C."""
    if isinstance(answer, int) and answer < 0:
        return OSError(-answer, f"init() returned {answer}")
    return None


def _finish(later: Completion | None) -> Completion | None:
    """What is done already need not be waited for."""
    if later is None or not later.done:
        return later
    if later.error is not None:
        raise later.error
    return None
