"""Let one thread at a time into a piece of code; the others sleep.

Follows kernel/locking/mutex.c. Process context only: in any other, lock() gives the report of a
sleeping function, and takes the lock if it is free, as Linux does.
"""

from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from pseudokern.kernel.context import in_interrupt, preempt_count
from pseudokern.kernel.kthread import KEvent
from pseudokern.kernel.sleep import might_sleep, schedule_bug

if TYPE_CHECKING:
    from pseudokern.kernel.kernel import Kernel

MUTEX_LOCK = "kernel/locking/mutex.c:283"


class Mutex:
    """A sleeping lock: `await mutex.lock()`, and unlock() when it is done."""

    def __init__(self, kernel: "Kernel") -> None:
        self.is_locked = False
        self._kernel = kernel
        self._waiting: deque[KEvent] = deque()

    def lock(self) -> "MutexWait":
        """Await the result to have the lock. First come, first served."""
        kernel = self._kernel
        might_sleep(kernel, MUTEX_LOCK)
        if self.trylock():
            return MutexWait(None)
        if in_interrupt(kernel):
            schedule_bug(kernel, preempt_count(kernel))
            return MutexWait(None)
        event = KEvent()
        self._waiting.append(event)
        return MutexWait(event)

    def trylock(self) -> bool:
        """Take the lock if it is free; whether it was."""
        if self.is_locked:
            return False
        self.is_locked = True
        return True

    def unlock(self) -> None:
        """Hand the lock to the one who has waited longest."""
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self.is_locked = False


class MutexWait:
    """Await this until the lock is there."""

    __slots__ = ("_event",)

    def __init__(self, event: KEvent | None) -> None:
        self._event = event

    def __await__(self) -> Generator[Any, None, None]:
        if self._event is not None:
            yield from self._event.__await__()
