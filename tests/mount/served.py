"""A real mount of a real machine that a thread of this process serves, to look behind the files."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import trio

from pseudokern.fs.tree import Tree
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from pseudokern.run.fuse_session import FuseSession
from pseudokern.run.pacer import Pacer
from tests.mount.booted import PATIENCE_S, Booted, take_away


class Served(Booted):
    """A machine that is up, and the objects behind it."""

    def __init__(self, directory: Path, preset: str) -> None:
        super().__init__(directory)
        description = load(preset)
        self.machine = Machine(description, description.seed)
        self.machine.clock.set_mode("wall")
        self.error: BaseException | None = None
        self._mounted = threading.Event()
        self._server = threading.Thread(target=self._run, daemon=True)
        self._server.start()
        assert self._mounted.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error

    def inside(self, function: Callable[[], object]) -> object:
        """Call function between two events of the simulation."""
        return trio.from_thread.run_sync(function, trio_token=self._token)

    def close(self) -> None:
        if self._server.is_alive():
            with suppress(trio.RunFinishedError):
                self.inside(self._session.unmount)
        self._server.join(PATIENCE_S)
        assert not self._server.is_alive()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            trio.run(self._serve)
        except BaseException as error:
            self.error = error
        self._mounted.set()

    async def _serve(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._session = FuseSession.mount(Tree(self.machine), self.directory, allow_other=True)
        pacer = Pacer(self.machine, self._session.poll)
        self._session.on_wake, self._session.on_write = pacer.catch_up, pacer.hurry
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pacer.run)
            self._mounted.set()
            await self._session.serve()
            nursery.cancel_scope.cancel()


@contextmanager
def served(directory: Path, preset: str) -> Iterator[Served]:
    directory.mkdir(exist_ok=True)
    try:
        machine = Served(directory, preset)
        try:
            yield machine
        finally:
            machine.close()
    finally:
        take_away(directory)
