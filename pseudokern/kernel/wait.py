"""Wait for something: completions and wait queues of kernel threads.

Follows kernel/sched/completion.c and kernel/sched/wait.c. All waiting is `await`: from a kernel
thread, a work item, a thread function.
"""

from collections.abc import Callable

from pseudokern.kernel.kthread import KEvent


class WaitQueue:
    """Who waits, and is woken in that order; wait_queue_head_t."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[KEvent] = []

    def wake_up(self) -> None:
        """wake_up(): all who wait look at their condition again. From any context."""
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            event.set()

    def wake_up_one(self) -> None:
        """The one who has waited longest goes on."""
        if self._waiting:
            self._waiting.pop(0).set()

    async def wait(self) -> None:
        """Until somebody wakes this queue, or this thread."""
        event = KEvent()
        self._waiting.append(event)
        await event
        if event in self._waiting:
            self._waiting.remove(event)

    async def wait_event(self, condition: Callable[[], bool]) -> None:
        """wait_event(): until condition() is true; it is asked anew after every wake-up."""
        while not condition():
            await self.wait()


class Completion:
    """Something that happens, once or more often; struct completion."""

    __slots__ = ("_done", "_queue")

    _ALL = 1 << 31

    def __init__(self) -> None:
        self._done = 0
        self._queue = WaitQueue()

    @property
    def done(self) -> int:
        """How often it has happened without anybody having waited for it."""
        return self._done

    def complete(self) -> None:
        """One who waits goes on, now or when he comes. From any context."""
        if self._done < self._ALL:
            self._done += 1
        self._queue.wake_up_one()

    def complete_all(self) -> None:
        """All who wait go on, and all who will ever wait."""
        self._done = self._ALL
        self._queue.wake_up()

    async def wait(self) -> None:
        """wait_for_completion()."""
        while not self._done:
            await self._queue.wait()
        if self._done < self._ALL:
            self._done -= 1
