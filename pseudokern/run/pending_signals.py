"""Say whether a program that waits in a write is to be let go because of a signal.

On Linux a write to such a file waits uninterruptibly, or until the program is killed. FUSE tells
us of any signal instead, so that a shell whose child ends would lose its write. It does not say
which signal it is, but that is still pending while the program waits: proc_pid_status(5).
"""

import signal
from collections.abc import Callable
from pathlib import Path

import trio

LOOK_S = 0.05  # how long a program that is killed may have to wait


def _mask(*signals: signal.Signals) -> int:
    return sum(1 << number - 1 for number in signals)


# What does nothing to a program that has said nothing of it, or stops it.
_HARMLESS = _mask(
    signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH,
    signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGSTOP,
)  # fmt: skip
# By these people end programs: `echo 1h > clock/advance` in a shell, which catches SIGINT.
_ASKS_TO_END = _mask(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def is_to_end(pid: int) -> bool:
    """Whether a signal is pending for this thread that kills it, or asks it to end."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        fields = {name: value for name, _, value in (line.partition(":") for line in lines)}
        pending, shared, blocked, ignored, caught = (
            int(fields[name], 16) for name in ("SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt")
        )
    except (OSError, KeyError):
        return True  # it is gone, or in another PID namespace, where nobody can look
    heard = (pending | shared) & ~blocked & ~ignored
    return bool(heard & (~caught & ~_HARMLESS | _ASKS_TO_END))


async def wait_for_end(pid: int, waits: Callable[[], bool]) -> bool:
    """Look again and again, as FUSE tells of the first signal only; False: it waits no more."""
    while waits():
        if is_to_end(pid):
            return True
        await trio.sleep(LOOK_S)
    return False
