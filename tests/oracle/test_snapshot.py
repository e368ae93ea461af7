"""A machine that was described from its recording replays its own cases as the preset does.

Only those on what can be seen of it: layout, directories, reading. Cases that show what others
before them left behind are left out, as none are replayed before here.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.oracle.runner import RECORDINGS, Outcome, Recordings, booted, replay
from tests.oracle.test_oracle import CASE_TIMEOUT_S, LONG, MACHINES, PENDING

pytestmark = [pytest.mark.mount, pytest.mark.slow, pytest.mark.timeout(600)]

TOPICS = ("layout", "sysfs", "irqdir", "affinity-read")
# The machine in its first state, as the snapshot has it, gives another output, on the preset too:
# lines that cases before these have moved, or freed after they had counted.
AFTER_OTHERS = {
    "q12": {"irqdir/010-values"},
    "q4-61": {
        "layout/002-device-rows",
        "layout/004-line-ends",
        "layout/005-widths",
        "layout/016-wc",
    },
    "q4-isol": {"irqdir/008-no-action", "irqdir/010-values"},
    "q4-sparse": {"irqdir/010-values"},
}


@pytest.mark.parametrize(
    "machine",
    [
        pytest.param(name, marks=[pytest.mark.variants] if name != "q4" else [])
        for name in sorted(MACHINES, key=lambda name: name in LONG)
    ],
)
def test_snapshot_of_a_recorded_machine_passes_its_own_cases(machine: str, tmp_path: Path) -> None:
    recorded = RECORDINGS / "machines" / machine / "snapshot"
    described = tmp_path / f"{machine}.toml"
    command = [sys.executable, "-m", "pseudokern", "snapshot", str(recorded / "t0")]
    command += ["--again", str(recorded / "t1"), "-o", str(described)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    topics = [RECORDINGS / "cases" / topic for topic in TOPICS]

    with booted(str(described)) as mount:
        options = ("--timeout", str(CASE_TIMEOUT_S))
        outcomes = [
            outcome
            for outcome in replay(machine, mount, Recordings(), topics, options)
            if isinstance(outcome, Outcome)
        ]

    known = AFTER_OTHERS.get(machine, set()) | {case for name, case in PENDING if name == machine}
    failed = {outcome.case: outcome.differences for outcome in outcomes if outcome.differences}
    assert failed.keys() <= known, [failed[case] for case in failed.keys() - known]
    assert len(outcomes) - len(failed) > 20
