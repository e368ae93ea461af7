"""Machines for tests that play the user: one shared by a file of tests, or one of their own."""

import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.mount.booted import Booted, booted

NOBODY = 65_534

# Another user who may read this Python, wherever it is installed, and nothing more.
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Detached machines write their logs below a directory of ours."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    """The default machine, running; tests put back what they change."""
    with booted(tmp_path_factory.mktemp("laptop"), "laptop") as machine:
        yield machine
        assert "Traceback" not in machine.log


@pytest.fixture
def boot(tmp_path: Path) -> Iterator[Callable[..., Booted]]:
    """Boot a machine of the test's own: boot("laptop", "--clock", "step"), boot(..., at="b")."""
    with ExitStack() as machines:

        def boot(
            machine: str | Path, *options: str, at: str = "mountpoint", **environment: str
        ) -> Booted:
            return machines.enter_context(booted(tmp_path / at, machine, *options, **environment))

        yield boot


@pytest.fixture
def public_place() -> Iterator[Path]:
    """A directory of nobody's in /tmp: pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        os.chown(directory, NOBODY, NOBODY)
        yield Path(directory)


@pytest.fixture
def as_nobody(tmp_path: Path) -> Callable[..., list[str]]:
    """Give what to put before a command to run it as an ordinary user who may open /dev/fuse.

    The device is another one in a mount namespace of its own, so that its mode on this machine
    does not matter and stays as it is.
    """

    def command(device_mode: int = 0o666) -> list[str]:
        device = tmp_path / f"fuse-{device_mode:o}"
        if not device.exists():
            number = os.stat("/dev/fuse").st_rdev
            os.mknod(device, stat.S_IFCHR | device_mode, number)
            os.chmod(device, device_mode)
        bind = f'mount --bind {device} /dev/fuse && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", bind, "sh", *AS_NOBODY]

    return command


@pytest.fixture
def as_user(as_nobody: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """The same for an ordinary user without any capability, who may read this Python all the same.

    A capability is of no use in a user namespace of one's own. So where Python stands below a
    directory that is closed to others, another directory with Python in it is put there, in that
    mount namespace.
    """
    python = Path(sys.base_prefix)
    closed = [each for each in python.parents if not each.stat().st_mode & stat.S_IXOTH]
    opening = ":"
    if closed:
        opening = (
            f"mount --bind {python} /mnt && mount -t tmpfs -o mode=755 tmpfs {closed[-1]}"
            f" && mkdir -p {python} && mount --move /mnt {python}"
        )

    def command(device_mode: int = 0o666) -> list[str]:
        mounting = as_nobody(device_mode)[: -len(AS_NOBODY)]
        user = [*AS_NOBODY[:4], "--inh-caps=-all"]
        return [*mounting, "sh", "-c", f'{opening} && exec "$@"', "sh", *user]

    return command
