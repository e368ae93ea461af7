"""Post completions, and say so by an interrupt.

Follows the NVM Express base specification: completion queues.

Not modelled: phase bits and doorbells. The host takes all that is there, so a queue is never full.
"""

from collections.abc import Callable
from typing import Any

Trigger = Callable[[int], None]


class CompletionQueue:
    """One queue of completions; trigger sends its interrupt. Without one it is polled.

    posted, interrupts  how many there were
    """

    def __init__(self, trigger: Trigger | None) -> None:
        self._trigger = trigger
        self._entries: list[Any] = []
        self.posted = 0
        self.interrupts = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def is_polled(self) -> bool:
        return self._trigger is None

    def post(self, entry: object, now_ns: int) -> None:
        """A command is done."""
        self._entries.append(entry)
        self.posted += 1
        self.signal(now_ns)

    def signal(self, now_ns: int) -> None:
        """Interrupt, if there is an interrupt."""
        if self._trigger is not None:
            self.interrupts += 1
            self._trigger(now_ns)

    def take(self) -> list[Any]:
        """What the host finds when it looks."""
        entries, self._entries = self._entries, []
        return entries
