"""Run a machine in a process of its own, and return once it is mounted.

The child leads a new session, so neither Ctrl-C nor the end of the terminal reaches it. It tells
its parent over a pipe how far it came; what it says later goes to a log file.
"""

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from pseudokern.run.mountpoint import MountError
from pseudokern.run.options import BootError

READY = b"ready"


def run_detached(
    directory: Path, run: Callable[[Callable[[], None]], None], *, orphan: bool = False
) -> None:
    """Call run(ready) in a child; return when it calls ready().

    orphan makes it somebody else's child: a program that this process becomes waits for children
    of its own, and would not know this one.

    BootError  run raised MountError or BootError, or ended too early
    """
    log = log_path(directory)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        if orphan and os.fork() != 0:
            os._exit(0)
        _run_child(writer, log, run)
    if orphan:
        os.waitpid(child, 0)
    os.close(writer)
    try:
        with os.fdopen(reader, "rb") as pipe:
            message = pipe.read()
    except KeyboardInterrupt:
        if not orphan:
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)
        raise
    if message == READY:
        return
    if not orphan:
        os.waitpid(child, 0)
    raise BootError(
        message.decode() or f"{directory}: the machine ended before it was mounted; see: {log}"
    )


def log_path(directory: Path) -> Path:
    """Where a detached machine on directory writes its log; XDG's place for such things."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    with suppress(FileNotFoundError):  # somebody has removed the directory that we are in
        directory = directory.absolute()
    name = "-".join(part for part in directory.parts if part != "/") or "root"
    return Path(state) / "pseudokern" / f"{name}.log"


def _run_child(writer: int, log: Path, run: Callable[[Callable[[], None]], None]) -> NoReturn:
    status = 1
    told = False

    def tell(message: bytes) -> None:
        nonlocal told
        if not told:
            told = True
            os.write(writer, message)
            os.close(writer)

    try:
        os.setsid()
        _redirect(log)
        run(lambda: tell(READY))
        status = 0
    except (MountError, BootError) as error:
        tell(str(error).encode())
        sys.stderr.write(f"{error}\n")
    except BaseException:
        traceback.print_exc()
    finally:
        # Not sys.exit(): whatever the parent had set up is the parent's to tear down.
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _redirect(log: Path) -> None:
    """Standard input from nowhere, both outputs to the log, or nowhere if there can be none."""
    # What the shell opened for others: whoever reads the other end would wait for us, too.
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):
            if descriptor > 2 and os.get_inheritable(descriptor):
                os.close(descriptor)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError:
        output = os.open(os.devnull, os.O_WRONLY)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(output)
    # What the parent had buffered is the parent's to print.
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
