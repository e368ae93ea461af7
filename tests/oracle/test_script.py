"""scripts/oracle itself, on cases that are made up here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.oracle.runner import ROOT

pytestmark = pytest.mark.mount


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """One case that passes and one that fails, in the layout of the recordings."""
    for name, script, output in (
        ("001-same", 'head -c 4 "$PROC/softirqs" | tr " " x', "xxxx-- exit 0\n"),
        ("002-other", "echo here", "recorded\n-- exit 0\n"),
    ):
        case = tmp_path / "cases/made-up" / f"{name}.sh"
        case.parent.mkdir(parents=True, exist_ok=True)
        case.write_text(f"{script}\n")
        expected = tmp_path / "expected/q4/made-up" / f"{name}.out"
        expected.parent.mkdir(parents=True, exist_ok=True)
        expected.write_text(output)
    return tmp_path


def run_oracle(*arguments: str | Path, tmpdir: str = "/tmp") -> subprocess.CompletedProcess[str]:
    runner = [sys.executable, str(ROOT / "tests/oracle/runner.py")]
    env = {**os.environ, "TMPDIR": tmpdir}
    command = [*runner, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env)


def test_failed_case_shows_the_difference_and_exits_with_1(recordings: Path) -> None:
    result = run_oracle("--cases", recordings / "cases", "q4", "made-up")

    assert result.returncode == 1
    assert "pass made-up/001-same\nFAIL made-up/002-other\n" in result.stdout
    assert "  -recorded\n  +here\n" in result.stdout
    assert result.stdout.endswith("\n1 passed, 1 failed\n")


def test_passed_cases_exit_with_0(recordings: Path) -> None:
    result = run_oracle("--cases", recordings / "cases", "--only", "same", "q4")

    assert result.returncode == 0
    assert result.stdout.endswith("1 passed, 0 failed\n")


def test_topic_that_is_not_there_is_refused_before_booting(recordings: Path) -> None:
    result = run_oracle("--cases", recordings / "cases", "q4", "affinty")

    assert result.returncode == 2
    assert result.stderr == f'oracle: no topic "affinty" in {recordings}/cases: made-up\n'


@pytest.mark.root
def test_cases_cannot_reach_the_network_of_this_computer(recordings: Path) -> None:
    """One of those recorded sets eth0 down, with a program that some computers have."""
    case = recordings / "cases/made-up/003-net.sh"
    case.write_text("readlink /proc/self/ns/net\n")
    (recordings / "expected/q4/made-up/003-net.out").write_text("another\n-- exit 0\n")

    result = run_oracle("--cases", recordings / "cases", "--only", "net", "q4")

    assert "  +net:[" in result.stdout
    assert os.readlink("/proc/self/ns/net") not in result.stdout


def test_nothing_stays_mounted_or_in_the_temporary_directory(recordings: Path) -> None:
    mounts = recordings / "mounts"
    mounts.mkdir()

    run_oracle("--cases", recordings / "cases", "q4", "made-up", tmpdir=str(mounts))

    assert list(mounts.iterdir()) == []
    assert str(mounts) not in Path("/proc/mounts").read_text()
