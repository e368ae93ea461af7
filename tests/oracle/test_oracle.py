"""Every recorded case of every recorded machine.

A machine is booted once and replays all its cases in the order in which they were recorded, as
scripts/oracle does, also those in pending.txt, which must fail: some cases show what those
before them left behind. So one case alone costs as much as all; to look into one, use:

    scripts/oracle --only TEXT MACHINE
"""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.oracle.runner import RECORDINGS, ROOT, Outcome, Recordings, booted, replay

pytestmark = [pytest.mark.mount, pytest.mark.slow, pytest.mark.timeout(900)]

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
# The variants that take most time, two minutes and more on a machine with other work: run them
# with -m variants.
LONG = ("q12", "q4-61", "q4-isol", "q4-nomsi", "q4-sparse")
CASES = [
    pytest.param(machine, case, marks=[pytest.mark.variants] if machine in LONG else [])
    for machine in WITH_PRESET
    for case in recorded_cases(machine)
]


@cache
def replayed(machine: str) -> dict[str, str]:
    """What each case printed otherwise than Linux did, "" if nothing; none if it cannot be run.

    The cases sleep for tenths of a second and expect something to have happened: where other
    programs keep both CPUs busy, that is sometimes too short. A real difference comes twice.
    """
    recordings, options = Recordings(), ("--timeout", str(CASE_TIMEOUT_S))
    found: dict[str, str] = {}
    with booted(machine) as mount:
        for outcome in replay(machine, mount, recordings, [recordings.cases], options):
            if isinstance(outcome, Outcome):
                found[outcome.case] = outcome.differences
        for case, differences in found.items():
            if not differences or (machine, case) in PENDING:
                continue
            script = recordings.cases / f"{case}.sh"
            again = list(replay(machine, mount, recordings, [script], options))
            found[case] = "" if Outcome(case, "") in again else differences
    return found


@pytest.mark.parametrize(("machine", "case"), CASES)
def test_case_prints_what_linux_printed(machine: str, case: str) -> None:
    differences = replayed(machine).get(case)
    if differences is None:
        pytest.skip("only root can run a part of this case as another user")
    if (machine, case) in PENDING:
        where = f"{machine} {case}"
        assert differences, f"{where} passes now: remove it from tests/oracle/pending.txt"
        pytest.xfail(PENDING[machine, case])
    assert not differences, differences


def test_every_pending_case_was_recorded() -> None:
    recorded = {(machine, case) for machine in MACHINES for case in [*recorded_cases(machine), "*"]}
    assert PENDING.keys() <= recorded


def test_only_machines_without_a_preset_are_pending_as_a_whole() -> None:
    whole = {machine for machine, case in PENDING if case == "*"}
    assert whole == set(MACHINES) - set(WITH_PRESET)
