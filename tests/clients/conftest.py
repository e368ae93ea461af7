"""Run the programs of others, unmodified, on a machine of ours: as root and as an ordinary user."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mount import conftest as mount

SERVER = Path(__file__).with_name("server.toml")
PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
PATIENCE_S = 60

state_home = mount.state_home
public_place = mount.public_place
as_nobody = mount.as_nobody
as_user = mount.as_user

Inside = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker in item.iter_markers("clients"):
            for program, package in marker.kwargs.items():
                name = program.replace("_", "-")
                if shutil.which(name, path=PATH) is None:
                    reason = f"CLIENT TESTS DO NOT RUN: no {name}; apt-get install {package}"
                    item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(params=["root", "user"])
def inside(
    request: pytest.FixtureRequest, public_place: Path, as_user: Callable[..., list[str]]
) -> Inside:
    """Run a bash script inside the server, or another machine, with options of boot."""
    before = as_user() if request.param == "user" else []

    def run(
        script: str, *options: str, machine: str | Path = SERVER
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *before,
                *(sys.executable, "-m", "pseudokern", "run", machine, *options),
                *("--", "bash", "-c", script),
            ],
            check=False,
            env={
                "PATH": PATH,
                "LC_ALL": "C",
                "HOME": str(public_place),
                "XDG_STATE_HOME": str(public_place),
                "TERM": "dumb",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    return run


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """The server in a directory, its clock standing still after two seconds."""
    machine = tmp_path / "mountpoint"
    machine.mkdir()
    pseudokern = f"{shlex.quote(sys.executable)} -m pseudokern"
    script = f"""
        {pseudokern} boot {SERVER} --at {machine} --clock step --detach > /dev/null &&
        echo 2s > {machine}/sys/kernel/debug/pseudokern/clock/advance
    """
    subprocess.run(["sh", "-c", script], check=True, timeout=PATIENCE_S)
    try:
        yield machine
    finally:
        subprocess.run(["sh", "-c", f"{pseudokern} halt --at {machine}"], check=True)
