"""Boot a recorded machine, replay recordings of real Linux on it, halt.

scripts/oracle runs this. The comparing is done by recordings/replay, which came
with the recordings and is kept as it was; this only gives it a machine. A case
that differs, and prints the directory of the mount where Linux printed /proc, is
run once more by `pseudokern enter`, for which the machine is /proc itself; and one
that differs, and was recorded in another order, once more in that order.
"""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = Path(__file__).resolve().parent / "recordings"
HALT_TIMEOUT_S = 30
PSEUDOKERN = [sys.executable, "-m", "pseudokern"]
# Cases that show what another left behind, where the recording had another order than the names.
# The mask of managed/004 on q4-nomsi is that of boot, and its line is on CPU 0, where hotplug/008
# leaves all lines; in the order of the names managed/002 sets the mask in between.
RECORDED_AFTER = {("q4-nomsi", "managed/004-effective"): "hotplug/008-last-cpu"}
TALLY = re.compile(r"\d+ passed, \d+ failed")


@dataclass(frozen=True)
class Recordings:
    """Where cases, the output that Linux gave, and the cases' shell library lie."""

    cases: Path = RECORDINGS / "cases"
    expected: Path = RECORDINGS / "expected"
    lib: Path = RECORDINGS / "lib"

    @classmethod
    def beside(cls, cases: Path, expected: Path | None) -> "Recordings":
        """Those of a directory of cases; what does not lie beside it is the repository's."""

        def sibling(name: str) -> Path:
            found = cases.parent / name
            return found if found.is_dir() else RECORDINGS / name

        return cls(cases, expected or sibling("expected"), sibling("lib"))

    def topics(self) -> list[str]:
        return sorted(topic.name for topic in self.cases.iterdir() if topic.is_dir())


@contextlib.contextmanager
def booted(machine: str) -> Iterator[Path]:
    """Boot machine on a directory of its own, and halt it however the block ends."""
    mount = Path(tempfile.mkdtemp(prefix=f"pseudokern-{Path(machine).stem}-"))
    mount.chmod(0o755)  # the cases of topic nonroot walk through it as user 1000
    try:
        boot = [*PSEUDOKERN, "boot", machine, "--at", str(mount), "--detach"]
        subprocess.run(boot, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        yield mount
    finally:
        halt = subprocess.run(
            [*PSEUDOKERN, "halt", "--at", str(mount)],
            capture_output=True,
            text=True,
            timeout=HALT_TIMEOUT_S,
        )
        try:
            mount.rmdir()
        except OSError as error:
            why = (halt.stderr or halt.stdout).strip() or error.strerror
            raise SystemExit(f"oracle: {mount} is left behind: {why}") from error


class Outcome(NamedTuple):
    """What became of a case; differences is empty if it printed what Linux printed."""

    case: str
    differences: str


def replay(
    machine: str, mount: Path, recordings: Recordings, cases: list[Path], options: Iterable[str]
) -> Iterator[Outcome | str]:
    """Run cases on the machine mounted there, in order; a str is a remark on all of them."""
    for outcome in _replay(machine, mount, recordings, cases, options, inside=False):
        if isinstance(outcome, Outcome) and outcome.differences:
            yield _as_recorded(machine, mount, recordings, outcome, options)
        else:
            yield outcome


def _as_recorded(
    machine: str, mount: Path, recordings: Recordings, outcome: Outcome, options: Iterable[str]
) -> Outcome:
    """A case that differs once more, nearer to how it was recorded, if it was not near before."""
    scripts = [recordings.cases / f"{outcome.case}.sh"]
    outcomes: Iterable[Outcome | str] = ()
    if str(mount) in outcome.differences:
        outcomes = list(_replay(machine, mount, recordings, scripts, options, inside=True))
    elif before := RECORDED_AFTER.get((machine, outcome.case)):
        scripts.insert(0, recordings.cases / f"{before}.sh")
        with booted(machine) as other:
            outcomes = list(_replay(machine, other, recordings, scripts, options, inside=False))
    same = Outcome(outcome.case, "")
    return same if same in outcomes else outcome


def _replay(
    machine: str,
    mount: Path,
    recordings: Recordings,
    cases: list[Path],
    options: Iterable[str],
    *,
    inside: bool,
) -> Iterator[Outcome | str]:
    root = Path("/") if inside else mount
    enter = [*PSEUDOKERN, "enter", "--at", str(mount), "--"] if inside else []
    # What a case does to interfaces, where root could, it does to none of this computer.
    alone = ["unshare", "--net", "--"] if os.geteuid() == 0 else []
    command = [
        *(*alone, *enter, sys.executable, str(RECORDINGS / "replay")),
        *("--machine", machine),
        *("--proc", str(root / "proc"), "--sys", str(root / "sys")),
        *("--irqctl", str(ROOT / "scripts/irqctl"), "--klog", str(ROOT / "scripts/klog")),
        *("--expected", str(recordings.expected), "--lib", str(recordings.lib)),
        *options,
    ]
    if os.geteuid() != 0:
        command += ["--skip", "setpriv"]  # only root can become another user
    command += [str(case) for case in cases]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        yield from _read_outcomes(process.stdout)


def _read_outcomes(lines: Iterable[str]) -> Iterator[Outcome | str]:
    """What recordings/replay prints, case by case."""
    case, differences = "", ""
    for line in lines:
        if case and line.startswith("  "):
            differences += line
            continue
        if case:
            yield Outcome(case, differences)
        word, _, name = line.rstrip("\n").partition(" ")
        case, differences = name if word == "FAIL" else "", ""
        if word == "pass":
            yield Outcome(name, "")
        elif word != "FAIL" and not TALLY.fullmatch(line.rstrip("\n")):
            yield line.rstrip("\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/oracle",
        description="Replay recordings of real Linux on a booted machine.",
        epilog='The last line is "N passed, N failed"; the exit status is 1 if a case failed.',
    )
    parser.add_argument("machine", metavar="MACHINE", help="a preset's name, or a file")
    parser.add_argument(
        "--like", metavar="NAME", help="compare with this recorded machine; default: MACHINE"
    )
    parser.add_argument("topics", metavar="TOPIC", nargs="*", help="directories of cases; all")
    parser.add_argument("--cases", metavar="DIR", type=Path, help="where the cases are")
    parser.add_argument("--expected", metavar="DIR", type=Path, help="what Linux printed")
    parser.add_argument("--only", metavar="TEXT", help="only cases with TEXT in topic/name")
    parser.add_argument("--timeout", metavar="SECONDS", help="for one case; default 120")
    parser.add_argument("--quiet", action="store_true", help="names of failures, no differences")
    return parser.parse_intermixed_args()


def main() -> int:
    arguments = parse_arguments()
    recordings = Recordings()
    if arguments.cases is not None:
        expected = arguments.expected and arguments.expected.resolve()
        recordings = Recordings.beside(arguments.cases.resolve(), expected)
    elif arguments.expected is not None:
        recordings = Recordings(expected=arguments.expected.resolve())
    for directory in (recordings.cases, recordings.expected):
        if not directory.is_dir():
            print(f"oracle: there is no directory {directory}", file=sys.stderr)
            return 2
    for topic in arguments.topics:
        if not (recordings.cases / topic).is_dir():
            there = ", ".join(recordings.topics())
            print(f'oracle: no topic "{topic}" in {recordings.cases}: {there}', file=sys.stderr)
            return 2

    options = []
    if arguments.only is not None:
        options += ["--only", arguments.only]
    if arguments.timeout is not None:
        options += ["--timeout", arguments.timeout]
    cases = [recordings.cases / topic for topic in arguments.topics] or [recordings.cases]
    passed = failed = 0
    with booted(arguments.machine) as mount:
        like = arguments.like or Path(arguments.machine).stem
        for outcome in replay(like, mount, recordings, cases, options):
            if isinstance(outcome, str):
                print(outcome)
                continue
            passed += not outcome.differences
            failed += bool(outcome.differences)
            print("FAIL" if outcome.differences else "pass", outcome.case, flush=True)
            if not arguments.quiet:
                print(outcome.differences, end="", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    for stop in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, lambda number, frame: sys.exit(128 + number))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except subprocess.CalledProcessError as failed:
        sys.exit(failed.returncode)  # boot has said why
