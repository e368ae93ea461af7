"""A real mount of a toy tree, served by a thread of its own while the test plays the user."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import trio

from pseudokern.run import libfuse, mountpoint
from pseudokern.run.fuse_session import FuseSession
from tests.run.toy_tree import ToyTree

PATIENCE_S = 20  # when a test would hang; nothing is measured


class Mount:
    """A mounted toy tree and what a user does with it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.tree = ToyTree()
        self._mounted = threading.Event()
        self._error: BaseException | None = None
        self._server = threading.Thread(target=self._run, daemon=True)
        self._server.start()
        assert self._mounted.wait(PATIENCE_S)
        if self._error is not None:
            raise self._error
        # From its first close on the kernel sends no flush. One from a child of this process would
        # wait for our thread, which waits for the interpreter, which waits for the child.
        with open(directory / "digits"):
            pass

    def __truediv__(self, name: str) -> Path:
        return self.directory / name

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run command with bash; $M is the mount."""
        return subprocess.run(
            ["bash", "-c", command],
            check=False,
            env={"M": str(self.directory), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    def start(self, *command: str | Path) -> "subprocess.Popen[str]":
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def inside(self, function: Callable[[], object]) -> object:
        """Call function in the thread that serves, as the simulation does."""
        return trio.from_thread.run_sync(function, trio_token=self._token)

    def wait_for_reader(self, count: int = 1) -> None:
        """Return when count requests have come to the queue in all."""
        while len(self.tree.queue.waiting) < count:
            assert self._server.is_alive()

    def wait_for_end(self) -> None:
        self._server.join(PATIENCE_S)
        assert not self._server.is_alive()

    def close(self) -> None:
        if self._server.is_alive():
            with suppress(trio.RunFinishedError):
                self.inside(self.session.unmount)
        self.wait_for_end()

    def _run(self) -> None:
        try:
            trio.run(self._serve)
        except BaseException as error:
            self._error = error
        self._mounted.set()

    async def _serve(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self.session = FuseSession.mount(self.tree, self.directory, allow_other=True)
        self._mounted.set()
        await self.session.serve()


@pytest.fixture(scope="session")
def fuse() -> None:
    """Skips what needs FUSE where there is none."""
    try:
        mountpoint.check_fuse()
        libfuse.load()
    except mountpoint.MountError as error:
        pytest.skip(f"this machine cannot mount: {error}")


@contextmanager
def mounted(directory: Path) -> Iterator[Mount]:
    directory.mkdir(exist_ok=True)
    mount = Mount(directory)
    try:
        yield mount
    finally:
        mount.close()


@pytest.fixture
def mount_on(fuse: None) -> Iterator[Callable[[Path], Mount]]:
    """Mount a toy tree on a directory of the test's choice."""
    with ExitStack() as mounts:
        yield lambda directory: mounts.enter_context(mounted(directory))


@pytest.fixture
def mount(tmp_path: Path, mount_on: Callable[[Path], Mount]) -> Mount:
    return mount_on(tmp_path / "mountpoint")


@pytest.fixture
def second_mount(tmp_path: Path, mount_on: Callable[[Path], Mount]) -> Mount:
    return mount_on(tmp_path / "second")
