"""Every recorded case of every recorded machine that has a preset.

A case in pending.txt must fail, each on a machine of its own, so that what it
breaks reaches no other. All others share one machine, as in scripts/oracle.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oracle.runner import RECORDINGS, ROOT, Recordings, booted, replay

pytestmark = [pytest.mark.mount, pytest.mark.slow]

PRESETS = ROOT / "pseudokern/machine/presets"
CASE_TIMEOUT_S = 60


def _has_preset(machine: str) -> bool:
    return any((folder / f"{machine}.toml").exists() for folder in (PRESETS, PRESETS / "recorded"))


def recorded_cases(machine: str) -> list[str]:
    outputs = (RECORDINGS / "expected" / machine).glob("*/*.out")
    return sorted(str(Path(output.parent.name, output.stem)) for output in outputs)


MACHINES = sorted(machine.name for machine in (RECORDINGS / "machines").iterdir())
WITH_PRESET = [machine for machine in MACHINES if _has_preset(machine)]


def read_pending() -> dict[tuple[str, str], str]:
    """(machine, topic/case) -> reason. A machine without a preset stands with the case "*"."""
    pending: dict[tuple[str, str], str] = {}
    text = (Path(__file__).parent / "pending.txt").read_text()
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        entry = re.fullmatch(r"(\S+) (\S+) +# (.+)", line)
        assert entry, f"pending.txt: {line!r} is not MACHINE TOPIC/CASE  # REASON"
        named, case, reason = entry.groups()
        machines = [m for m in MACHINES if case in recorded_cases(m)] if named == "any" else [named]
        for machine in machines:
            if named == "any" and machine not in WITH_PRESET:
                continue
            where = f"pending.txt: {machine} {case}"
            assert (machine, case) not in pending, f"{where} stands there twice"
            pending[machine, case] = reason
    return pending


PENDING = read_pending()
# Here only the machine on which everything was recorded; the variants take ten minutes more and
# are run with: scripts/oracle NAME
CASES = [("q4", case) for case in recorded_cases("q4")]
REQUIRED = [each for each in CASES if each not in PENDING]
STILL_PENDING = [each for each in CASES if each in PENDING]


def differences(machine: str, mount: Path, case: str) -> str:
    """What the case prints otherwise than Linux did; "" if nothing."""
    script = Recordings().cases / f"{case}.sh"
    if os.geteuid() != 0 and re.search(r"^# needs:.*\bsetpriv\b", script.read_text(), re.M):
        pytest.skip("only root can run a part of a case as another user")
    options = ["--timeout", str(CASE_TIMEOUT_S)]
    command = replay(machine, mount, Recordings(), [script], options)
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode == 0:
        assert result.stdout.endswith("1 passed, 0 failed\n"), result.stdout + result.stderr
        return ""
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest) -> Iterator[tuple[str, Path]]:
    with booted(request.param) as mount:
        yield request.param, mount


@pytest.mark.parametrize(("machine", "case"), REQUIRED, indirect=["machine"])
def test_case_prints_what_linux_printed(machine: tuple[str, Path], case: str) -> None:
    name, mount = machine
    # The cases sleep for tenths of a second and expect something to have happened: where other
    # programs keep both CPUs busy, that is sometimes too short. A real difference comes twice.
    found = differences(name, mount, case) and differences(name, mount, case)
    assert not found, found


@pytest.mark.parametrize(("name", "case"), STILL_PENDING)
def test_pending_case_still_fails(name: str, case: str) -> None:
    with booted(name) as mount:
        found = differences(name, mount, case)
    assert found, f"{name} {case} passes now: remove it from tests/oracle/pending.txt"
    pytest.xfail(PENDING[name, case])


def test_every_pending_case_was_recorded() -> None:
    recorded = {(machine, case) for machine in MACHINES for case in [*recorded_cases(machine), "*"]}
    assert PENDING.keys() <= recorded


def test_only_machines_without_a_preset_are_pending_as_a_whole() -> None:
    whole = {machine for machine, case in PENDING if case == "*"}
    assert whole == set(MACHINES) - set(WITH_PRESET)
