"""However a run ends, nothing is mounted afterwards and the signals are as they were."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from pseudokern.machine.description import load
from pseudokern.run import mountpoint
from pseudokern.run.mountpoint import MountError
from pseudokern.run.options import BootError, BootOptions
from pseudokern.run.supervisor import SIGNALS, run_machine

pytestmark = pytest.mark.mount


@pytest.fixture
def options(tmp_path: Path) -> BootOptions:
    """A laptop that lives for a simulated millisecond."""
    place = tmp_path / "mountpoint"
    place.mkdir()
    description = load("laptop")
    return BootOptions(
        description=description,
        at=place,
        seed=description.seed,
        kernel=description.kernel,
        clock="free",
        for_ns=1_000_000,
        exit_when_done=True,
    )


@pytest.fixture(autouse=True)
def everything_as_before(options: BootOptions):
    handlers = [signal.getsignal(number) for number in SIGNALS]
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    yield
    assert [signal.getsignal(number) for number in SIGNALS] == handlers
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == blocked
    assert not mountpoint.is_mounted(options.at)


def run(options: BootOptions, when_ready: Callable[[], object] = lambda: None) -> None:
    run_machine(options, ready=when_ready)


def test_run_ends_when_its_time_is_over(options):
    run(options)
    assert os.listdir(options.at) == []


def test_ready_is_called_when_the_files_are_there(options):
    seen = []
    run(options, lambda: seen.append(mountpoint.is_mounted(options.at)))
    assert seen == [True]


@pytest.mark.parametrize("number", SIGNALS)
def test_signal_that_came_before_the_machine_was_ready_is_heard(options, number):
    forever = options._replace(for_ns=None, exit_when_done=False)
    run(forever, lambda: os.kill(os.getpid(), number))


def test_failure_of_whoever_waited_for_it_unmounts(options):
    def fail() -> None:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ExceptionGroup) as failed:
        run(options, fail)
    assert failed.group_contains(ZeroDivisionError, match="a bug")
    assert len(failed.value.exceptions) == 1


def test_directory_that_cannot_be_mounted_on_boots_nothing(options):
    (options.at / "thesis.tex").touch()
    with pytest.raises(MountError, match="is not empty"):
        run(options)


def test_journal_that_cannot_be_written_mounts_nothing(options, tmp_path):
    with pytest.raises(BootError, match="cannot be written"):
        run(options._replace(record=tmp_path / "nowhere/journal"))


def test_journal_that_cannot_be_read_mounts_nothing(options, tmp_path):
    with pytest.raises(BootError, match="cannot be read"):
        run(options._replace(replay=tmp_path / "journal"))
