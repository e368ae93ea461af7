"""Say what to boot and how to run it: all that the command line decided."""

from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from pseudokern.machine.description import Description

Clock: TypeAlias = Literal["wall", "free", "step"]


class BootError(Exception):
    """Why a machine cannot run, and what to do about it, in one line."""


class BootOptions(NamedTuple):
    """One run of one machine.

    at              where to mount, as the user wrote it
    speed           simulated seconds in one real one, for the wall clock
    for_ns          where the clock stops; None lets it run on
    exit_when_done  shut down there, instead of leaving the files readable until halt
    record, replay  a journal of writes from outside, to be written or fed back
    covers          at is in a mount namespace of its own: the mount may hide what is there
    lives_with      a pidfd: shut down when that process ends, however it ends
    """

    description: Description
    at: Path
    seed: int
    kernel: str
    clock: Clock = "wall"
    speed: float = 1.0
    for_ns: int | None = None
    exit_when_done: bool = False
    record: Path | None = None
    replay: Path | None = None
    covers: bool = False
    lives_with: int | None = None
